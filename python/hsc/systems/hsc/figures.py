"""The curves of the HSC paper (arXiv 2507.17196, section IV), measured with this module's codec.

Figures 2, 3 and 6 are over an error-free channel, figures 4 and 5 over independent slow Rayleigh fading of SR
and CR, eqs. (3)-(5). Header and packets are left out of the channel there, as in the paper; both CBRs are
reported.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ... import channel, metrics, modem
from ...codecs import registry
from ...errors import HscError
from ...evaluation import detail, pictures
from ...evaluation.curves import Axis, Curves, Series, crossing, mean_and_confidence
from ...evaluation.figure import Figure, Given, Images, Source
from ...evaluation.transmission import carry
from ...message import Link, Message, ReceivedAnalog, ReceivedDigital, ReceivedMessage
from ...phy.ledger import Ledger
from ...phy.numerology import Numerology, preset
from ...phy.packets import Modulated
from . import drawing

if TYPE_CHECKING:
    from PIL import Image

MCS = "16QAM-1/2"  # of the CR, section IV-A
RAW_BITS_PER_USE = 2.0  # of that MCS: what the raw image would be sent with, for eq. (21)
SYMBOLS = (4, 8, 16, 32, 64, 128)  # M that recipes are there for
DEFAULT_SYMBOLS = {"vae": 8, "vqvae": 8}  # M of the HSC curves, by semantic codec
FADING_SNRS = (0, 5, 10, 15, 20)  # mean SNRs [dB], section IV-A
FADING_RANKS = (0, 2, 4, 8, 12, 16, 20, 24)  # those that NCR adapters are trained for, and 0
ROBUST_MCS = "QPSK-1/2"  # of the CR of "robust": it needs 5.4 dB less SNR than MCS (phy/mcs.py)
PAPER_REDUCTION_PERCENT = 74.0  # section IV-C and abstract
# Mean SNR of figure 5 [dB]; the paper does not say its own. The middle of FADING_SNRS, where six CRs of ten
# arrive.
DIGIT_SNR_DB = 10.0
# Draws of fading that the digit of figure 5 goes through. The 95 % confidence interval of a mean MSE is 2 to
# 7 % of it then (hsc-fig5.json).
DRAWS = 2000
PHOTO_SHARES = (1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1)  # ranks of figure 6 over the height
_WINDOW = (112, 168)  # of figure 6's pictures: height and width of the detail [pixels]
_DIGIT_SCALE = 5  # of figure 5's pictures: pixels of the picture for a pixel of a digit
_DIGIT_GAP = 2  # between the two digits of a tile [pixels of a digit]


@dataclass(frozen=True)
class OperatingPoint:
    """One operating point over a set of images: all arrays (n,).

    Attributes:
        mse: of the received uint8 images, pixels in [0, 1].
        cbr, cbr_with_overhead: channel uses / (C·H·W).
        ratio: compression ratio of eq. (21).
        lost: share of images whose CR did not arrive whole.
    """

    mse: np.ndarray
    cbr: np.ndarray
    cbr_with_overhead: np.ndarray
    ratio: np.ndarray
    lost: float = 0.0


def error_free(message: Message) -> ReceivedMessage:
    """What an error-free channel delivers."""
    values = None
    if message.analog is not None:
        n = message.analog.size
        values = ReceivedAnalog(
            np.asarray(message.analog, np.float32).ravel(), np.zeros(n, np.float32), np.ones(n, bool)
        )
    streams = tuple(ReceivedDigital(s.data, np.ones(len(s.data), bool)) for s in message.digital)
    return ReceivedMessage(message.codec, message.shape, message.parameters.ljust(8, b"\0"), values, streams)


def fading(modulated: Modulated, snr_db: float, normal: channel.Normal) -> ReceivedMessage:
    """Each stream over its own block Rayleigh channel, known to the receiver: eqs. (3)-(5)."""
    return modem.demodulate(carry(modulated, "rayleigh", snr_db, normal, one_gain=False))


def untold(received: ReceivedMessage) -> ReceivedMessage:
    """The same, the semantic decoder not being told of the noise: it takes the equalised SR for exact, as the
    paper's does.
    """
    exact = np.zeros_like(received.analog.noise_variance)
    return replace(received, analog=replace(received.analog, noise_variance=exact))


def measure(
    images: Sequence[np.ndarray],
    options: dict[str, object],
    snrs_db: Sequence[float | None] = (None,),
    plain: bool = False,
    mcs: str = MCS,
    seed: int = 1,
    numerology: Numerology | None = None,
) -> list[OperatingPoint]:
    """Send images uint8 (H, W, C), each as one message that its transmitter makes without knowing the SNR: a
    point for each SNR.

    Args:
        options: of the codec; `tuning` is "none" unless given.
        snrs_db: mean SNRs of the fading channels [dB]; None is the error-free channel.
        plain: the semantic decoder is not told the noise.
        mcs: of the CR.
        seed: image i sees the same fading in every call of one seed, and the same noise on its SR.
    """
    codec = registry.create("hsc", **{"tuning": "none", **options})
    numerology = numerology or preset("ofdm64")
    errors = np.zeros((len(snrs_db), len(images)))
    lost, uses = np.zeros(errors.shape, bool), []
    for i, image in enumerate(images):
        message = codec.encode(image, Link(mcs=mcs))
        modulated = modem.modulate(message, 0)
        uses.append(_uses(modulated, image, numerology))
        for j, snr_db in enumerate(snrs_db):
            normal = channel.numpy_normal(np.random.default_rng([seed, i]))
            received = error_free(message) if snr_db is None else fading(modulated, snr_db, normal)
            if plain:
                received = untold(received)
            errors[j, i] = metrics.mse(codec.decode(received).image, image)
            lost[j, i] = not all(stream.complete for stream in received.digital)
    return [
        OperatingPoint(mse, *np.array(uses).T, float(share))
        for mse, share in zip(errors, lost.mean(1), strict=True)
    ]


def _uses(modulated: Modulated, image: np.ndarray, numerology: Numerology) -> tuple[float, float, float]:
    """CBR of the payload, CBR with every overhead, and compression ratio of eq. (21)."""
    ledger = Ledger.of_message(modulated.header, numerology)
    raw_uses = 8 * image.size / RAW_BITS_PER_USE
    return ledger.cbr(image.shape), ledger.cbr_with_overhead(image.shape), float(ledger.payload) / raw_uses


def series(name: str, points: Sequence[OperatingPoint], **also: Sequence[float]) -> Series:
    """Mean MSE against mean payload CBR."""
    mse, confidence = mean_and_confidence(np.array([p.mse for p in points]))
    columns = {key: [float(getattr(p, key).mean()) for p in points] for key in ("cbr_with_overhead", "ratio")}
    return Series(
        name,
        "measured",
        Axis("cbr", "payload channel uses / (C·H·W)", [float(p.cbr.mean()) for p in points]),
        Axis("mse", "pixels in [0, 1]", mse),
        confidence,
        {**columns, **{key: [float(v) for v in values] for key, values in also.items()}},
    )


def trained_symbols(semantic: str) -> list[int]:
    """Those M of SYMBOLS for which weights are there. Raises HscError when there are none."""
    found = []
    for m in SYMBOLS:
        try:
            measure(np.zeros((1, 28, 28, 1), np.uint8), {"semantic": semantic, "symbols": m, "rank": 0})
            found.append(m)
        except HscError:
            continue
    if not found:
        raise HscError(f"no weights for digits with semantic codec '{semantic}': run train, or reinstall")
    return found


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
    uses = _uses(modulated, digit, preset("ofdm64"))
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
