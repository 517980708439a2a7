"""HSC in steady real time, as it is run: one process for each end of the link, on this machine."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from ..errors import HscError
from ..paths import examples_folder
from .frames import load_frames
from .link import FrameCoding, LinkRun, ReceiveReport, TransmitReport, alone, rows, summary
from .processes import Process
from .rows import Row
from .threads import stage_shares, thread_times

# Images before the measurement: the first ones wait for weights to be loaded.
WARM_UP = 3
# Longest that what is under way when the camera is off may take [s].
_DRAIN = 30.0
# Images in a measurement at least: a slow machine measures for longer.
_LEAST = 3
# Between two looks at what has come [s].
_POLL = 0.1
_SERVE = "from gnuradio.hsc.bench.link_ends import serve; serve(*sys.argv[1:])"

Report = TypeVar("Report", TransmitReport, ReceiveReport)


def run(frames: Path | None, rates: Sequence[float], seconds: float, rank: int | None = None) -> list[Row]:
    """Rows for each sample rate [samples/s], measured for so long [s]; `rank` of the CR, or within the budget
    when None. `frames`: as `load_frames` takes them, None for the examples.

    Raises HscError when there are no frames, or an end does not run.
    """
    folder = frames or (examples_folder() or Path()) / "images"
    coding = FrameCoding(rank)
    codec = alone(load_frames(folder), coding)
    runs = [measure(folder, rate, seconds, coding) for rate in rates]
    return [row for each in runs for row in rows(each, codec, coding)]


def measure(frames: Path, sample_rate: float, seconds: float, coding: FrameCoding) -> LinkRun:
    """Run both ends, and watch them in their steady state for `seconds`, or until _LEAST images have come
    when that is later.
    """
    with tempfile.TemporaryDirectory(prefix="gr-hsc-") as folder:
        arguments = frames, sample_rate, f"zmq:ipc://{folder}/air", json.dumps(coding.rank)
        with Process("receive", _SERVE, "receive", *arguments) as receive:
            receive.wait_for(lambda: receive.lines)
            with Process("transmit", _SERVE, "transmit", *arguments) as transmit:
                receive.wait_for(lambda: _images(receive) >= WARM_UP)
                ends = transmit.child.pid, receive.child.pid
                begin, before = time.monotonic(), [thread_times(pid) for pid in ends]
                time.sleep(seconds)
                receive.wait_for(lambda: _images(receive, begin) >= _LEAST)
                end, after = time.monotonic(), [thread_times(pid) for pid in ends]
                transmit.tell("off")
                _wait_for_the_rest(transmit, receive)
                told = _reports(transmit, TransmitReport.parse), _reports(receive, ReceiveReport.parse)
    shares = [stage_shares(*times, end - begin) for times in zip(before, after, strict=True)]
    together = {stage: sum(share[stage] for share in shares) for stage in shares[0]}
    return summary(sample_rate, begin, end, *told, together)


def _reports(process: Process, parse: Callable[[str], Report]) -> list[Report]:
    """What an end has told. Raises HscError for the first line that is no report: why it fails."""
    found = []
    for line in process.lines:
        try:
            found.append(parse(line.text))
        except (ValueError, TypeError, KeyError):
            raise HscError(f"bench: '{process.name}' failed: {line.text}") from None
    return found


def _images(receive: Process, since: float = 0.0) -> int:
    reports = _reports(receive, ReceiveReport.parse)
    return sum(image.time >= since for report in reports for image in report.images)


def _wait_for_the_rest(transmit: Process, receive: Process) -> None:
    """Until the transmitter sends nothing more and all of it has come, or _DRAIN is over."""
    deadline, reports = time.monotonic() + _DRAIN, len(transmit.lines) + 2
    while time.monotonic() < deadline:
        told = _reports(transmit, TransmitReport.parse)
        handed_over = sum(len(report.captures) for report in told)
        if len(told) >= reports and handed_over == told[-1].sent == _images(receive):
            return
        time.sleep(_POLL)
