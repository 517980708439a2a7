"""HSC in steady real time: what the two ends of a link tell, and what a run of it gave, as rows.

Each row compares with something that was measured in the same run: the codec without a flowgraph, one frame
after the other; the nominal sample rate; the frames that the camera offered; all cores; the queues at the
beginning.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import NamedTuple

import numpy as np

from ..codecs import registry
from ..errors import HscError
from ..message import Link
from .hsc import CBR, MCS, SNR_DB, hsc_alone
from .rows import Row

_WITHOUT_FLOWGRAPH = "the same codec, packets and channel without a flowgraph"


@dataclass(frozen=True)
class FrameCoding:
    """How each frame is coded: with a rank of the CR (0: SR alone), or within CBR."""

    rank: int | None = None

    @property
    def link(self) -> Link:
        """What the codec is told of the link."""
        return Link(SNR_DB, CBR if self.rank is None else None, MCS)

    @property
    def options(self) -> dict[str, object]:
        """Of the codec."""
        return {} if self.rank is None else {"rank": self.rank}

    def __str__(self) -> str:
        if self.rank is None:
            return "HSC at CBR 1/6"
        return f"HSC of rank {self.rank}" if self.rank else "HSC, SR alone"


class Capture(NamedTuple):
    """A frame that the camera handed over: message id, and so the frame, and when it was taken [s]."""

    number: int
    time: float


class Arrival(NamedTuple):
    """An image that came: message id, and so the frame, when it came [s], PSNR [dB], no packet missing."""

    number: int
    time: float
    psnr_db: float
    whole: bool


@dataclass(frozen=True)
class TransmitReport:
    """What has happened at the transmitter, as one line of JSON. Times are those of time.monotonic.

    Attributes:
        time: of the report [s].
        offered, dropped, sent: since the start, frames of the camera, those of them that a newer one replaced
            before their turn came, and messages.
        waiting: PDUs in the queues.
        captures: since the last report.
    """

    time: float
    offered: int
    dropped: int
    sent: int
    waiting: int
    captures: tuple[Capture, ...]

    @staticmethod
    def parse(line: str) -> TransmitReport:
        """Raises ValueError, TypeError or KeyError for a line that is none."""
        fields = json.loads(line)
        return TransmitReport(**{**fields, "captures": tuple(Capture(*c) for c in fields["captures"])})


@dataclass(frozen=True)
class ReceiveReport:
    """What has happened at the receiver, as one line of JSON. Times are those of time.monotonic.

    Attributes:
        time: of the report [s].
        samples: that the OFDM Receiver has searched since the start.
        waiting: PDUs in the queues.
        images: since the last report.
    """

    time: float
    samples: int
    waiting: int
    images: tuple[Arrival, ...]

    @staticmethod
    def parse(line: str) -> ReceiveReport:
        """Raises ValueError, TypeError or KeyError for a line that is none."""
        fields = json.loads(line)
        return ReceiveReport(**{**fields, "images": tuple(Arrival(*a) for a in fields["images"])})


def line_of(report: TransmitReport | ReceiveReport) -> str:
    """What `parse` reads."""
    return json.dumps(asdict(report))


@dataclass(frozen=True)
class LinkRun:
    """What was measured of one run in its steady state.

    Attributes:
        sample_rate: nominal [samples/s].
        seconds: length of the measurement.
        offered, dropped: frames of the camera, and those of them that a newer one replaced before their turn
            came.
        received: images in that time.
        latencies: from a frame's capture to its image, of each image [s].
        numbers, psnrs_db: message id, and so the frame, and PSNR [dB] of each image.
        samples: that the OFDM Receiver has searched.
        waiting: PDUs in all queues together, at regular times.
        shares: CPU time over wall time, by stage.
        sent, whole: messages sent in the whole run, images of it of which no packet is missing.
    """

    sample_rate: float
    seconds: float
    offered: int
    dropped: int
    received: int
    latencies: tuple[float, ...]
    numbers: tuple[int, ...]
    psnrs_db: tuple[float, ...]
    samples: int
    waiting: tuple[int, ...]
    shares: Mapping[str, float]
    sent: int
    whole: int


@dataclass(frozen=True)
class Alone:
    """The codec without a flowgraph.

    Attributes:
        seconds: median time of a frame, encoder to decoder [s].
        psnrs_db: of each frame [dB].
    """

    seconds: float
    psnrs_db: tuple[float, ...]


def alone(frames: Sequence[np.ndarray], coding: FrameCoding) -> Alone:
    """Measure the codec without a flowgraph, each frame once, after one to warm up."""
    codec = registry.create("hsc", **coding.options)
    seconds, psnrs_db = [], []
    for frame in (frames[0], *frames):
        stages, psnr_db = hsc_alone(codec, frame, coding.link)
        seconds.append(sum(stages.values()))
        psnrs_db.append(psnr_db)
    return Alone(float(np.median(seconds[1:])), tuple(psnrs_db[1:]))


def summary(
    sample_rate: float,
    begin: float,
    end: float,
    transmit: Sequence[TransmitReport],
    receive: Sequence[ReceiveReport],
    shares: Mapping[str, float],
) -> LinkRun:
    """What the reports of both ends say of the time from `begin` to `end`. Raises HscError when they say
    nothing of it.
    """
    sending = [report for report in transmit if begin <= report.time <= end]
    receiving = [report for report in receive if begin <= report.time <= end]
    if min(len(sending), len(receiving)) < 2:
        raise HscError("bench: the ends of the link did not report: this machine is too busy")
    captured = {capture.number: capture.time for report in transmit for capture in report.captures}
    images = [image for report in receive for image in report.images]
    timely = [image for image in images if begin <= image.time <= end]
    searched = receiving[-1].samples - receiving[0].samples
    seconds = receiving[-1].time - receiving[0].time
    return LinkRun(
        sample_rate=sample_rate,
        seconds=end - begin,
        offered=sending[-1].offered - sending[0].offered,
        dropped=sending[-1].dropped - sending[0].dropped,
        received=len(timely),
        latencies=tuple(i.time - captured[i.number] for i in timely if i.number in captured),
        numbers=tuple(image.number for image in timely),
        psnrs_db=tuple(image.psnr_db for image in timely),
        samples=round(searched / seconds * (end - begin)),
        waiting=tuple(a.waiting + b.waiting for a, b in zip(sending, receiving, strict=False)),
        shares=shares,
        sent=transmit[-1].sent,
        whole=sum(image.whole for image in images),
    )


def rows(run: LinkRun, codec: Alone, coding: FrameCoding) -> list[Row]:
    """One run against what was measured with it. Raises HscError when no image came."""
    if not run.latencies:
        raise HscError(f"bench: no image came within {run.seconds:.0f} s: measure for longer")
    measured = [*_quality(run, codec), *_load(run)]
    head = f"{coding}, {run.sample_rate / 1e6:g} MS/s"
    return [Row(f"{head}, {name}", *figures) for name, *figures in measured]


_Figures = tuple[str, str, float, float, str]  # of a row


def _quality(run: LinkRun, codec: Alone) -> list[_Figures]:
    """What arrives, and when."""
    reference, unit = _WITHOUT_FLOWGRAPH, "frames/s"
    same_frames = float(np.mean([codec.psnrs_db[number % len(codec.psnrs_db)] for number in run.numbers]))
    median, slow = (float(np.quantile(run.latencies, share)) for share in (0.5, 0.95))
    offered, dropped = run.offered / run.seconds, run.dropped / run.seconds
    return [
        ("frames received", unit, run.received / run.seconds, 1 / codec.seconds, reference),
        ("latency of the median frame", "s", median, codec.seconds, reference),
        ("latency that 95 % keep", "s", slow, codec.seconds, reference),
        ("PSNR", "dB", float(np.mean(run.psnrs_db)), same_frames, reference),
        ("frames dropped by the bounded queue", unit, dropped, offered, "frames offered"),
        ("messages received whole", "messages", run.whole, run.sent, "messages sent"),
    ]


def _load(run: LinkRun) -> list[_Figures]:
    """What the machine does for it."""
    third = max(1, len(run.waiting) // 3)
    first, last = (float(np.mean(part)) for part in (run.waiting[:third], run.waiting[-third:]))
    searched, nominal = run.samples / run.seconds / 1e6, run.sample_rate / 1e6
    cores = os.cpu_count() or 1
    return [
        ("samples", "MS/s", searched, nominal, "the nominal sample rate"),
        ("PDUs that wait, last third of the time", "PDUs", last, first, "first third"),
        *((f"CPU of {stage}", "cores", share, cores, "all cores") for stage, share in run.shares.items()),
    ]
