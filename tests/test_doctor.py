"""The doctor's report, with pieces whole, missing and broken."""

import hashlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from gnuradio.hsc.app import doctor

SOURCE = Path(__file__).resolve().parents[1] / "python"


def probe(name):
    """The doctor's check of that name, run now."""
    return next(doctor._run(*entry) for entry in doctor._PROBES if entry[0] == name)


def test_every_check_is_ok_or_says_what_to_do():
    results = doctor.checks()
    assert [check.name for check in results] == [entry[0] for entry in doctor._PROBES]
    assert all(check.detail and "\n" not in check.detail for check in results)
    assert all(check.ok == (not check.remedy) for check in results)


@pytest.mark.parametrize("name", ["Python", "GNU Radio", "numpy", "torch", "JPEG 2000", "radios", "disk", "processor"])
def test_a_working_installation_passes(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check = probe(name)
    assert check.ok, check


def test_a_probe_that_raises_becomes_a_line():
    def broken():
        raise RuntimeError("first line\nsecond line")

    assert doctor._run("thing", broken, "mend it") == doctor.Check("thing", False, "RuntimeError: first line second line", "mend it")


def test_report():
    out = io.StringIO()
    good, bad = doctor.Check("numpy", True, "1.26.4"), doctor.Check("GRC", False, "no block", "set the path")
    assert not doctor.report([good, bad], out)
    assert out.getvalue().splitlines() == ["ok   numpy  1.26.4", "BAD  GRC    no block", "            what to do: set the path"]
    assert doctor.report([good], out)


def test_report_without_any_package():
    """Without site-packages at all, the checks say so one by one; nothing raises."""
    environment = {"PYTHONPATH": str(SOURCE), "PATH": os.environ["PATH"]}
    done = subprocess.run(
        [sys.executable, "-S", "-m", "hsc.app.doctor"], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert {line.split()[1] for line in lines if line.startswith("BAD")} >= {"GNU", "numpy", "torch", "gr-hsc", "JPEG", "GRC"}
    assert sum("what to do" in line for line in lines) == sum(line.startswith("BAD") for line in lines)


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """A package folder with one weights file and its card."""
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "net.safetensors").write_bytes(b"tensors")
    (folder / "net.json").write_text(json.dumps({"sha256": hashlib.sha256(b"tensors").hexdigest()}))
    monkeypatch.setattr(doctor, "PACKAGE", tmp_path)
    return folder


def test_weights(weights):
    assert probe("weights").ok
    (weights / "net.safetensors").write_bytes(b"tensor5")
    assert "hash" in probe("weights").detail
    (weights / "net.json").unlink()
    assert "without a card" in probe("weights").detail
    (weights / "net.safetensors").unlink()
    check = probe("weights")
    assert not check.ok and "no weights" in check.detail


def test_block_path(tmp_path, monkeypatch):
    tool = tmp_path / "gnuradio-companion"
    tool.touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(doctor, "_block_paths", lambda: [tmp_path / "blocks"])
    assert not probe("GRC").ok
    (tmp_path / "blocks").mkdir()
    (tmp_path / "blocks" / "hsc_image_source.block.yml").touch()
    check = probe("GRC")
    assert check.ok and "1 HSC blocks" in check.detail


def test_block_paths_follow_the_environment(monkeypatch):
    monkeypatch.setenv("GRC_BLOCKS_PATH", "/one:/two")
    assert doctor._block_paths()[:2] == [Path("/one"), Path("/two")]


SOAPY = """
######################################################
##     Soapy SDR -- the SDR abstraction library     ##
######################################################

Found device 0
  device = HackRF One
  driver = hackrf
  serial = 0000000000000000

"""


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (f"cat <<'END'\n{SOAPY}END", "hackrf (SoapySDR)"),
        ("echo 'No devices found!' >&2; exit 1", "none found by SoapySDR; simulation needs none"),
        ("exec /bin/sleep 60", "none found by SoapySDR; simulation needs none"),
    ],
)
def test_radios(tmp_path, monkeypatch, script, expected):
    tool = tmp_path / "SoapySDRUtil"
    tool.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(doctor, "RADIO_TIMEOUT_S", 2.0)
    check = probe("radios")
    assert check.ok and check.detail == expected


def test_no_radio_tools(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    check = probe("radios")
    assert check.ok and "soapysdr-tools" in check.detail
