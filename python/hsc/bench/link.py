"""HSC in steady real time: what a run of the whole link gave, as rows. Pure; the flowgraphs are in
app/bench_ends.py.

Each row compares with something that was measured in the same run: the codec without a flowgraph, one frame
after the other; the nominal sample rate; the frames that the camera offered; all cores; the queues at the
beginning.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, ImageSequence

from ..codecs import registry
from ..errors import HscError
from ..images.files import find
from ..message import Link
from .hsc import CBR, MCS, SNR_DB, hsc_alone

SIZE = 256
MAX_FRAMES = 16
VIDEOS = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ogv", ".ts", ".webm")
_WANTED = "give a folder of images, an animated GIF or WebP, or a video file such as clip.mp4"
# Threads of a flowgraph carry the names of their blocks and a number, cut to 15 characters.
STAGES = {
    "encoder": ("Message Encode",),
    "transmitter": ("OFDM Transmitt",),
    "receiver": ("OFDM Receiver",),
    "decoder": ("Message Decode",),
    "radios": ("Radio S", "Listener", "throttle", "pub_sink", "ZMQbg", "multiply_const"),
}
REST = "channel and the rest"
REPORT_EVERY = 0.25  # s
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Sending:
    """What is sent of each frame: with a rank of the CR (0: SR alone), or within CBR."""

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
        return (
            "HSC at CBR 1/6"
            if self.rank is None
            else f"HSC of rank {self.rank}"
            if self.rank
            else "HSC, SR alone"
        )


ThreadTimes = Mapping[int, tuple[str, float]]


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
    """The codec without a flowgraph: median time of a frame, encoder to decoder [s], PSNR of each frame [dB]."""

    seconds: float
    psnrs_db: tuple[float, ...]


def load_frames(path: Path, limit: int = MAX_FRAMES) -> list[np.ndarray]:
    """The first `limit` frames of a folder of images, an animation or a video file: uint8 (SIZE, SIZE, 3),
    cropped to a square.

    Raises HscError when there are none.
    """
    found = list(itertools.islice(_frames(path), limit))
    if not found:
        raise HscError(f"{path}: no frames; {_WANTED}")
    return [np.asarray(ImageOps.fit(frame.convert("RGB"), (SIZE, SIZE))) for frame in found]


def _frames(path: Path) -> Iterator[Image.Image]:
    for file in find([path]):
        try:
            if file.suffix.lower() in VIDEOS:
                yield from _video(file)
                continue
            with Image.open(file) as picture:
                yield from (frame.copy() for frame in ImageSequence.Iterator(picture))
        except (
            OSError,
            ValueError,
            Image.DecompressionBombError,
        ) as error:  # FFmpeg's errors are both of the first two
            raise HscError(f"{file}: {error}; {_WANTED}") from None


def _video(file: Path) -> Iterator[Image.Image]:
    import av  # here alone: it takes a moment to load

    with av.open(str(file)) as container:
        if not container.streams.video:
            raise ValueError("no video in it")
        for frame in container.decode(video=0):
            yield frame.to_image()


def thread_times(pid: int | str = "self") -> dict[int, tuple[str, float]]:
    """Thread id -> name and CPU time [s] of a process's threads, from /proc."""
    times = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            stat = (task / "stat").read_text()
        except OSError:  # it has ended meanwhile
            continue
        name, fields = stat[stat.index("(") + 1 : stat.rindex(")")], stat[stat.rindex(")") + 2 :].split()
        times[int(task.name)] = name, (int(fields[11]) + int(fields[12])) / _TICK
    return times


def stage_of(name: str) -> str:
    """Which stage a thread of that name belongs to."""
    return next((stage for stage, begins in STAGES.items() if name.startswith(begins)), REST)


def stage_shares(before: ThreadTimes, after: ThreadTimes, seconds: float) -> dict[str, float]:
    """CPU time of each stage over wall time, between two results of `thread_times`."""
    shares = dict.fromkeys((*STAGES, REST), 0.0)
    for task, (name, cpu) in after.items():
        shares[stage_of(name)] += (cpu - before.get(task, (name, 0.0))[1]) / seconds
    return shares


def alone(frames: Sequence[np.ndarray], sending: Sending) -> Alone:
    """Measure the codec without a flowgraph, each frame once, after one to warm up."""
    codec, seconds, psnrs_db = registry.create("hsc", **sending.options), [], []
    for frame in (frames[0], *frames):
        stages, psnr_db = hsc_alone(codec, frame, sending.link)
        seconds.append(sum(stages.values()))
        psnrs_db.append(psnr_db)
    return Alone(float(np.median(seconds[1:])), tuple(psnrs_db[1:]))


def summary(
    sample_rate: float,
    begin: float,
    end: float,
    transmit: Sequence[dict],
    receive: Sequence[dict],
    shares: Mapping[str, float],
) -> LinkRun:
    """What the reports of both ends say of the time from `begin` to `end`. Raises HscError when they say
    nothing of it.
    """
    steady = [
        [report for report in reports if begin <= report["time"] <= end] for reports in (transmit, receive)
    ]
    if min(map(len, steady)) < 2:
        raise HscError("bench: the ends of the link did not report: this machine is too busy")
    captured = {number: at for report in transmit for number, at in report["captures"]}
    images = [image for report in receive for image in report["images"]]
    timely = [image for image in images if begin <= image[1] <= end]
    grown = {name: steady[0][-1][name] - steady[0][0][name] for name in ("offered", "dropped")}
    seconds = steady[1][-1]["time"] - steady[1][0]["time"]
    return LinkRun(
        sample_rate=sample_rate,
        seconds=end - begin,
        received=len(timely),
        latencies=tuple(at - captured[number] for number, at, _, _ in timely if number in captured),
        numbers=tuple(number for number, _, _, _ in timely),
        psnrs_db=tuple(psnr_db for _, _, psnr_db, _ in timely),
        samples=round((steady[1][-1]["samples"] - steady[1][0]["samples"]) / seconds * (end - begin)),
        waiting=tuple(a["waiting"] + b["waiting"] for a, b in zip(*steady, strict=False)),
        shares=shares,
        sent=transmit[-1]["sent"],
        whole=sum(whole for _, _, _, whole in images),
        **grown,
    )


def rows(run: LinkRun, codec: Alone, sending: Sending) -> list[dict]:
    """Rows of {name, unit, ours, reference, reference_name, ratio} of one run; ratio is ours / reference.

    Raises HscError when no image came.
    """
    if not run.latencies:
        raise HscError(f"bench: no image came within {run.seconds:.0f} s: measure for longer")
    third = max(1, len(run.waiting) // 3)
    first, last = (float(np.mean(part)) for part in (run.waiting[:third], run.waiting[-third:]))
    same_frames = float(np.mean([codec.psnrs_db[number % len(codec.psnrs_db)] for number in run.numbers]))
    without = "the same codec, packets and channel without a flowgraph"
    measured = [
        ("frames received", "frames/s", run.received / run.seconds, 1 / codec.seconds, without),
        ("latency of the median frame", "s", float(np.median(run.latencies)), codec.seconds, without),
        ("latency that 95 % keep", "s", float(np.quantile(run.latencies, 0.95)), codec.seconds, without),
        ("PSNR", "dB", float(np.mean(run.psnrs_db)), same_frames, without),
        (
            "samples",
            "MS/s",
            run.samples / run.seconds / 1e6,
            run.sample_rate / 1e6,
            "the nominal sample rate",
        ),
        (
            "frames dropped by the bounded queue",
            "frames/s",
            run.dropped / run.seconds,
            run.offered / run.seconds,
            "frames offered",
        ),
        ("messages received whole", "messages", run.whole, run.sent, "messages sent"),
        ("PDUs that wait, last third of the time", "PDUs", last, first, "first third"),
        *(
            (f"CPU of {stage}", "cores", share, os.cpu_count() or 1, "all cores")
            for stage, share in run.shares.items()
        ),
    ]
    return [
        _row(f"{sending}, {run.sample_rate / 1e6:g} MS/s, {name}", *figures) for name, *figures in measured
    ]


def _row(name: str, unit: str, ours: float, reference: float, reference_name: str) -> dict:
    ratio = ours / reference if reference else None
    return {
        "name": name,
        "unit": unit,
        "ours": ours,
        "reference": reference,
        "reference_name": reference_name,
        "ratio": ratio,
    }
