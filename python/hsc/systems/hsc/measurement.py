"""What HSC's figures measure: images over an error-free channel or over fading, as operating points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ... import channel, metrics, modem
from ...codecs import registry
from ...errors import HscError
from ...evaluation.curves import Axis, Series, mean_and_confidence
from ...evaluation.transmission import carry
from ...message import Link, Message, ReceivedAnalog, ReceivedDigital, ReceivedMessage
from ...phy.ledger import Ledger
from ...phy.numerology import Numerology, preset
from ...phy.packets import Modulated
from .options import SYMBOLS

MCS = "16QAM-1/2"  # of the CR, section IV-A
RAW_BITS_PER_USE = 2.0  # of that MCS: what the raw image would be sent with, for eq. (21)
DEFAULT_SYMBOLS = {"vae": 8, "vqvae": 8}  # M of the HSC curves, by semantic codec
FADING_RANKS = (0, 2, 4, 8, 12, 16, 20, 24)  # those that NCR adapters are trained for, and 0


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
        uses.append(channel_uses(modulated, image, numerology))
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


def channel_uses(
    modulated: Modulated, image: np.ndarray, numerology: Numerology
) -> tuple[float, float, float]:
    """CBR of the payload, CBR with every overhead, and compression ratio of eq. (21)."""
    ledger = Ledger.of_message(modulated.header, numerology)
    rawchannel_uses = 8 * image.size / RAW_BITS_PER_USE
    return (
        ledger.cbr(image.shape),
        ledger.cbr_with_overhead(image.shape),
        float(ledger.payload) / rawchannel_uses,
    )


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
