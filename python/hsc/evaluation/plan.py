"""Plans: which points make which curve. A figure is data; measuring it (`sweep`) and drawing it (`drawing`)
know nothing of codecs.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from .. import channel, metrics
from ..codecs import registry
from ..errors import HscError
from .curves import Axis, Curves, Series, mean_and_confidence
from .sweep import Outcome
from .transmission import CAPACITY, Measured, Point, Reception, Sending, gain, options_of

KNOWS = ("mean", "gain", "nothing")
_REASON = 160  # characters of why a curve is left out
Say = Callable[[str], None]


@dataclass(frozen=True)
class Case:
    """One system as its users would set it up: one curve.

    Attributes:
        label: of the curve.
        codec, options: the transmitter's codec.
        receiver: options of the receiver's codec; it is not told the transmitter's.
        mcs: fixed MCS, or None for the codec's choice.
        knows: what the transmitter believes of the SNR: its "mean", the "gain" of this very image (a return
            path that is faster than the fading), or "nothing" (a one-way link: one message for every SNR).
    """

    label: str
    codec: str
    options: Mapping[str, object] = field(default_factory=dict)
    receiver: Mapping[str, object] = field(default_factory=dict)
    mcs: str | None = None
    knows: str = "mean"

    def __post_init__(self) -> None:
        if self.knows not in KNOWS:
            raise ValueError(f"case '{self.label}': knows must be one of {KNOWS}")


@dataclass(frozen=True)
class At:
    """One place on the x axis: where a case is measured there.

    Attributes:
        x: its value.
        reception: channel and SNR; the seeds are the curve's.
        cbr: budget of payload channel uses / (C·H·W).
        options, receiver: options of the transmitter's and the receiver's codec that go with this place.
    """

    x: float
    reception: Reception
    cbr: float
    options: Mapping[str, object] = field(default_factory=dict)
    receiver: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class PlannedCurve:
    """Points of one curve: for each place, for each image, for each seed."""

    label: str
    x: tuple[float, ...]
    points: tuple[tuple[tuple[Point, ...], ...], ...]


@dataclass(frozen=True)
class Plan:
    """All that a result file needs: curves over one axis, and how the findings are read off them.

    Attributes:
        name, description: of the result file.
        x: name and unit of the axis.
        curves: what to measure.
        findings: from `Samples` of every curve to the figures that the text quotes.
    """

    name: str
    description: str
    x: tuple[str, str]
    curves: tuple[PlannedCurve, ...]
    findings: Callable[[Mapping[str, Samples]], dict[str, object]] = lambda samples: {}

    @property
    def points(self) -> list[Point]:
        """Every point, images in the outer loop, so that a sweep that is stopped has whole images."""
        n_images = max((len(place) for curve in self.curves for place in curve.points), default=0)
        return [
            point
            for i in range(n_images)
            for curve in self.curves
            for place in curve.points
            for point in (place[i] if i < len(place) else ())
        ]


@dataclass(frozen=True)
class Samples:
    """PSNR of one curve: `x` (places,), `psnr_db` (places, images, seeds), NaN where a program failed."""

    x: np.ndarray
    psnr_db: np.ndarray

    def mean(self, x: float) -> float:
        """Mean PSNR at a place [dB]; NaN where there is none."""
        at = np.flatnonzero(np.isclose(self.x, x))
        return (
            float(np.nanmean(self.psnr_db[at[0]]))
            if len(at) and np.isfinite(self.psnr_db[at[0]]).any()
            else float("nan")
        )


def curve(
    case: Case,
    images: Sequence[str],
    places: Sequence[At],
    seeds: Sequence[int] = (0,),
    perceptual: tuple[str, ...] = (),
) -> PlannedCurve:
    """The points of a case over the places, for image identities and seeds of fading and noise; `perceptual`
    names distances of `metrics.PERCEPTUAL` that are measured besides PSNR and MS-SSIM.
    """
    points = tuple(
        tuple(tuple(_point(case, image, at, seed, perceptual) for seed in seeds) for image in images)
        for at in places
    )
    return PlannedCurve(case.label, tuple(float(at.x) for at in places), points)


def _point(case: Case, image: str, at: At, seed: int, perceptual: tuple[str, ...]) -> Point:
    reception = replace(at.reception, seed=seed, options=options_of({**case.receiver, **at.receiver}))
    options = options_of({**case.options, **at.options})
    sending = Sending(image, case.codec, options, _believed(case, image, reception), at.cbr, case.mcs)
    return Point(sending, reception, perceptual)


def _believed(case: Case, image: str, reception: Reception) -> float | None:
    """SNR that the transmitter believes, to a tenth of a dB, as a return path would tell it."""
    if case.knows == "nothing" or case.codec == CAPACITY:
        return None
    if case.knows == "mean" or reception.channel in ("ideal", "awgn"):
        return reception.snr_db
    return round(reception.snr_db + 20 * float(np.log10(max(abs(gain(image, reception)), 1e-6))), 1)


def available(cases: Iterable[Case], say: Say, losses: bool = False) -> list[Case]:
    """Those cases whose codec can be made; of the others it is said why not.

    A codec that sends repair symbols keeps its own share of them where packets will be lost (`losses`), and
    else sends few.
    """
    found = []
    for case in cases:
        try:
            if case.codec != CAPACITY:
                registry.create(case.codec, **case.receiver)
                codec = registry.create(case.codec, **case.options)
                if not losses:
                    case = replace(case, options={**codec.without_losses, **case.options})
        except HscError as error:
            say(f"left out: {case.label} ({textwrap.shorten(str(error), _REASON)})")
            continue
        found.append(case)
    return found


def spread(images: Sequence[str], count: int | None) -> list[str]:
    """`count` of the images, evenly spread; all when None."""
    if count is None or count >= len(images):
        return list(images)
    return [images[i] for i in np.unique(np.linspace(0, len(images) - 1, count).round().astype(int))]


def curves_of(plan: Plan, outcome: Outcome, command: str, say: Say) -> Curves:
    """The result file of a plan. Curves of which nothing could be sent are left out, and it is said why."""
    series, samples = [], {}
    for planned in plan.curves:
        made = _series(plan, planned, outcome)
        if isinstance(made, str):
            say(f"left out: {planned.label} ({textwrap.shorten(made, _REASON)})")
            continue
        series.append(made)
        samples[planned.label] = _samples(planned, outcome)
    images = max((len(place) for c in plan.curves for place in c.points), default=0)
    return Curves(
        plan.name, plan.description, command, series, {"images": images, **plan.findings(samples)}, None
    )


def _samples(planned: PlannedCurve, outcome: Outcome) -> Samples:
    def psnr(point: Point) -> float:
        return outcome.measured[point].psnr_db if point in outcome.measured else float("nan")

    return Samples(
        np.array(planned.x),
        np.array([[[psnr(p) for p in image] for image in place] for place in planned.points]),
    )


def _series(plan: Plan, planned: PlannedCurve, outcome: Outcome) -> Series | str:
    """Means over images and seeds, with the confidence interval over images (seeds of an image are averaged
    first).
    """
    places = [
        [[outcome.measured[p] for p in image if p in outcome.measured] for image in place]
        for place in planned.points
    ]
    kept = [
        (x, [image for image in place if image])
        for x, place in zip(planned.x, places, strict=True)
        if any(place)
    ]
    everything = [m for _, place in kept for image in place for m in image]
    if not everything:
        return "every point failed, see the errors"
    if all((m.failure or "").startswith("not sent") for m in everything):
        return everything[0].failure or ""
    psnr, confidence = _statistics(kept, "psnr_db")
    also = {key: _means(kept, key) for key in ("cbr", "cbr_with_overhead", "analog_uses", "digital_uses")}
    also["failed"] = [
        float(np.mean([m.failure is not None for image in place for m in image])) for _, place in kept
    ]
    for key in ("ms_ssim_db", *metrics.PERCEPTUAL):
        if all(getattr(m, key) is not None for m in everything):
            also[key], also[f"{key}_confidence"] = _statistics(kept, key)
    n_images = min(len(place) for _, place in kept)
    x = Axis(*plan.x, [float(x) for x, _ in kept])
    return Series(
        planned.label, "measured", x, Axis("psnr", "dB", psnr), confidence if n_images > 1 else None, also
    )


Kept = list[tuple[float, list[list[Measured]]]]


def _statistics(kept: Kept, key: str) -> tuple[list[float], list[float]]:
    found = [
        mean_and_confidence(np.array([np.mean([getattr(m, key) for m in image]) for image in place]))
        for _, place in kept
    ]
    return [mean[0] for mean, _ in found], [width[0] for _, width in found]


def _means(kept: Kept, key: str) -> list[float]:
    """Of what was sent at all."""
    sent = [[getattr(m, key) for image in place for m in image if m.cbr > 0] for _, place in kept]
    return [float(np.mean(values)) if values else 0.0 for values in sent]


def fading(kind: str, snr_db: float, **fields: object) -> Reception:
    """A reception over a kind of channel. Raises HscError for an unknown one."""
    if kind not in channel.KINDS:
        raise HscError(f"unknown channel '{kind}': choose one of {', '.join(channel.KINDS)}")
    return Reception(kind, float(snr_db), **fields)
