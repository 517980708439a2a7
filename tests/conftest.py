"""Tests import `gnuradio.hsc` from the source tree, or the installed module when HSC_TEST_INSTALLED=1.

Without GNU Radio, as where pip installed the core, modules that import it and tests marked `gnuradio` are
skipped.
"""

import ctypes
import fcntl
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

os.environ.setdefault("GR_CONF_CONTROLPORT_ON", "False")

if os.environ.get("HSC_TEST_INSTALLED") != "1":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))
    import run

    run.attach()
    sys.path.pop(0)

HAS_GNURADIO = importlib.util.find_spec("gnuradio.gr") is not None
WITHOUT = "GNU Radio is not installed"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if not HAS_GNURADIO and item.get_closest_marker("gnuradio"):
            item.add_marker(pytest.mark.skip(reason=WITHOUT))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """A module that cannot be imported without GNU Radio counts as one skipped test."""
    report = yield
    if not HAS_GNURADIO and report.failed and isinstance(collector, pytest.Module):
        error = report.call.excinfo.value
        missing = getattr(error.__cause__, "name", None) or ""
        if missing.split(".")[0] in ("gnuradio", "pmt") or WITHOUT in str(error):
            report.outcome, report.longrepr = "skipped", (str(collector.path), 1, WITHOUT)
    return report


@pytest.fixture
def start():
    """Starts gr-hsc commands as processes; none outlives the test."""
    from gnuradio.hsc.bench.processes import commands

    with commands(OMP_NUM_THREADS="1") as begin:
        yield begin


@pytest.fixture(scope="session")
def hscloop_plugins():
    """Builds driver=hscloop once; its folder is on SOAPY_SDR_PLUGIN_PATH, for this process and those that it
    starts.
    """
    root = Path(__file__).resolve().parents[1]
    build = root / "build" / "hscloop"
    if not (shutil.which("cmake") and Path("/usr/include/SoapySDR/Device.hpp").exists()):
        pytest.skip(
            "the loop radio needs cmake and libsoapysdr-dev: apt-get install them, or run ./gr-hsc test"
        )
    build.mkdir(parents=True, exist_ok=True)
    with open(build / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for command in (
            ["cmake", "-S", root / "tests" / "hscloop", "-B", build],
            ["cmake", "--build", build],
        ):
            done = subprocess.run(command, capture_output=True, text=True, timeout=240)
            assert done.returncode == 0, done.stdout + done.stderr
    before = os.environ.get("SOAPY_SDR_PLUGIN_PATH")
    os.environ["SOAPY_SDR_PLUGIN_PATH"] = str(build)
    # SoapySDR looks for modules once: a test before may have made it do so.
    ctypes.CDLL("libSoapySDR.so.0.8").SoapySDR_loadModule(str(build / "hscloop.so").encode())
    yield build
    os.environ.pop("SOAPY_SDR_PLUGIN_PATH") if before is None else os.environ.update(
        SOAPY_SDR_PLUGIN_PATH=before
    )


@pytest.fixture
def asked(monkeypatch):
    """The refiner turns images into negatives; what it was asked for."""
    from gnuradio.hsc.refiner import refine  # loads torch

    calls = []

    def negative(image, error, settings):
        calls.append((image, error, settings))
        return 255 - image

    monkeypatch.setattr(refine, "refine", negative)
    return calls
