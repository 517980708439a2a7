"""The curves of the HSC paper (arXiv 2507.17196, section IV), measured with this module's codec.

Figures 2, 3 and 6 are over an error-free channel, figures 4 and 5 over independent slow Rayleigh fading of SR
and CR, eqs. (3)-(5). Header and packets are left out of the channel there, as in the paper; both CBRs are
reported.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...codecs import registry
from ...errors import HscError
from ...evaluation import detail, pictures
from ...evaluation.curves import Axis, Curves, Series, crossing, mean_and_confidence
from ...evaluation.figure import Figure, Given, Images, Source
from ...message import Link
from . import drawing
from .figure5 import fig5, fig5_pictures
from .measurement import (
    DEFAULT_SYMBOLS,
    FADING_RANKS,
    MCS,
    OperatingPoint,
    error_free,
    measure,
    series,
    trained_symbols,
)
from .options import SYMBOLS

if TYPE_CHECKING:
    from PIL import Image

FADING_SNRS = (0, 5, 10, 15, 20)  # mean SNRs [dB], section IV-A
ROBUST_MCS = "QPSK-1/2"  # of the CR of "robust": it needs 5.4 dB less SNR than MCS (phy/mcs.py)
PAPER_REDUCTION_PERCENT = 74.0  # section IV-C and abstract
PHOTO_SHARES = (1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1)  # ranks of figure 6 over the height
_WINDOW = (112, 168)  # of figure 6's pictures: height and width of the detail [pixels]


def fig2(given: Given, ranks: Sequence[int] = range(0, 29, 2)) -> Curves:
    """SC with growing M against HSC with growing k at one M, for VAE and VQ-VAE, both codings of the CR;
    error-free channel.
    """
    digits = list(given.images.values())
    found, findings = [], {"images": len(digits)}
    for semantic in ("vae", "vqvae"):
        loads, m = trained_symbols(semantic), DEFAULT_SYMBOLS[semantic]
        given.progress(f"SC, {semantic}")
        sc = series(
            f"SC, {semantic}",
            [p for n in loads for p in measure(digits, {"semantic": semantic, "symbols": n, "rank": 0})],
            symbols=loads,
        )
        found.append(sc)
        for cr in ("paper", "residual"):
            given.progress(f"HSC, {semantic}, CR {cr}")
            points = [
                p
                for k in ranks
                for p in measure(digits, {"semantic": semantic, "symbols": m, "rank": k, "cr": cr})
            ]
            curve = series(f"HSC, {semantic}, CR {cr}", points, rank=ranks)
            found.append(curve)
            key = f"{semantic}, CR {cr}"
            findings |= _crossing(f"{key}: CBR from which HSC (M = {m}) is below SC", curve, sc)
            findings[f"{key}: MSE at full rank"] = curve.y.values[-1]
        findings[f"{semantic}: least MSE of SC"] = min(sc.y.values)
    text = (
        "MNIST test digits, error-free channel: MSE against CBR when the SR grows (SC, rank 0) and when the "
        "CR grows (HSC)."
    )
    return Curves("hsc-fig2", text, given.command, found, findings)


def fig3(given: Given, ranks: Sequence[int] = (0, 2, 4, 8, 12, 16, 20, 24, 28)) -> Curves:
    """HSC with growing k for several M against SC with growing M: the CBR from which HSC is better, for each
    M.
    """
    digits, loads = list(given.images.values()), trained_symbols("vae")
    given.progress("SC")
    sc = series(
        "SC",
        [p for n in loads for p in measure(digits, {"semantic": "vae", "symbols": n, "rank": 0})],
        symbols=loads,
    )
    found, findings = [sc], {"images": len(digits)}
    for cr in ("paper", "residual"):
        for m in loads:
            given.progress(f"M = {m}, CR {cr}")
            points = [
                p
                for k in ranks
                for p in measure(digits, {"semantic": "vae", "symbols": m, "rank": k, "cr": cr})
            ]
            curve = series(f"HSC, M = {m}, CR {cr}", points, rank=ranks)
            found.append(curve)
            findings |= _crossing(f"M = {m}, CR {cr}: CBR from which HSC is below SC", curve, sc)
    text = (
        "MNIST test digits, error-free channel, VAE: SC at several M, and HSC from each of them with "
        "growing rank k."
    )
    return Curves("hsc-fig3", text, given.command, found, findings)


def _crossing(text: str, curve: Series, sc: Series) -> dict[str, object]:
    """CBR from which `curve` is below the best that SC reaches with at most as many channel uses:
    interpolated, and the first measured point; between the points lie whole LDPC blocks, so that not every
    interpolated CBR can be had."""
    level = np.minimum.accumulate(sc.y.values)
    below = np.array(curve.y.values) < np.interp(curve.x.values, sc.x.values, level)
    return {
        text: crossing(curve.x.values, curve.y.values, sc.x.values, level),
        f"{text}, first measured point": curve.x.values[int(below.argmax())] if below.any() else None,
    }


def fig4(given: Given, ranks: Sequence[int] = FADING_RANKS, snrs: Sequence[float] = FADING_SNRS) -> Curves:
    """MSE under Rayleigh fading against mean SNR for each k, with and without tuning.

    plain: untuned, the equalised SR goes to the decoder as it is, like in the paper. none: untuned, the SR is
    shrunk by its noise variance first, as this module's receiver always does. few-shot, ncr: the paper's two
    tunings. robust: not in the paper, as many channel uses as plain at that k, but a longer tuned SR, CR
    coded as projection, and ROBUST_MCS.
    """
    digits = list(given.images.values())
    found: list[Series] = []
    mean: dict[tuple[str, int], float] = {}

    def add(kind: str, k: int, options: dict[str, object], mcs: str = MCS) -> list[OperatingPoint]:
        given.progress(f"{kind}, k = {k}")
        points = measure(digits, options, snrs, kind == "plain", mcs)
        found.append(_fading_series(f"{kind}, k = {k}", snrs, points))
        mean[kind, k] = float(np.mean([p.mse.mean() for p in points]))
        return points

    m, long = DEFAULT_SYMBOLS["vae"], _longest_tuned()
    for k in ranks:
        paper = {"semantic": "vae", "symbols": m, "rank": k, "cr": "paper"}
        plain = add("plain", k, {**paper, "tuning": "none"})
        for tuning in ("none", "few-shot", "ncr") if k else ("none", "few-shot"):  # adapters belong to a CR
            add(tuning, k, {**paper, "tuning": tuning})
        if k:
            robust = {
                "symbols": long,
                "cbr": float(plain[0].cbr.mean()),
                "cr": "projection",
                "tuning": "few-shot",
            }
            add("robust", k, robust, ROBUST_MCS)
    text = (
        f"MNIST test digits, VAE with M = {m}, CR as in the paper, JPEG2000, LDPC 1/2 and 16QAM; SR and CR "
        "each over its own block Rayleigh channel of mean gain 1, known to the receiver. plain: semantic "
        "decoder not told the noise. "
        f"robust: M = {long}, few-shot, CR as projection at {ROBUST_MCS}, within the mean CBR of plain at "
        "the same k."
    )
    return Curves("hsc-fig4", text, given.command, found, {"images": len(digits), **_reductions(mean)})


def _reductions(mean: dict[tuple[str, int], float]) -> dict[str, object]:
    """How much lower the MSE of each kind is than that of the untuned ones, for each k and over all, averaged
    over the SNRs.
    """
    found: dict[str, object] = {"paper: MSE lower by NCR [%]": PAPER_REDUCTION_PERCENT}
    for baseline in ("plain", "none"):
        for kind in ("few-shot", "ncr", "robust"):
            shares = {
                k: 100 * (1 - value / mean[baseline, k])
                for (name, k), value in mean.items()
                if name == kind and k
            }
            found |= {
                f"{kind} against {baseline}, k = {k}: MSE lower by [%]": share for k, share in shares.items()
            }
            found[f"{kind} against {baseline}: MSE lower by, mean over k > 0 [%]"] = float(
                np.mean(list(shares.values()))
            )
    return found


def _longest_tuned() -> int:
    """The largest M with few-shot weights. Raises HscError when there are none."""
    from ... import weights

    tuned = [m for m in SYMBOLS if f"hsc-mnist-vae-m{m}-few-shot" in weights.names()]
    if not tuned:
        raise HscError("no few-shot weights of digits: run train hsc-mnist-vae-m8-few-shot, or install again")
    return max(tuned)


def _fading_series(name: str, snrs: Sequence[float], points: Sequence[OperatingPoint]) -> Series:
    mse, confidence = mean_and_confidence(np.array([p.mse for p in points]))
    columns = {
        key: [float(getattr(p, key).mean()) for p in points] for key in ("cbr", "cbr_with_overhead", "ratio")
    }
    x = Axis("snr", "mean Es/N0 [dB]", [float(s) for s in snrs])
    return Series(
        name,
        "measured",
        x,
        Axis("mse", "pixels in [0, 1]", mse),
        confidence,
        {**columns, "cr_lost": [p.lost for p in points]},
    )


def fig6(given: Given, shares: Sequence[float] = PHOTO_SHARES) -> Curves:
    """A colour photograph uint8 (H, W, 3) with growing k: PSNR against CBR, both codings of the CR;
    error-free channel.

    Args:
        shares: ranks over the photograph's height; 0 comes first.
    """
    ((name, photo),) = given.images.items()
    height, width, _ = photo.shape
    ranks = [0, *(round(height * share) for share in shares)]
    found = []
    for cr in ("paper", "residual"):
        points = []
        for k in ranks:
            given.progress(f"CR {cr}, k = {k}")
            points += measure([photo], {"rank": k, "cr": cr})
        curve = series(f"HSC, CR {cr}", points, rank=ranks)
        psnr = Axis("psnr", "dB", [-10 * np.log10(max(v, 1e-10)) for v in curve.y.values])
        also = {**curve.also, "mse": curve.y.values}
        found.append(Series(curve.name, curve.source, curve.x, psnr, None, also))
    text = (
        f"{name}, {width} x {height}, error-free channel, convolutional VAE: quality as the rank k of the "
        "CR grows from 0 (SR alone)."
    )
    return Curves("hsc-fig6", text, given.command, found)


def fig6_pictures(given: Given, found: Curves) -> Image.Image:
    """The piece of the photograph where the SR alone is worst, as k grows."""
    ((name, photo),) = given.images.items()
    residual = found.series[1]
    received = []
    for k in residual.also["rank"]:
        codec = registry.create("hsc", tuning="none", cr="residual", rank=int(k))
        received.append(codec.decode(error_free(codec.encode(photo, Link(mcs=MCS)))).image)
    size = tuple(min(side, part) for side, part in zip(photo.shape, _WINDOW, strict=False))
    error = detail.local_mse(photo, received[0], size)
    window = detail.window_at(*np.unravel_index(error.argmax(), error.shape), size)
    tiles = [pictures.Tile(photo[window], "original", f"a detail of {name}")]
    columns = residual.also["rank"], received, residual.y.values, residual.x.values
    for k, image, psnr, cbr in zip(*columns, strict=True):
        label = f"k = {k:g}" if k else "SR alone"
        tiles.append(pictures.Tile(image[window], label, f"{pictures.quality(psnr)}, CBR {cbr:.3f}"))
    heading = "HSC, error-free channel, CR coded as residual; figures are of the whole image"
    rows = [tiles[i : i + 3] for i in range(0, len(tiles), 3)]
    return pictures.grid(rows, tile_height=2 * _WINDOW[0], heading=heading)


_FEW_RANKS = (0, 4, 12, 28)
FIGURES = (
    Figure(
        name="hsc-fig2",
        summary="MSE against CBR, SR growing against CR growing, VAE and VQ-VAE",
        images=Images(Source.DIGITS, 500),
        measure=fig2,
        draw=drawing.fig2,
        quick={"ranks": _FEW_RANKS},
    ),
    Figure(
        name="hsc-fig3",
        summary="MSE against CBR from several M: where HSC begins to be better",
        images=Images(Source.DIGITS, 200),
        measure=fig3,
        draw=drawing.fig3,
        quick={"ranks": _FEW_RANKS},
    ),
    Figure(
        name="hsc-fig4",
        summary="Rayleigh fading: no tuning, few-shot tuning, NCR adapters",
        images=Images(Source.DIGITS, 300),
        measure=fig4,
        draw=drawing.fig4,
        quick={"ranks": (0, 4), "snrs": (0, 10, 20)},
    ),
    Figure(
        name="hsc-fig5",
        summary="a typical digit through fading, generated and recomposed, with growing rank k",
        images=Images(Source.DIGITS, 300),
        measure=fig5,
        draw=drawing.fig5,
        quick={"ranks": (0, 4, 12), "draws": 20},
        pictures=fig5_pictures,
    ),
    Figure(
        name="hsc-fig6",
        summary="a colour photograph with growing rank k",
        images=Images(Source.PHOTOGRAPH, 1),
        measure=fig6,
        draw=drawing.fig6,
        quick={"shares": (1 / 32, 1 / 4)},
        pictures=fig6_pictures,
    ),
)
