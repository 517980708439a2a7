"""Separate source and channel coding: HEVC intra (BPG in the papers) or JPEG2000, then LDPC and QAM at one MCS.

The still is driven to the largest quality that fits the budget. There is a cliff, which is the point of this baseline: with JPEG2000 the
quality layers before the first lost block are an image, with HEVC one lost block loses the image and `decode` raises HscError; curves
count that as a mid-grey image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...codecs.options import options_of
from ...coding import budget, hevc, jpeg2000
from ...errors import HscError
from ...message import DigitalStream, Link, Message, ReceivedDigital, ReceivedMessage
from ...nn.planes import check_shape
from ...phy import digital

SOURCES = ("hevc", "jpeg2000")


@dataclass(frozen=True)
class SeparateOptions:
    """Options of separate coding.

    Attributes:
        source: "hevc" or "jpeg2000".
        margin_db: with the MCS left to the codec: how far its threshold stays below the link's SNR [dB].
    """

    source: str = "hevc"
    margin_db: float = 1.0

    def __post_init__(self) -> None:
        _check_source(self.source)
        if not 0 <= self.margin_db <= 40:
            raise HscError(f"the margin of the MCS is {self.margin_db} dB: give 0 to 40")


class SeparateCodec:
    """One still as one digital stream. Keyword arguments are the fields of `SeparateOptions`."""

    name = "separate"

    def __init__(self, **options: object) -> None:
        self.options = options_of(SeparateOptions, self.name, options)

    def encode(self, image: np.ndarray, link: Link | None = None) -> Message:
        """uint8 (H, W, C) -> message of one digital stream. Raises HscError for an image that the budget does not hold."""
        link = link or Link()
        check_shape(image.shape)
        mcs = budget.mcs(link, self.options.margin_db)
        return budget.within(link, image.shape, lambda uses: self._message(image, uses, mcs))

    def _message(self, image: np.ndarray, uses: int, mcs: str) -> Message:
        try:
            data = _fit(image, budget.bytes_in(uses, mcs), self.options.source)
        except budget.TooFew as few:
            raise budget.TooFew(few.reason, digital.symbol_count(few.needed, mcs)) from None
        return Message(self.name, tuple(image.shape), bytes([SOURCES.index(self.options.source)]), None, (DigitalStream(data, mcs),))

    def decode(self, received: ReceivedMessage) -> np.ndarray:
        """Received message -> uint8 (H, W, C). Raises HscError when nothing usable came, with HEVC when anything is missing."""
        if not received.parameters or received.parameters[0] >= len(SOURCES) or not received.digital:
            raise HscError("not a message of separate coding: transmitter and receiver differ, update both")
        return _decode(received.digital[0], tuple(received.shape), SOURCES[received.parameters[0]])


def capacity_image(image: np.ndarray, cbr: float | None, snr_db: float, source: str = "hevc") -> np.ndarray:
    """The still at Shannon's limit, log2(1 + SNR) bits in every channel use: the bound of separate coding with this source coder.

    Over a fading channel call it with the SNR of each fade, gain included: the transmitter is then taken to know every fade, and the mean
    over fades is the best that separate coding at constant power can do. One that does not know them is bound by an outage capacity below.

    Args:
        image: uint8 (H, W, C).
        cbr: complex channel uses / (C·H·W); None for 1/6.
        snr_db: Es/N0 [dB], |h|² included.
        source: "hevc" or "jpeg2000".

    Returns:
        uint8 (H, W, C) as a receiver would have it. Raises HscError when not even the lowest quality fits.
    """
    _check_source(source)
    bits = budget.channel_uses(Link(cbr=cbr), image.shape) * np.log2(1 + 10 ** (snr_db / 10))
    data = _fit(image, int(bits // 8), source)
    return _decode(ReceivedDigital(data, np.ones(len(data), bool)), tuple(image.shape), source)


def _check_source(source: str) -> None:
    if source not in SOURCES:
        raise HscError(f"source coder '{source}' is unknown: choose one of {', '.join(SOURCES)}")


def _fit(image: np.ndarray, n_bytes: int, source: str) -> bytes:
    return hevc.fit(image, n_bytes) if source == "hevc" else jpeg2000.encode_image(image, n_bytes)


def _decode(stream: ReceivedDigital, shape: tuple[int, int, int], source: str) -> np.ndarray:
    if source == "hevc":
        return hevc.decode(stream.data, shape)  # its CRC finds lost blocks
    image = jpeg2000.decode_image(stream.data, stream.received, shape)
    if image is None:
        raise HscError("nothing usable of the JPEG2000 image arrived: use a more robust MCS or send it again")
    return image
