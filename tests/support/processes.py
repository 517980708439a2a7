"""Commands that run as processes, started by the fixture `start`."""

import json
import signal
import sys
import time
from pathlib import Path

import gnuradio
from gnuradio.hsc.bench.over_the_air import addresses
from gnuradio.hsc.bench.processes import Process

from .waiting import PATIENCE

# First line of a program that is to import what the tests import: the source tree or what is installed.
SITE = f"import gnuradio; gnuradio.__path__ = {list(gnuradio.__path__)!r}\n"
GR_HSC = (sys.executable, "-c", f"{SITE}from gnuradio.hsc.app.__main__ import program; program()")


def ended(process: Process, number: int = signal.SIGINT) -> float:
    """Send a signal; seconds until the process has ended."""
    begun = time.monotonic()
    process.child.send_signal(number)
    process.child.wait(PATIENCE)
    return time.monotonic() - begun


def free_endpoint() -> str:
    """A port of this machine that nobody uses, as ZeroMQ names it."""
    return free_address().removeprefix("zmq:")


def free_address() -> str:
    """The same as a radio's address."""
    return addresses(1)[0]


def records(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "received.jsonl").read_text().splitlines()]
