"""The doctor's report, with pieces whole, missing and broken."""

import hashlib
import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from gnuradio.hsc import perceptual_weights
from gnuradio.hsc.app import doctor
from support import ROOT

RUN = ROOT / "python" / "run.py"


def probe(name):
    """The doctor's check of that name, run now."""
    return next(doctor._run(*entry) for entry in doctor._PROBES if entry[0] == name)


def test_every_check_is_ok_or_says_what_to_do():
    results = doctor.checks()
    assert [check.name for check in results] == [entry[0] for entry in doctor.probes()]
    assert all(check.detail and "\n" not in check.detail for check in results)
    assert all(check.ok == (not check.remedy) for check in results)


@pytest.mark.parametrize(
    "name",
    [
        "Python",
        pytest.param("GNU Radio", marks=pytest.mark.gnuradio),
        pytest.param("numpy", marks=pytest.mark.gnuradio),
        "torch",
        "safetensors",
        "plug-ins",
        "JPEG 2000",
        "radios",
        "disk",
        "processor",
    ],
)
def test_a_working_installation_passes(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check = probe(name)
    assert check.ok, check


def test_old_versions_that_fail_are_named(monkeypatch):
    """As Debian 13's own packages of torch and safetensors do."""
    import safetensors.torch
    import torch

    monkeypatch.setattr(torch, "__version__", "2.6.0+debian")
    assert probe("torch").ok and "GroupNorm" in probe("torch").detail
    monkeypatch.setattr(torch, "__version__", "2.13.0+cpu")
    assert "GroupNorm" not in probe("torch").detail
    assert probe("safetensors").ok

    def load(data):
        raise KeyError("U16")

    monkeypatch.setattr(safetensors.torch, "load", load)
    check = probe("safetensors")
    assert not check.ok and "integers of 16 bits" in check.detail and "0.6 or later" in check.remedy


def test_a_home_that_cannot_be_written_to_is_a_line(tmp_path, monkeypatch):
    monkeypatch.setattr(
        doctor, "use_writable_home", lambda: "/x cannot be written to: preferences are kept in /y"
    )
    assert probe("home") == doctor.Check("home", True, "/x cannot be written to: preferences are kept in /y")


def test_weights_of_perceptual_distances_are_optional(monkeypatch):
    monkeypatch.setattr(perceptual_weights, "find", lambda name: None)
    check = probe("LPIPS, DISTS")
    assert check.ok and f"'{perceptual_weights.INSTALL}' installs them" in check.detail
    monkeypatch.setattr(perceptual_weights, "find", lambda name: Path("/there") / name)
    assert probe("LPIPS, DISTS").detail == "weights in /there"


def test_a_foreign_package_on_pythonpath_is_found(tmp_path):
    """As without the launcher: in a process of its own, that no numpy is imported yet."""
    (tmp_path / "click.py").write_text("raise ImportError")
    program = tmp_path / "program.py"
    program.write_text(
        "from gnuradio.hsc.app import doctor\n"
        "print(doctor._run('PYTHONPATH', doctor._python_path, 'unset it'))"
    )
    for path, ok in (("", True), (str(tmp_path), False)):
        done = subprocess.run(
            [sys.executable, "-P", RUN, program],
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert f"ok={ok}" in done.stdout, done.stdout
    assert f"click would be those of {tmp_path}" in done.stdout


def test_a_probe_that_raises_becomes_a_line():
    def broken():
        raise RuntimeError("first line\nsecond line")

    assert doctor._run("thing", broken, "mend it") == doctor.Check(
        "thing", False, "RuntimeError: first line second line", "mend it"
    )


def test_report():
    out = io.StringIO()
    good, bad = doctor.Check("numpy", True, "1.26.4"), doctor.Check("GRC", False, "no block", "set the path")
    assert not doctor.report([good, bad], out)
    assert out.getvalue().splitlines() == [
        "ok   numpy  1.26.4",
        "BAD  GRC    no block",
        "            what to do: set the path",
    ]
    assert doctor.report([good], out)


def test_report_without_any_package():
    """Without site-packages at all, the checks say so one by one; nothing raises."""
    done = subprocess.run(
        [sys.executable, "-S", RUN, "gnuradio.hsc.app.doctor"],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert {line.split()[1] for line in lines if line.startswith("BAD")} >= {
        "GNU",
        "numpy",
        "torch",
        "gr-hsc",
        "JPEG",
        "GRC",
    }
    assert sum("what to do" in line for line in lines) == sum(line.startswith("BAD") for line in lines)


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """A folder with one weights file and its card."""
    folder = tmp_path / "weights"
    folder.mkdir()
    (folder / "net.safetensors").write_bytes(b"tensors")
    (folder / "net.json").write_text(json.dumps({"sha256": hashlib.sha256(b"tensors").hexdigest()}))
    monkeypatch.setattr(doctor, "_weight_folders", lambda: [folder])
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


def test_weights_of_every_system_are_looked_at(weights, tmp_path, monkeypatch):
    (tmp_path / "more").mkdir()
    monkeypatch.setattr(doctor, "_weight_folders", lambda: [weights, tmp_path / "more"])
    assert probe("weights").detail == f"no weights in {tmp_path / 'more'}"
    for path in weights.iterdir():
        (tmp_path / "more" / path.name).write_bytes(path.read_bytes())
    assert probe("weights").detail == "2 files in 2 folders, 0.0 MB, all hashes right"


@pytest.mark.gnuradio
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


@pytest.mark.gnuradio
def test_block_paths_follow_the_environment(monkeypatch):
    monkeypatch.setenv("GRC_BLOCKS_PATH", "/one:/two")
    assert doctor._block_paths()[:2] == [Path("/one"), Path("/two")]


@pytest.fixture
def soapy(monkeypatch):
    """What a search of SoapySDR answers, asked anew."""

    def answer(script, seconds=10.0):
        monkeypatch.setattr(doctor, "_SOAPY", script)
        monkeypatch.setattr(doctor, "RADIO_TIMEOUT_S", seconds)
        doctor._soapy.cache_clear()

    monkeypatch.setattr(doctor, "USB", Path("/nowhere"))
    yield answer
    doctor._soapy.cache_clear()


HACKRF = {"label": "HackRF One #0 1234", "driver": "hackrf"}


def script(modules, devices):
    answer = f"print(json.dumps({{'modules': {modules}, 'devices': {devices}}}))"
    return f"import json\nprint('[INFO] a driver speaks')\n{answer}"


def test_radios_are_listed_with_their_addresses(soapy, monkeypatch):
    soapy(script(["/usr/lib/SoapySDR/modules0.8/libHackRFSupport.so"], [HACKRF]))
    assert probe("radios") == doctor.Check("radios", True, "HackRF One #0 1234 (soapy:driver=hackrf)")
    assert probe("HackRF One").detail == "found"
    assert probe("LimeSDR").detail == "not plugged in; no driver: apt-get install soapysdr-module-lms7"
    assert "build SoapyPlutoSDR" in probe("PlutoSDR").detail


def test_a_radio_on_the_bus_that_no_driver_finds(soapy, tmp_path, monkeypatch):
    (tmp_path / "1-2").mkdir()
    (tmp_path / "1-2" / "idVendor").write_text("1d50\n")
    (tmp_path / "1-2" / "idProduct").write_text("6089\n")
    (tmp_path / "usb1").mkdir()
    monkeypatch.setattr(doctor, "USB", tmp_path)
    soapy(script([], []))
    assert probe("HackRF One").detail == "plugged in; no driver: apt-get install soapysdr-module-hackrf"
    soapy(script(["libHackRFSupport.so"], []))
    assert probe("HackRF One").detail.startswith("driver installed, plugged in; not found: its udev rules")


@pytest.mark.parametrize("answer", ["raise SystemExit(1)", "print('nonsense')", "import os; os.abort()"])
def test_no_soapysdr(soapy, answer):
    soapy(answer)
    assert probe("radios").detail == "none found; zmq, file and sim need none"
    assert "no driver" in probe("USRP B2xx").detail


def test_a_driver_that_hangs(soapy):
    modules = json.dumps({"modules": ["libuhdSupport.so"]})
    soapy(f"import time; print({modules!r}, flush=True); time.sleep(60)", 1.0)
    began = time.monotonic()
    assert "a driver hangs" in probe("radios").detail
    assert probe("USRP B2xx").detail == "driver installed, not plugged in"
    assert time.monotonic() - began < 30


def test_usrps_are_found_by_uhd(soapy, tmp_path, monkeypatch):
    soapy(script([], []))
    tool = tmp_path / "uhd_find_devices"
    tool.write_text(
        "#!/bin/sh\nprintf '%s\\n' '-- UHD Device 0' 'Device Address:' '    serial: 1' '    type: b200'\n"
    )
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert probe("radios").detail == "USRP (uhd:type=b200)"


def test_the_real_search_answers():
    doctor._soapy.cache_clear()
    assert isinstance(doctor._soapy()["modules"], list) and isinstance(doctor._soapy()["devices"], list)
