"""Plans: which points make which curve. A figure is data; measuring it (`sweep`) and drawing it (`drawing`)
know nothing of codecs.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from .. import channel
from ..codecs import registry
from ..errors import HscError
from .curves import Axis, Curves, Series, mean_and_confidence
from .quality import FURTHER
from .sweep import Outcome
from .transmission import CAPACITY, Measured, Point, Reception, Sending, gain, options_of

# Qualities that are columns of a result where every point of the curve has them, with their confidence.
_QUALITIES = ("ms_ssim_db", *FURTHER, "psnr_inside_db")
# What findings are read off: fields and properties of `Measured`.
_COLUMNS = ("psnr_db", *_QUALITIES, "cbr", "side_share", "failed", "decode_seconds")
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
        mcs: fixed MCS, or a code whose MCS the codec chooses; None leaves both to the codec. The paper's code
            where nothing else is said.
        knows: what the transmitter believes of the SNR: its "mean", the "gain" of this very image (a return
            path that is faster than the fading), or "nothing" (a one-way link: one message for every SNR).
        loss: share of the packets that the transmitter expects to lose; None: that of the channel.
        stand_off_db: how far below the mean SNR the transmitter keeps, for a channel that fades [dB].
    """

    label: str
    codec: str
    options: Mapping[str, object] = field(default_factory=dict)
    receiver: Mapping[str, object] = field(default_factory=dict)
    mcs: str | None = "802.11ad"
    knows: str = "mean"
    loss: float | None = None
    stand_off_db: float = 0.0

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
    """Points of one curve.

    Attributes:
        label: what a legend says.
        x: values of the axis.
        points: for each place, for each image, what is averaged there, such as one for each seed. An image
            that is not measured at a place has none.
        axis: name and unit of the axis where it is not the plan's.
    """

    label: str
    x: tuple[float, ...]
    points: tuple[tuple[tuple[Point, ...], ...], ...]
    axis: tuple[str, str] | None = None


@dataclass(frozen=True)
class Plan:
    """All that a result file needs: curves over one axis, and how the findings are read off them.

    Attributes:
        name, description: of the result file.
        x: name and unit of the axis.
        curves: what to measure.
        findings: from `Samples` of every curve to the figures that the text quotes.
        also: fields of `Measured` whose means are further columns of the result: what is not in every result,
            because it differs from run to run (seconds) or says nothing there.
    """

    name: str
    description: str
    x: tuple[str, str]
    curves: tuple[PlannedCurve, ...]
    findings: Callable[[Mapping[str, Samples]], dict[str, object]] = lambda samples: {}
    also: tuple[str, ...] = ()

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
    """What one curve gave: `x` (places,), and by the name of a field or property of `Measured` its values,
    (places, images, seeds), NaN where a program failed or nothing was to be measured.
    """

    x: np.ndarray
    columns: Mapping[str, np.ndarray]

    @property
    def psnr_db(self) -> np.ndarray:
        """PSNR [dB]."""
        return self.columns["psnr_db"]

    def at(self, x: float, column: str = "psnr_db") -> np.ndarray:
        """Values at a place, (images, seeds); none, (0, 0), where the curve has no such place."""
        found = np.flatnonzero(np.isclose(self.x, x))
        return self.columns[column][found[0]] if len(found) else np.empty((0, 0))

    def mean(self, x: float, column: str = "psnr_db") -> float:
        """Mean at a place, over the images and seeds that have one; NaN where none has."""
        values = self.at(x, column)
        return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def curve(
    case: Case,
    images: Sequence[str],
    places: Sequence[At],
    seeds: Sequence[int] | Mapping[str, Sequence[int]] = (0,),
    only: Collection[str] | None = None,
) -> PlannedCurve:
    """The points of a case over the places, for image identities and seeds of fading and noise, the same for
    all images or each image's own; `only` some of the images are measured where a curve is one of several
    that share them.
    """
    own = seeds if isinstance(seeds, Mapping) else dict.fromkeys(images, seeds)
    points = tuple(
        tuple(
            tuple(_point(case, image, at, seed) for seed in own[image])
            if only is None or image in only
            else ()
            for image in images
        )
        for at in places
    )
    return PlannedCurve(case.label, tuple(float(at.x) for at in places), points)


def averaged(label: str, curves: Sequence[PlannedCurve]) -> PlannedCurve:
    """The mean of curves of the same places and images, such as those of several SNRs: for each place and
    image the points of all. They are measured once.
    """
    places = zip(*(each.points for each in curves), strict=True)
    points = tuple(tuple(sum(image, ()) for image in zip(*place, strict=True)) for place in places)
    return PlannedCurve(label, curves[0].x, points)


def _point(case: Case, image: str, at: At, seed: int) -> Point:
    reception = replace(at.reception, seed=seed, options=options_of({**case.receiver, **at.receiver}))
    options = options_of({**case.options, **at.options})
    believed = _believed(case, image, reception)
    loss = reception.loss if case.loss is None else case.loss
    return Point(Sending(image, case.codec, options, believed, at.cbr, case.mcs, loss), reception)


def _believed(case: Case, image: str, reception: Reception) -> float | None:
    """SNR that the transmitter believes, to a tenth of a dB, as a return path would tell it."""
    if case.knows == "nothing" or case.codec == CAPACITY:
        return None
    if case.knows == "mean" or reception.channel in ("ideal", "awgn"):
        return reception.snr_db - case.stand_off_db
    return round(reception.snr_db + 20 * float(np.log10(max(abs(gain(image, reception)), 1e-6))), 1)


def available(cases: Iterable[Case], say: Say) -> list[Case]:
    """Those cases whose codec can be made; of the others it is said why not."""
    found = []
    for case in cases:
        try:
            if case.codec != CAPACITY:
                registry.create(case.codec, **case.receiver)
                registry.create(case.codec, **case.options)
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
    seeds = max((len(image) for place in planned.points for image in place), default=0)
    shape = len(planned.points), max((len(place) for place in planned.points), default=0), seeds
    columns = {name: np.full(shape, np.nan) for name in _COLUMNS}
    for i, place in enumerate(planned.points):
        for j, image in enumerate(place):
            for k, point in enumerate(image):
                if (measured := outcome.measured.get(point)) is None:
                    continue
                for name, values in columns.items():
                    value = getattr(measured, name)
                    values[i, j, k] = np.nan if value is None else value
    return Samples(np.array(planned.x), columns)


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
    if all(m.unsent for m in everything):
        return everything[0].failure or ""
    psnr, confidence = _statistics(kept, "psnr_db")
    spent = ("cbr", "cbr_with_overhead", "analog_uses", "digital_uses", *plan.also)
    also = {key: _means(kept, key) for key in spent}
    also["failed"] = [
        float(np.mean([m.failure is not None for image in place for m in image])) for _, place in kept
    ]
    for key in _QUALITIES:
        if all(getattr(m, key) is not None for m in everything):
            also[key], also[f"{key}_confidence"] = _statistics(kept, key)
    n_images = min(len(place) for _, place in kept)
    x = Axis(*(planned.axis or plan.x), [float(x) for x, _ in kept])
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
