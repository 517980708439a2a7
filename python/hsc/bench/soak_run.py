"""`bench soak`: `tx`, `channel` and `rx` as three processes in real time, watched for long."""

from __future__ import annotations

import json
import re
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import click

from ..app.options import EXIT_FAILED
from ..app.reception import LOG
from ..errors import HscError
from ..paths import examples_folder
from .processes import Process
from .soak import LIMIT, Account, account, gaps, growth

EVERY = 10.0  # between two readings of memory [s]
SNR_DB = 15.0
CFO, SFO_PPM = 10e3, 20.0
_START = 120.0  # s
_QUIET = 5.0  # the receiver has nothing more to write when it has written nothing for so long [s]
_LATE = 3.0  # a transmitter that needs so many times as long as it should has hung
_SENT = re.compile(r"sent (\d+) images in (\d+) packets")


@dataclass(frozen=True)
class Soak:
    """What to do; the options of `bench soak`."""

    minutes: float
    sample_rate: float = 1e6
    codec: str = "hsc"
    image: Path | None = None
    interval: float = 1.0
    drop: float = 0.0
    out: Path | None = None

    @property
    def messages(self) -> int:
        """Images to be sent."""
        return max(2, round(self.minutes * 60 / self.interval))


@dataclass(frozen=True)
class Finding:
    """What came of it.

    Attributes:
        times: of the readings of memory [s].
        memory: process -> bytes at these times.
        growth: process -> share.
        account: of packets.
        gap: messages of which nothing came, by the gaps between the ids of others.
        problems: one line each.
    """

    settings: Soak
    seconds: float
    times: list[float]
    memory: dict[str, list[int]]
    growth: dict[str, float]
    account: Account
    gap: int
    problems: list[str]


class _Log:
    """Lines of received.jsonl as they come. Images that are written down already are deleted, so that the
    disk does not fill.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._read = folder, 0
        self.entries: list[dict] = []

    def follow(self) -> int:
        """Read what is new; the number of entries."""
        path = self._folder / LOG
        if path.exists():
            with path.open(encoding="utf-8") as file:
                file.seek(self._read)
                whole, _, _ = file.read().rpartition("\n")
                self._read += len(whole.encode()) + bool(whole)
            for line in whole.splitlines():
                entry = json.loads(line)
                self.entries.append(
                    {name: entry[name] for name in ("message_id", "packets", "packets_received")}
                )
                if entry["file"]:
                    (self._folder / entry["file"]).unlink(missing_ok=True)
        return len(self.entries)


def run(soak: Soak) -> Finding:
    """Raises HscError when a process does not start, ends early, or hangs."""
    image = soak.image or (examples_folder() or Path()) / "images" / "kitten.jpg"
    with tempfile.TemporaryDirectory(prefix="gr-hsc-soak-") as scratch, ExitStack() as stack:
        folder, rate = Path(scratch), ("--rate", str(soak.sample_rate))
        first, second = (f"zmq:ipc://{folder}/{name}" for name in ("first", "second"))
        impairments = (
            "--snr",
            str(SNR_DB),
            "--cfo",
            str(CFO),
            "--sfo",
            str(SFO_PPM),
            "--drop",
            str(soak.drop),
        )
        channel = stack.enter_context(
            Process.command("channel", "--in", first, "--out", second, *rate, *impairments)
        )
        rx = stack.enter_context(Process.command("rx", "--radio", second, *rate, "--out", str(folder)))
        for process in (channel, rx):
            process.wait_for(lambda process=process: process.lines, _START)
        schedule = ("--repeat", str(soak.messages), "--interval", str(soak.interval))
        tx = stack.enter_context(
            Process.command(
                "tx",
                str(image),
                "--radio",
                first,
                *rate,
                "--codec",
                soak.codec,
                "--snr",
                str(SNR_DB),
                *schedule,
            )
        )
        return _watch(soak, {"tx": tx, "channel": channel, "rx": rx}, _Log(folder))


def _watch(soak: Soak, processes: dict[str, Process], log: _Log) -> Finding:
    begun, memory, times = time.monotonic(), {name: [] for name in processes}, []
    every = min(EVERY, soak.minutes * 60 / 10)
    tx, rx = processes["tx"], processes["rx"]
    while tx.running:
        now = time.monotonic() - begun
        if now > _START + _LATE * soak.minutes * 60:
            raise HscError(
                f"soak: tx has not sent its {soak.messages} images within {now:.0f} s: it hangs, or this machine is too slow"
            )
        if not all(process.running for process in processes.values() if process is not tx):
            raise HscError(
                "soak: a process has ended early: "
                + "; ".join(f"{p.name}: {(p.lines or [''])[-1]}" for p in processes.values())
            )
        if log.follow():  # all weights are loaded
            times.append(now)
            for name, process in processes.items():
                memory[name].append(process.rss())
        time.sleep(every)
    seconds = time.monotonic() - begun
    _wait_until_quiet(log)
    statuses = {name: process.end() for name, process in processes.items()}
    log.follow()
    return _judge(soak, seconds, times, memory, log.entries, tx, statuses, rx.lines[-1])


def _wait_until_quiet(log: _Log) -> None:
    seen, since = log.follow(), time.monotonic()
    while time.monotonic() - since < _QUIET:
        time.sleep(0.2)
        if (now := log.follow()) != seen:
            seen, since = now, time.monotonic()


def _judge(
    soak: Soak, seconds: float, times: list[float], memory: dict[str, list[int]], entries: list[dict], tx: Process,
    statuses: dict[str, int], last: str,
) -> Finding:  # fmt: skip
    told = next((found for line in reversed(tx.lines) if (found := _SENT.search(line))), None)
    if told is None:
        raise HscError(f"soak: tx did not say what it has sent: {(tx.lines or ['nothing'])[-1]}")
    # The reading in which tx was ending already has no memory to tell.
    whole = [index for index in range(len(times)) if all(series[index] for series in memory.values())]
    times, memory = (
        [times[i] for i in whole],
        {name: [series[i] for i in whole] for name, series in memory.items()},
    )
    grown = {name: growth(times, series) for name, series in memory.items()}
    books, gap = account(entries, *map(int, told.groups())), gaps([entry["message_id"] for entry in entries])
    problems = [f"memory of {name} grew by {share:.1%}" for name, share in grown.items() if share > LIMIT]
    problems += [f"{name} ended with status {status}" for name, status in statuses.items() if status]
    if books.unaccounted:
        problems.append(
            f"{books.unaccounted} packets of {books.packets_sent} are unaccounted for; rx: {last}"
        )
    return Finding(soak, seconds, times, memory, grown, books, gap, problems)


def report(finding: Finding) -> int:
    """Print what was found, write its JSON file, and give the exit status."""
    books = finding.account
    click.echo(
        f"{books.messages_sent} messages, {books.packets_sent} packets sent in {finding.seconds:.0f} s"
    )
    click.echo(
        f"{books.packets_received} packets received, {books.packets_lost + books.packets_of_lost} counted lost, {books.unaccounted} neither"
    )
    for name, share in finding.growth.items():
        click.echo(f"{name}: {finding.memory[name][-1] / 1e6:.0f} MB, grew by {share:.1%}")
    for problem in finding.problems:
        click.echo(f"gr-hsc: {problem}", err=True)
    if finding.settings.out is not None:
        try:
            found = {**asdict(finding), "unaccounted": books.unaccounted}
            del found["settings"]["out"]
            finding.settings.out.write_text(json.dumps(found, default=str) + "\n")
        except OSError as error:
            raise HscError(f"cannot write to {finding.settings.out}: {error.strerror or error}") from None
    return EXIT_FAILED if finding.problems else 0
