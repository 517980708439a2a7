"""`compare`: every codec on the user's own image, as a picture grid, a curve and their figures."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from .. import files, metrics
from ..codecs import registry
from ..errors import HscError
from ..evaluation import curves, detail, drawing, pictures, plan, sweep
from ..evaluation.transmission import image_id
from ..images import files as image_files
from . import planned
from .codec_options import by_codec, shown
from .report import make_folder, save_picture, tell_left_out

_SHOWN_SNRS = 4  # columns of the grid: more do not fit the width of a screen
_MOST_POINTS = 101  # SNRs of a range, so that a mistyped step does not start a run of days


@dataclass(frozen=True)
class Comparison:
    """What is compared: codecs (all that serve photographs when empty) over a channel at SNRs [dB] within a
    CBR, by PSNR, MS-SSIM and distances of `metrics.PERCEPTUAL`. Options of the receiver go to every codec
    that has them.
    """

    snrs_db: tuple[float, ...]
    cbr: float
    codecs: tuple[str, ...] = ()
    channel: str = "awgn"
    seed: int = 1
    perceptual: tuple[str, ...] = metrics.USUAL
    receiver: Mapping[str, object] = field(default_factory=dict)

    def command(self, path: Path) -> str:
        """What a user types to get the same."""
        given = [
            f"--snr {','.join(f'{snr:g}' for snr in self.snrs_db)}",
            f"--cbr {self.cbr:.6g}",
            f"--channel {self.channel}",
            f"--seed {self.seed}",
        ]
        name = f"./{path.name}" if path.name.startswith("-") else path.name
        distances = [] if self.perceptual == metrics.USUAL else [",".join(self.perceptual) or "none"]
        return " ".join(
            [
                "./gr-hsc compare",
                shlex.quote(name),
                *given,
                *([f"--codecs {','.join(self.codecs)}"] if self.codecs else []),
                *(f"--metrics {names}" for names in distances),
                *(
                    f"--rx-option {shlex.quote(f'{name}={value}')}"
                    for name, value in shown(self.receiver).items()
                ),
            ]
        )

    @property
    def of_receivers(self) -> str:
        """Options of the receivers, for a heading."""
        given = [f"{name}={value}" for name, value in shown(self.receiver).items()]
        return f"receivers with {', '.join(given)} where they have it; " if given else ""

    @property
    def cases(self) -> list[plan.Case]:
        """One curve for each codec, or for each of its variants. Raises HscError for an unknown codec."""
        names, receivers = self.codecs or registry.names(), by_codec(dict(self.receiver))
        return [
            plan.Case(label, name, options, receiver=receivers.get(name, {}))
            for name in names
            for label, options in _variants(name).items()
        ]


def _variants(name: str) -> Mapping[str, Mapping[str, object]]:
    """Options by label. A codec that cannot be loaded has one variant, so that `plan.available` says why it
    is left out.
    """
    registry.entry(name)  # an unknown name is an error
    try:
        return registry.codec_class(name).variants or {name: {}}
    except HscError:
        return {name: {}}


def snr_range(text: str) -> tuple[float, ...]:
    """ "0:20:2" (first, last, step), "0:20" (steps of 1) or "0,5,10" → SNRs [dB]. Raises HscError for
    anything else.
    """
    try:
        if ":" not in text:
            values = [float(part) for part in text.split(",")]
        else:
            first, last, step = [*map(float, text.split(":")), 1.0][:3]
            if text.count(":") > 2 or not step > 0 or not 0 <= (last - first) / step <= _MOST_POINTS:
                raise ValueError
            values = [first + step * i for i in range(int((last - first) / step + 1e-9) + 1)]
    except ValueError:
        raise HscError(
            f"'{text}' is no range of SNRs: give first:last:step such as 0:20:2, or a list such as 0,5,10"
        ) from None
    if not all(-30 <= v <= 60 for v in values):  # also refuses NaN
        raise HscError(f"SNRs are -30 to 60 dB, not '{text}'")
    return tuple(dict.fromkeys(values))


def run(path: Path, comparison: Comparison, workers: planned.Workers, out: Path) -> list[Path]:
    """Measure, and write OUT/<stem>_compare.json, <stem>_compare_curve.png and <stem>_compare_grid.png: paths
    written.

    What was changed on the way from the file to the pixels is told. Raises HscError for a file that is no
    image, an unknown codec, or when no codec can serve the image.
    """
    workers.check()
    loaded = image_files.load(path)
    image, stem, shown_name = loaded.pixels, files.stem(path.stem), files.printable(path.name)
    for note in loaded.notes:
        planned.say(f"{files.label(path)}: {note}")
    name = image_id(files.printable(path.stem), image)
    make_folder(out)
    places = [
        plan.At(snr, plan.fading(comparison.channel, snr, judged=comparison.perceptual), comparison.cbr)
        for snr in comparison.snrs_db
    ]
    cases = plan.available(comparison.cases, planned.say)
    height, width, _ = image.shape
    text = (
        f"{shown_name}, {width} x {height}, {comparison.channel}, CBR {comparison.cbr:.4g}; "
        f"{comparison.of_receivers}the transmitter knows the mean SNR."
    )
    tell_left_out(comparison.perceptual)
    planned_curves = tuple(plan.curve(case, [name], places, (comparison.seed,)) for case in cases)
    todo = plan.Plan(f"{stem}_compare", text, ("snr", "mean Es/N0 [dB]"), planned_curves)
    shown = shown_places(len(places))
    wanted = [curve.points[i][0][0] for curve in todo.curves for i in shown]
    found, outcome = planned.measure(todo, {name: image}, comparison.command(path), None, workers, wanted)
    if not found.series:
        raise HscError(f"no codec could send {shown_name}: see the lines above")
    _tell_failures(todo.curves, outcome)
    planned.show(found)
    written = curves.save(found, out), out / f"{stem}_compare_curve.png", out / f"{stem}_compare_grid.png"
    drawing.save(drawing.qualities(found, colours=drawing.of_codecs(), title=text), written[1])
    shown_curves = [curve for curve in todo.curves if curve.label in {s.name for s in found.series}]
    save_picture(_grid(image, shown_name, text, shown_curves, outcome, shown), written[2])
    return list(written)


def _tell_failures(shown_curves: Sequence[plan.Curve], outcome: sweep.Outcome) -> None:
    """A line for each curve and reason: at which SNRs there is no image."""
    for curve in shown_curves:
        snrs: dict[str, list[str]] = {}
        for x, place in zip(curve.x, curve.points, strict=True):
            measured = outcome.measured.get(place[0][0])
            if measured is not None and measured.failure is not None:
                snrs.setdefault(measured.failure, []).append(f"{x:g}")
        for reason, at in snrs.items():
            planned.say(f"{curve.label} at {', '.join(at)} dB: {reason}")


def shown_places(count: int) -> list[int]:
    """Which of `count` SNRs the grid shows: at most _SHOWN_SNRS, first and last among them."""
    return sorted(set(np.linspace(0, count - 1, min(count, _SHOWN_SNRS)).round().astype(int).tolist()))


def _grid(
    image: np.ndarray,
    name: str,
    text: str,
    shown_curves: Sequence[plan.Curve],
    outcome: sweep.Outcome,
    shown: Sequence[int],
) -> Image.Image:
    """A row for each codec, a column for each SNR shown, below each picture its quality and the PSNR of its
    detail; the original comes first.

    Each picture is small and whole, and beside it a detail at full size: the same of all, where the codecs
    differ most.
    """
    points = [[curve.points[i][0][0] for curve in shown_curves] for i in shown]
    received = {
        point: outcome.pictures[point]
        for column in points
        for point in column
        if point in outcome.measured and outcome.measured[point].failure is None
    }
    window = detail.place(image, [[received[p] for p in column if p in received] for column in points])
    whole = image[window].shape == image.shape

    def tile(curve: plan.Curve, i: int) -> pictures.Tile:
        point, title = curve.points[i][0][0], f"{curve.label}, {curve.x[i]:g} dB"
        measured = outcome.measured.get(point)
        if measured is None:
            return pictures.Tile(None, title, outcome.errors.get(point, ""))
        if measured.failure is not None:
            why = "not sent" if measured.unsent else "nothing arrived"
            return pictures.Tile(None, title, "counted as mid-grey", why)
        below = [pictures.quality(measured.psnr_db), *metrics.in_words(vars(measured))]
        if not whole:
            psnr = metrics.psnr_db(received[point][window], image[window])
            below.append(f"detail {pictures.quality(psnr)}")
        return pictures.Tile(detail.beside(received[point], window), title, ", ".join(below))

    original = detail.beside(image, window)
    rows = [
        [pictures.Tile(original, "original", name)],
        *([tile(curve, i) for i in shown] for curve in shown_curves),
    ]
    heading = text if whole else f"{text} The detail is at full size, where the codecs differ most."
    return pictures.grid(rows, tile_height=256 if whole else original.shape[0], heading=heading)
