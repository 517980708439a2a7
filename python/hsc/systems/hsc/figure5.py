"""Figure 5 of the HSC paper: one digit through fading, generated and recomposed, with growing rank k."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ... import channel, metrics, modem
from ...codecs import registry
from ...evaluation import pictures
from ...evaluation.curves import Axis, Curves, Series, mean_and_confidence
from ...evaluation.figure import Given
from ...message import Link
from ...phy.numerology import preset
from .measurement import DEFAULT_SYMBOLS, FADING_RANKS, MCS, channel_uses, fading, measure, untold

if TYPE_CHECKING:
    from PIL import Image

# Mean SNR of figure 5 [dB]; the paper does not say its own. The middle of FADING_SNRS, where six CRs of ten
# arrive.
DIGIT_SNR_DB = 10.0
# Draws of fading that the digit of figure 5 goes through. The 95 % confidence interval of a mean MSE is 2 to
# 7 % of it then (hsc-fig5.json).
DRAWS = 2000
_DIGIT_SCALE = 5  # of figure 5's pictures: pixels of the picture for a pixel of a digit
_DIGIT_GAP = 2  # between the two digits of a tile [pixels of a digit]


@dataclass(frozen=True)
class Faded:
    """One digit as it came through draws of fading.

    Attributes:
        generated, recomposed: G from the SR alone and the received image, uint8 (draws, H, W, C).
        lost: bool (draws,), whether the CR did not arrive whole.
        uses: CBR of the payload, CBR with every overhead, compression ratio of eq. (21).
    """

    generated: np.ndarray
    recomposed: np.ndarray
    lost: np.ndarray
    uses: tuple[float, float, float]


def fade(
    digit: np.ndarray, kind: str, rank: int, draws: Iterable[int], snr_db: float = DIGIT_SNR_DB
) -> Faded:
    """Send uint8 (28, 28, 1) once and receive it through draws of fading.

    A draw's fading of SR and CR, and the noise on the SR, are the same for every kind and rank.

    Args:
        kind: "plain", "few-shot" or "ncr", as in figure 4.
    """
    tuning = "none" if kind == "plain" else kind
    codec = registry.create("hsc", symbols=DEFAULT_SYMBOLS["vae"], rank=rank, cr="paper", tuning=tuning)
    modulated = modem.modulate(codec.encode(digit, Link(mcs=MCS)), 0)
    generated, recomposed, lost = [], [], []
    for draw in draws:
        received = fading(modulated, snr_db, channel.numpy_normal(np.random.default_rng([1, draw])))
        received = untold(received) if kind == "plain" else received
        generated.append(codec.decode(replace(received, digital=())).image)
        recomposed.append(codec.decode(received).image)
        lost.append(not all(stream.complete for stream in received.digital))
    uses = channel_uses(modulated, digit, preset("ofdm64"))
    return Faded(np.array(generated), np.array(recomposed), np.array(lost), uses)


def typical(digits: Sequence[np.ndarray]) -> int:
    """Which of the digits stands for all: that whose SR alone, untuned and over an error-free channel, gives
    the median error (the lower one of two).
    """
    (point,) = measure(digits, {"symbols": DEFAULT_SYMBOLS["vae"], "rank": 0})
    return int(np.argsort(point.mse, kind="stable")[(len(digits) - 1) // 2])


def fig5(given: Given, ranks: Sequence[int] = FADING_RANKS, draws: int = DRAWS) -> Curves:
    """One digit through fading as k grows, generated and recomposed: plain, few-shot tuning, NCR adapters.

    The digit is the `typical` one of those given. The draw that the pictures show is, of those in which every
    CR arrives, the one with the median error of the untuned G: only these show what k does.
    """
    name = list(given.images)[typical(list(given.images.values()))]
    digit = given.images[name]
    found: dict[str, dict[int, Faded]] = {"plain": {}, "few-shot": {}, "ncr": {}}
    for kind, by_rank in found.items():
        for k in (k for k in ranks if k or kind != "ncr"):  # adapters belong to a CR
            given.progress(f"{kind}, k = {k}")
            by_rank[k] = fade(digit, kind, k, range(draws))
    arrived = ~np.any([faded.lost for by_rank in found.values() for faded in by_rank.values()], axis=0)
    series = [_faded_series(kind, digit, by_rank) for kind, by_rank in found.items()]
    findings = {
        "digits to choose from": len(given.images),
        "digit": name,
        "draws": draws,
        "mean Es/N0 [dB]": DIGIT_SNR_DB,
        "draws in which every CR arrives": int(arrived.sum()),
        "draw shown": _median_draw(_errors(found["plain"][ranks[0]].generated, digit), arrived),
    }
    plain = dict(zip(series[0].x.values, series[0].y.values, strict=True))
    for tuned in series[1:]:
        findings |= {
            f"{tuned.name} against plain, k = {k:g}: MSE lower by [%]": 100 * (1 - y / plain[k])
            for k, y in zip(tuned.x.values, tuned.y.values, strict=True)
        }
    text = (
        f"One MNIST test digit, VAE with M = {DEFAULT_SYMBOLS['vae']}, CR as in the paper, JPEG2000, LDPC "
        "1/2 and 16QAM, over block Rayleigh channels as in hsc-fig4. generated: G of the SR alone; the "
        "series themselves are of the recomposed image. The digit is that whose SR alone has the median "
        "error, without tuning and channel."
    )
    return Curves("hsc-fig5", text, given.command, series, findings)


def _faded_series(kind: str, digit: np.ndarray, by_rank: dict[int, Faded]) -> Series:
    """Mean MSE over the draws against the rank, recomposed; generated in `also`."""
    mse, confidence = mean_and_confidence(np.array([_errors(f.recomposed, digit) for f in by_rank.values()]))
    rows = [(_errors(f.generated, digit).mean(), f.lost.mean(), *f.uses) for f in by_rank.values()]
    names = ("generated_mse", "cr_lost", "cbr", "cbr_with_overhead", "ratio")
    columns = {
        name: [float(v) for v in values] for name, values in zip(names, zip(*rows, strict=True), strict=True)
    }
    x = Axis("rank", "rank k of the CR", [float(k) for k in by_rank])
    return Series(kind, "measured", x, Axis("mse", "pixels in [0, 1]", mse), confidence, columns)


def _errors(received: np.ndarray, digit: np.ndarray) -> np.ndarray:
    """MSE of uint8 (draws, H, W, C), pixels in [0, 1], (draws,)."""
    return np.array([metrics.mse(image, digit) for image in received])


def _median_draw(errors: np.ndarray, usable: np.ndarray) -> int:
    """Of the usable draws, all where none is, the one with the median error (the lower one of two)."""
    among = np.flatnonzero(usable) if usable.any() else np.arange(len(errors))
    return int(among[np.argsort(errors[among], kind="stable")[(len(among) - 1) // 2]])


def fig5_pictures(given: Given, found: Curves) -> Image.Image:
    """One draw of fading: a row for each tuning, a column for each k; G above, the recomposed digit below."""
    digit, draw = given.images[found.findings["digit"]], found.findings["draw shown"]
    blank = np.full_like(digit, 255)
    rows = []
    for series in found.series:
        row = [pictures.Tile(_stacked(digit, blank), series.name, "original")]
        for k in (int(k) for k in series.x.values if k):
            faded = fade(digit, series.name, k, [draw])
            pair = faded.generated[0], faded.recomposed[0]
            before, after = (metrics.mse(image, digit) for image in pair)
            told = f"{before:.4f}, then {after:.4f} ({pictures.quality(metrics.psnr_db(pair[1], digit))})"
            row.append(pictures.Tile(_stacked(*pair), f"k = {k}", told))
        rows.append(row)
    heading = (
        f"HSC, {found.findings['digit']}, one draw of Rayleigh fading at a mean of {DIGIT_SNR_DB:g} dB. "
        "Above: generated from the SR "
        "alone, below: recomposed. MSE of both, PSNR of the latter."
    )
    height = _DIGIT_SCALE * (2 * digit.shape[0] + _DIGIT_GAP)
    return pictures.grid(rows, tile_height=height, heading=heading)


def _stacked(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """One picture of two, uint8 (2 H + gap, W, C)."""
    gap = np.full((_DIGIT_GAP, *above.shape[1:]), 255, np.uint8)
    return np.concatenate([above, gap, below])
