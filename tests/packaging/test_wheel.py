"""The core that pip installs: what its wheel holds, what it asks for, and that it works without GNU Radio."""

import re
import subprocess
import sys
import tomllib
import zipfile

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from support import ROOT

pytest.importorskip("hatchling", reason="hatchling is not installed: ./gr-hsc test installs it")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """The wheel, built from this checkout and unpacked as pip would."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder]
    done = subprocess.run([*command, ROOT], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("gr_hsc-*-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(folder / "site")
    return folder / "site"


def files(folder):
    return {
        path.relative_to(folder)
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.name != "CMakeLists.txt"
    }


def test_it_holds_the_package_and_the_sample_images(unpacked):
    assert files(unpacked / "gnuradio" / "hsc") == files(ROOT / "python" / "hsc")
    assert not (unpacked / "gnuradio" / "__init__.py").exists(), "it would hide GNU Radio"
    (data,) = unpacked.glob("gr_hsc-*.data/data")
    images = data / "share/gnuradio/examples/hsc/images"
    assert files(images) == files(ROOT / "examples" / "images")
    (info,) = unpacked.glob("gr_hsc-*.dist-info")
    assert "gr-hsc = gnuradio.hsc.app.__main__:program" in (info / "entry_points.txt").read_text()


# `gnuradio` holds nothing but what was unpacked, as in an environment without GNU Radio.
ALONE = """
import sys, types
site = sys.argv.pop(1)
sys.path.insert(0, site)
sys.modules["gnuradio"] = types.ModuleType("gnuradio")
sys.modules["gnuradio"].__path__ = [f"{site}/gnuradio"]
sys.modules["pmt"] = None  # importing it raises ImportError
from gnuradio.hsc.app.__main__ import program
program()
"""


def gr_hsc(unpacked, folder, *arguments):
    """The program `gr-hsc` of the wheel."""
    return subprocess.run(
        [sys.executable, "-P", "-c", ALONE, unpacked, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_an_image_is_sent_without_gnu_radio(unpacked, tmp_path):
    photo = ROOT / "examples" / "images" / "parakeet.jpg"
    done = gr_hsc(unpacked, tmp_path, "simulate", photo, "--codec", "separate", "--snr", "10")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "hsc-out" / "parakeet.png").is_file()


@pytest.mark.parametrize("command", ["demo", "send x.png", "bench ofdm", "bench link", "bench soak"])
def test_what_needs_gnu_radio_says_so_in_a_line(unpacked, tmp_path, command):
    words = command.replace("x.png", str(ROOT / "examples/images/digit_0.png")).split()
    done = gr_hsc(unpacked, tmp_path, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("gr-hsc: GNU Radio is not installed") and done.stderr.count("\n") == 1


def test_the_doctor_of_the_core_wants_no_gnu_radio(unpacked, tmp_path):
    done = gr_hsc(unpacked, tmp_path, "doctor")
    assert "\nok   GNU Radio      not there: simulate, compare" in done.stdout, done.stdout + done.stderr
    assert not re.search(r"^BAD +(GRC|radios|numpy|gr-hsc)", done.stdout, re.M)


def pinned(name):
    """Requirements of requirements.txt with that name."""
    lines = (line.partition("#")[0].strip() for line in (ROOT / "requirements.txt").read_text().splitlines())
    found = [Requirement(line) for line in lines if line]
    return [each for each in found if canonicalize_name(each.name) == canonicalize_name(name)]


def test_what_was_tested_fits_what_it_asks_for():
    asked = [*PROJECT["dependencies"], *sum(PROJECT["optional-dependencies"].values(), [])]
    for requirement in map(Requirement, asked):
        versions = [str(each.specifier).removeprefix("==") for each in pinned(requirement.name)]
        assert versions and all(requirement.specifier.contains(each) for each in versions), requirement
    assert PROJECT["requires-python"] == ">=3.11,<3.15"
    assert "<= sys.version_info < (3, 15)" in (ROOT / "gr-hsc").read_text()


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13", "3.14"])
def test_every_python_has_one_version_of_each(python):
    """numpy 1 where GNU Radio needs it; the lock has all that is pinned, in the same version."""
    where = {"python_version": python, "python_full_version": f"{python}.0"}
    locked = {}
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            each = Requirement(line)
            if each.marker is None or each.marker.evaluate(where):
                assert locked.setdefault(canonicalize_name(each.name), each.specifier) == each.specifier
    for line in (ROOT / "requirements.txt").read_text().splitlines():
        if text := line.partition("#")[0].strip():
            each = Requirement(text)
            if each.marker is None or each.marker.evaluate(where):
                assert locked[canonicalize_name(each.name)] == each.specifier, each
    assert locked["numpy"] == SpecifierSet("==1.26.4" if python < "3.13" else "==2.3.5")
