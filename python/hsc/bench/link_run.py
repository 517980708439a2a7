"""`bench link`: HSC in steady real time, one process for each end, on this machine."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from ..errors import HscError
from ..paths import examples_folder
from .link import LinkRun, Sending, alone, load_frames, rows, stage_shares, summary, thread_times
from .processes import Process

WARM_UP = 3  # images before the measurement
_PATIENCE = 120.0  # with them [s]
_DRAIN = 30.0  # for what is under way when the camera is off [s]
_LEAST = 3  # images in a measurement
_END = "from hsc.app.bench_ends import serve; serve(*sys.argv[1:])"


def run(frames: Path | None, rates: Sequence[float], seconds: float, rank: int | None = None) -> list[dict]:
    """Rows for each sample rate [samples/s], measured for so long [s]; `rank` of the CR, or within the budget
    when None.

    Raises HscError when there are no frames, or an end does not run.
    """
    folder = frames or (examples_folder() or Path()) / "images"
    sending = Sending(rank)
    codec = alone(load_frames(folder), sending)
    result = []
    for rate in rates:
        result += rows(measure(folder, rate, seconds, sending), codec, sending)
    return result


def measure(frames: Path, sample_rate: float, seconds: float, sending: Sending) -> LinkRun:
    """Run both ends, and watch them in their steady state for `seconds`, or until _LEAST images have come
    when that is later.
    """
    with tempfile.TemporaryDirectory(prefix="gr-hsc-") as folder:
        arguments = str(frames), str(sample_rate), f"zmq:ipc://{folder}/air", json.dumps(sending.rank)
        with Process("receive", _END, "receive", *arguments) as receive:
            receive.wait_for(lambda: receive.lines, _PATIENCE)
            with Process("transmit", _END, "transmit", *arguments) as transmit:
                receive.wait_for(lambda: _images(receive) >= WARM_UP, _PATIENCE)
                begin, before = time.monotonic(), [thread_times(end.pid) for end in (transmit, receive)]
                time.sleep(seconds)
                receive.wait_for(lambda: _images(receive, begin) >= _LEAST, _PATIENCE)
                end, after = time.monotonic(), [thread_times(end.pid) for end in (transmit, receive)]
                transmit.tell("off")
                _wait_for_the_rest(transmit, receive)
                told = _reports(transmit), _reports(receive)
    shares = [stage_shares(*times, end - begin) for times in zip(before, after, strict=True)]
    together = {stage: sum(share[stage] for share in shares) for stage in shares[0]}
    return summary(sample_rate, begin, end, *told, together)


def _reports(process: Process) -> list[dict]:
    try:
        return [json.loads(line) for line in list(process.lines)]
    except ValueError:
        broken = next(line for line in process.lines if not line.startswith("{"))
        raise HscError(f"bench: '{process.name}' failed: {broken}") from None


def _images(process: Process, since: float = 0.0) -> int:
    return sum(at >= since for report in _reports(process) for _, at, _, _ in report["images"])


def _wait_for_the_rest(transmit: Process, receive: Process) -> None:
    """Until the transmitter sends nothing more and all of it has come, or _DRAIN is over."""
    deadline, reports = time.monotonic() + _DRAIN, len(transmit.lines) + 2
    while time.monotonic() < deadline:
        told = _reports(transmit)
        if len(told) >= reports and sum(len(report["captures"]) for report in told) == told[-1][
            "sent"
        ] == _images(receive):
            return
        time.sleep(0.1)
