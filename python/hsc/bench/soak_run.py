"""A link watched for long, as it is run: `tx`, `channel` and `rx` as three processes in real time."""

from __future__ import annotations

import re
import tempfile
import time
from pathlib import Path

from ..errors import HscError
from ..images.files import load
from ..paths import examples_folder
from ..radio.received import ReceivedLog
from .processes import PATIENCE, Process, commands
from .soak import Finding, Memory, Soak, judge

# Between two readings of memory [s]; a short soak takes a tenth of its time.
EVERY = 10.0
# The channel: Es/N0 [dB], carrier offset [Hz] and clock offset [ppm], as between two cheap radios.
SNR_DB = 15.0
CFO, SFO_PPM = 10e3, 20.0
# The receiver has nothing more to write when it has written nothing for so long [s]: five deadlines of rx.
_QUIET = 5.0
# A transmitter that needs so many times as long as it should has hung.
_LATE = 3.0
# Between two looks at the log when the transmitter has ended [s].
_POLL = 0.2
_SENT = re.compile(r"sent (\d+) images in (\d+) packets")


class _Received:
    """What has been received. Images that are written down already are deleted, so that the disk does not
    fill.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._log = folder, ReceivedLog(folder)
        self.entries: list[dict] = []

    def follow(self) -> int:
        """Take note of what is new; the number of entries."""
        for entry in self._log.new():
            self.entries.append({key: entry[key] for key in ("message_id", "packets", "packets_received")})
            if entry["file"]:
                (self._folder / entry["file"]).unlink(missing_ok=True)
        return len(self.entries)

    def wait_until_quiet(self) -> None:
        """Until nothing has come for _QUIET seconds."""
        seen, since = self.follow(), time.monotonic()
        while time.monotonic() - since < _QUIET:
            time.sleep(_POLL)
            if (now := self.follow()) != seen:
                seen, since = now, time.monotonic()


def run(soak: Soak) -> Finding:
    """Raises HscError for an image that cannot be read, and when a process does not start, ends early, or
    hangs.
    """
    image = soak.image or (examples_folder() or Path()) / "images" / "kitten.jpg"
    load(image)  # what is wrong with it is said here, and not when all has been started
    with tempfile.TemporaryDirectory(prefix="gr-hsc-soak-") as scratch, commands() as start:
        near, far = (f"zmq:ipc://{scratch}/{name}" for name in ("near", "far"))
        rate = "--rate", soak.sample_rate
        impairments = "--snr", SNR_DB, "--cfo", CFO, "--sfo", SFO_PPM, "--drop", soak.drop
        schedule = "--repeat", soak.messages, "--interval", soak.interval
        channel = start("channel", "--in", near, "--out", far, *rate, *impairments)
        rx = start("rx", "--radio", far, *rate, "--out", scratch)
        for process in (channel, rx):
            process.wait_for(lambda process=process: process.lines)
        coding = "--codec", soak.codec, "--snr", SNR_DB
        tx = start("tx", image, "--radio", near, *rate, *coding, *schedule)
        return _watch(soak, {"tx": tx, "channel": channel, "rx": rx}, _Received(Path(scratch)))


def _watch(soak: Soak, processes: dict[str, Process], received: _Received) -> Finding:
    begun, memory = time.monotonic(), Memory([], {name: [] for name in processes})
    every = min(EVERY, soak.minutes * 60 / 10)
    tx = processes["tx"]
    while tx.running:
        now = time.monotonic() - begun
        _check(soak, processes, now)
        if received.follow():  # all weights are loaded
            memory.times.append(now)
            for name, process in processes.items():
                memory.series[name].append(process.memory())
        time.sleep(every)
    seconds = time.monotonic() - begun
    received.wait_until_quiet()
    statuses = {name: process.end() for name, process in processes.items()}
    received.follow()
    return judge(soak, seconds, memory, received.entries, _sent(tx), statuses, processes["rx"].last)


def _check(soak: Soak, processes: dict[str, Process], now: float) -> None:
    """Raises HscError when tx hangs, or another process has ended."""
    if now > PATIENCE + _LATE * soak.minutes * 60:
        raise HscError(
            f"soak: tx has not sent its {soak.messages} images within {now:.0f} s: it hangs, or this machine "
            "is too slow"
        )
    if not all(process.running for name, process in processes.items() if name != "tx"):
        told = "; ".join(f"{process.name}: {process.last}" for process in processes.values())
        raise HscError(f"soak: a process has ended early: {told}")


def _sent(tx: Process) -> tuple[int, int]:
    """Messages and packets, as tx says at its end."""
    for line in reversed(tx.lines):
        if found := _SENT.search(line.text):
            return int(found[1]), int(found[2])
    raise HscError(f"soak: tx did not say what it has sent: {tx.last}")
