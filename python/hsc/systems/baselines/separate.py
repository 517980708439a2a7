"""Separate source and channel coding: HEVC intra (BPG in the papers) or JPEG2000, then LDPC and QAM at one
MCS.

The still is driven to the largest quality that fits the budget. There is a cliff, which is the point of this
baseline: with JPEG2000 the quality layers before the first lost block are an image, with HEVC one lost block
loses the image and `decode` raises HscError; curves count that as a mid-grey image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...codecs.contract import Decoded
from ...codecs.options import option
from ...coding import budget, stills
from ...coding.stills import SOURCES, Source
from ...errors import HscError
from ...message import DigitalStream, Link, Message, ReceivedMessage
from ...nn.planes import check_shape
from ...phy import digital
from ...refiner.codec import Refining
from ...refiner.options import RefinerOptions


@dataclass(frozen=True)
class SeparateOptions(RefinerOptions):
    """Options of separate coding; the receiver's are those of the refiner."""

    source: Source = option("hevc", "source coder")
    margin_db: float = option(
        1.0, "with the MCS left to the codec: how far its threshold stays below the link's SNR [dB]"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.margin_db <= 40:
            raise HscError(f"the margin of the MCS is {self.margin_db} dB: give 0 to 40")


class SeparateCodec(Refining):
    """One still as one digital stream. Keyword arguments are the fields of `SeparateOptions`."""

    name = "separate"
    variants = {"separate HEVC": {"source": "hevc"}, "separate JPEG2000": {"source": "jpeg2000"}}
    Options = SeparateOptions

    def encode(self, image: np.ndarray, link: Link = Link()) -> Message:  # noqa: B008 - frozen
        """uint8 (H, W, C) → message of one digital stream. Raises HscError for an image that the budget does
        not hold.
        """
        check_shape(image.shape)
        mcs = budget.mcs(link, self.options.margin_db)
        return budget.within(link, image.shape, lambda uses: self._message(image, uses, mcs))

    def _message(self, image: np.ndarray, uses: int, mcs: str) -> Message:
        try:
            data = stills.fit(image, budget.bytes_in(uses, mcs), self.options.source)
        except budget.TooFew as few:
            raise budget.TooFew(few.reason, digital.symbol_count(few.needed, mcs)) from None
        return Message(
            self.name,
            tuple(image.shape),
            bytes([SOURCES.index(self.options.source)]),
            None,
            (DigitalStream(data, mcs),),
        )

    def decode(self, received: ReceivedMessage) -> Decoded:
        """Received message → image. Raises HscError when nothing usable came, with HEVC when anything is
        missing.
        """
        source = self.describe(received.parameters)["source"]
        if not received.digital:
            raise HscError("nothing of the image arrived: use a more robust MCS or send it again")
        return Decoded(stills.decode(received.digital[0], tuple(received.shape), source))

    @classmethod
    def describe(cls, parameters: bytes) -> dict[str, object]:
        """The source coder."""
        if not parameters or parameters[0] >= len(SOURCES):
            raise HscError("not a message of separate coding: transmitter and receiver differ, update both")
        return {"source": SOURCES[parameters[0]]}
