"""The curves of the HSC paper (arXiv 2507.17196, section IV), measured with this module's codec.

Figures 2 and 3 are over an error-free channel, figure 4 over independent slow Rayleigh fading of SR and CR,
eqs. (3)-(5). Header and packets are left out of the channel there, as in the paper; both CBRs are reported.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ... import channel, metrics, modem, weights
from ...codecs import registry
from ...errors import HscError
from ...evaluation.curves import Axis, Curves, Series, crossing, mean_and_confidence
from ...evaluation.transmission import carry
from ...message import Link, Message, ReceivedAnalog, ReceivedDigital, ReceivedMessage
from ...phy.ledger import Ledger
from ...phy.numerology import Numerology, preset
from ...phy.packets import Modulated

MCS = "16QAM-1/2"  # section IV-A
RAW_BITS_PER_USE = 2.0  # of that MCS: what the raw image would be sent with, for eq. (21)
SYMBOLS = (4, 8, 16, 32, 64, 128)
DEFAULT_SYMBOLS = {"vae": 8, "vqvae": 8}
FADING_SNRS = (0, 5, 10, 15, 20)
FADING_RANKS = (0, 2, 4, 8, 12, 16, 20, 24)
ROBUST_MCS = "QPSK-1/2"
PAPER_REDUCTION_PERCENT = 74.0

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Point:
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


def measure(
    images: np.ndarray,
    options: dict[str, object],
    snrs_db: Sequence[float | None] = (None,),
    plain: bool = False,
    mcs: str = MCS,
    seed: int = 1,
    numerology: Numerology | None = None,
) -> list[Point]:
    """Send images uint8 (n, H, W, C), each as one message that its transmitter makes without knowing the SNR:
    a point for each SNR.

    Args:
        options: of the codec; `tuning` is "none" unless given.
        snrs_db: mean SNRs of the fading channels [dB]; None is the error-free channel.
        plain: the semantic decoder is not told the noise.
        mcs: of the CR.
        seed: image i sees the same fading in every call of one seed, and the same noise on its SR.
    """
    codec, numerology = (
        registry.create("hsc", **{"tuning": "none", **options}),
        numerology or preset("ofdm64"),
    )
    errors, lost, uses = (
        np.zeros((len(snrs_db), len(images))),
        np.zeros((len(snrs_db), len(images)), bool),
        [],
    )
    for i, image in enumerate(images):
        message = codec.encode(image, Link(mcs=mcs))
        modulated = modem.modulate(message, 0)
        ledger = Ledger.of_message(modulated.header, numerology)
        raw_uses = 8 * image.size / RAW_BITS_PER_USE
        uses.append(
            (ledger.cbr(image.shape), ledger.cbr_with_overhead(image.shape), float(ledger.payload) / raw_uses)
        )
        for j, snr_db in enumerate(snrs_db):
            normal = channel.numpy_normal(np.random.default_rng([seed, i]))
            received = error_free(message) if snr_db is None else fading(modulated, snr_db, normal)
            if plain:
                received = replace(
                    received,
                    analog=replace(
                        received.analog, noise_variance=np.zeros_like(received.analog.noise_variance)
                    ),
                )
            errors[j, i] = metrics.mse(codec.decode(received).image, image)
            lost[j, i] = not all(stream.complete for stream in received.digital)
    return [
        Point(mse, *np.array(uses).T, float(share)) for mse, share in zip(errors, lost.mean(1), strict=True)
    ]


def series(name: str, points: Sequence[Point], **also: Sequence[float]) -> Series:
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


def fig2(
    digits: np.ndarray, command: str, progress: Progress, ranks: Sequence[int] = range(0, 29, 2)
) -> Curves:
    """SC with growing M against HSC with growing k at one M, for VAE and VQ-VAE, both codings of the CR;
    error-free channel.
    """
    found, findings = [], {"images": len(digits)}
    for semantic in ("vae", "vqvae"):
        loads, m = trained_symbols(semantic), DEFAULT_SYMBOLS[semantic]
        progress(f"SC, {semantic}")
        sc = series(
            f"SC, {semantic}",
            [p for n in loads for p in measure(digits, {"semantic": semantic, "symbols": n, "rank": 0})],
            symbols=loads,
        )
        found.append(sc)
        for cr in ("paper", "residual"):
            progress(f"HSC, {semantic}, CR {cr}")
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
    text = "MNIST test digits, error-free channel: MSE against CBR when the SR grows (SC, rank 0) and when the CR grows (HSC)."
    return Curves("hsc-fig2", text, command, found, findings)


def fig3(
    digits: np.ndarray,
    command: str,
    progress: Progress,
    ranks: Sequence[int] = (0, 2, 4, 8, 12, 16, 20, 24, 28),
) -> Curves:
    """HSC with growing k for several M against SC with growing M: the CBR from which HSC is better, for each
    M.
    """
    loads = trained_symbols("vae")
    progress("SC")
    sc = series(
        "SC",
        [p for n in loads for p in measure(digits, {"semantic": "vae", "symbols": n, "rank": 0})],
        symbols=loads,
    )
    found, findings = [sc], {"images": len(digits)}
    for cr in ("paper", "residual"):
        for m in loads:
            progress(f"M = {m}, CR {cr}")
            points = [
                p
                for k in ranks
                for p in measure(digits, {"semantic": "vae", "symbols": m, "rank": k, "cr": cr})
            ]
            curve = series(f"HSC, M = {m}, CR {cr}", points, rank=ranks)
            found.append(curve)
            findings |= _crossing(f"M = {m}, CR {cr}: CBR from which HSC is below SC", curve, sc)
    text = "MNIST test digits, error-free channel, VAE: SC at several M, and HSC from each of them with growing rank k."
    return Curves("hsc-fig3", text, command, found, findings)


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


def fig4(
    digits: np.ndarray,
    command: str,
    progress: Progress,
    ranks: Sequence[int] = FADING_RANKS,
    snrs: Sequence[float] = FADING_SNRS,
) -> Curves:
    """MSE under Rayleigh fading against mean SNR for each k, with and without tuning.

    plain: untuned, the equalised SR goes to the decoder as it is, like in the paper. none: untuned, the SR is
    shrunk by its noise variance first, as this module's receiver always does. few-shot, ncr: the paper's two
    tunings. robust: not in the paper, as many channel uses as plain at that k, but a longer tuned SR, CR
    coded as projection, and ROBUST_MCS.
    """
    found: list[Series] = []
    mean: dict[tuple[str, int], float] = {}

    def add(kind: str, k: int, options: dict[str, object], mcs: str = MCS) -> list[Point]:
        progress(f"{kind}, k = {k}")
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
        f"MNIST test digits, VAE with M = {m}, CR as in the paper, JPEG2000, LDPC 1/2 and 16QAM; SR and CR each over its own block "
        "Rayleigh channel of mean gain 1, known to the receiver. plain: semantic decoder not told the noise. "
        f"robust: M = {long}, few-shot, CR as projection at {ROBUST_MCS}, within the mean CBR of plain at the same k."
    )
    return Curves("hsc-fig4", text, command, found, {"images": len(digits), **_reductions(mean)})


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
    tuned = [m for m in SYMBOLS if f"hsc-mnist-vae-m{m}-few-shot" in weights.names()]
    if not tuned:
        raise HscError("no few-shot weights of digits: run train hsc-mnist-vae-m8-few-shot, or install again")
    return max(tuned)


def _fading_series(name: str, snrs: Sequence[float], points: Sequence[Point]) -> Series:
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


def fig6(photo: np.ndarray, name: str, command: str, progress: Progress, ranks: Sequence[int]) -> Curves:
    """A colour photograph uint8 (H, W, 3) with growing k: PSNR against CBR, both codings of the CR;
    error-free channel.
    """
    found = []
    for cr in ("paper", "residual"):
        points = []
        for k in ranks:
            progress(f"CR {cr}, k = {k}")
            points += measure(photo[None], {"rank": k, "cr": cr})
        curve = series(f"HSC, CR {cr}", points, rank=ranks)
        psnr = [-10 * np.log10(max(v, 1e-10)) for v in curve.y.values]
        found.append(
            Series(
                curve.name,
                curve.source,
                curve.x,
                Axis("psnr", "dB", psnr),
                None,
                {**curve.also, "mse": curve.y.values},
            )
        )
    h, w, _ = photo.shape
    text = f"{name}, {w} x {h}, error-free channel, convolutional VAE: quality as the rank k of the CR grows from 0 (SR alone)."
    return Curves("hsc-fig6", text, command, found)
