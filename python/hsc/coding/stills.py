"""Stills as source coders make them, HEVC intra (BPG in the papers), with a neural post-filter behind it or
without, or JPEG 2000, by bytes, and at Shannon's limit.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from ..errors import HscError
from ..message import Link, ReceivedDigital
from . import budget, hevc, hevc_rate, jpeg2000, nnpf

# A source coder's place among them is its number on the air.
Source = Literal["hevc", "jpeg2000", "hevc_nnpf"]
SOURCES: tuple[str, ...] = get_args(Source)


def fit(image: np.ndarray, n_bytes: int, source: str) -> bytes:
    """uint8 (H, W, C) → the best code of at most so many bytes. Raises `budget.TooFew`: there is none."""
    if source == "jpeg2000":
        return jpeg2000.encode_image(image, n_bytes)
    if source == "hevc":
        return hevc_rate.fit(image, n_bytes)
    return nnpf.fit(hevc_rate.Coder(image), n_bytes).code


def decode(stream: ReceivedDigital, shape: tuple[int, int, int], source: str) -> np.ndarray:
    """A code as far as it arrived → uint8 (H, W, C). Raises HscError when nothing usable did, with HEVC when
    anything is missing.
    """
    # The CRC of HEVC's codes finds lost blocks.
    if source == "hevc":
        return hevc.decode(stream.data, shape)
    if source == "hevc_nnpf":
        return nnpf.decode(stream.data, shape)
    image = jpeg2000.decode_image(stream.data, stream.received, shape)
    if image is None:
        raise HscError("nothing usable of the JPEG2000 image arrived: use a more robust MCS or send it again")
    return image


def capacity_image(image: np.ndarray, cbr: float | None, snr_db: float, source: str = "hevc") -> np.ndarray:
    """The still at Shannon's limit, log2(1 + SNR) bits in every channel use: the bound of separate coding
    with this source coder.

    Over a fading channel call it with the SNR of each fade, gain included: the transmitter is then taken to
    know every fade, and the mean over fades is the best that separate coding at constant power can do. One
    that does not know them is bound by an outage capacity below.

    Args:
        image: uint8 (H, W, C).
        cbr: complex channel uses / (C·H·W); None for 1/6.
        snr_db: Es/N0 [dB], |h|² included.
        source: one of `SOURCES`.

    Returns:
        uint8 (H, W, C) as a receiver would have it. Raises HscError when not even the lowest quality fits.
    """
    if source not in SOURCES:
        raise HscError(f"source coder '{source}' is unknown: choose one of {', '.join(SOURCES)}")
    bits = budget.channel_uses(Link(cbr=cbr), image.shape) * np.log2(1 + 10 ** (snr_db / 10))
    data = fit(image, int(bits // 8), source)
    return decode(ReceivedDigital(data, np.ones(len(data), bool)), tuple(image.shape), source)
