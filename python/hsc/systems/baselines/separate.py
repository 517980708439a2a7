"""Separate source and channel coding: HEVC intra (BPG in the papers) or JPEG2000, then LDPC and QAM at one
MCS.

The still is driven to the largest quality that fits the budget. There is a cliff, which is the point of this
baseline: with JPEG2000 the quality layers before the first lost block are an image, with HEVC one lost block
loses the image and `decode` raises HscError; curves count that as a mid-grey image. RaptorQ symbols move the
cliff, and cost quality before it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ...codecs.contract import Decoded
from ...codecs.options import option, repair_option
from ...coding import budget, erasure, jpeg2000, nnpf, stills
from ...coding.protection import Protection, check_share
from ...coding.stills import SOURCES, Source
from ...errors import HscError
from ...message import DigitalStream, Link, Message, ReceivedDigital, ReceivedMessage
from ...nn.planes import check_shape
from ...phy import digital
from ...refiner.codec import Refining
from ...refiner.options import RefinerOptions

# LDPC code where the link names neither code nor MCS: images are 1 to 2 dB better than with 802.11ad
# (`evaluate hda-limit`, `hda-fig4`).
CODE = "nr"
# Bytes of the length of a still that has repair symbols, in the parameters; none or 0 without them.
_LENGTH = 3


@dataclass(frozen=True)
class SeparateOptions(RefinerOptions):
    """Options of separate coding; the receiver's are those of the refiner."""

    source: Source = option("hevc", "source coder; hevc_nnpf: HEVC with a neural post-filter at the receiver")
    margin_db: float | None = option(
        None,
        "with the MCS left to the codec: how far its threshold stays below the link's SNR [dB]; if left out "
        "1, and 0.4 for a long stream of 5G NR",
    )
    repair_share: float | None = repair_option("the still")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_share(self.repair_share)
        if self.margin_db is not None and not 0 <= self.margin_db <= 40:
            raise HscError(f"the margin of the MCS is {self.margin_db} dB: give 0 to 40")


class SeparateCodec(Refining):
    """One still as one digital stream. Keyword arguments are the fields of `SeparateOptions`."""

    name = "separate"
    variants = {
        "separate HEVC": {"source": "hevc"},
        "separate HEVC, NNPF": {"source": "hevc_nnpf"},
        "separate JPEG2000": {"source": "jpeg2000"},
    }
    weights = (nnpf.WEIGHTS,)
    Options = SeparateOptions

    def encode(self, image: np.ndarray, link: Link = Link()) -> Message:  # noqa: B008 - frozen
        """uint8 (H, W, C) → message of one digital stream. Raises HscError for an image that the budget does
        not hold.
        """
        check_shape(image.shape)
        return budget.within(link, image.shape, lambda uses: self._message(image, uses, link))

    def _message(self, image: np.ndarray, uses: int, link: Link) -> Message:
        mcs = budget.mcs(link.with_code(CODE), self.options.margin_db, uses)
        protection = Protection.of(self.options.repair_share, link, mcs, uses)
        size = digital.payload_bytes_per_block(mcs)
        room = erasure.source_room(budget.bytes_in(uses, mcs), protection, size)
        try:
            data = stills.fit(image, room, self.options.source)
        except budget.TooFew as few:
            raise budget.TooFew(few.reason, budget.protected_uses(few.needed, protection)) from None
        parameters = bytes([SOURCES.index(self.options.source)])
        if protection.share:
            parameters += len(data).to_bytes(_LENGTH, "big")
        stream = DigitalStream(erasure.protect(data, protection, size), mcs)
        return Message(self.name, tuple(image.shape), parameters, None, (stream,))

    def decode(self, received: ReceivedMessage) -> Decoded:
        """Received message → image. Raises HscError when nothing usable came, with HEVC when anything is
        missing, and for a shape that is never sent.
        """
        check_shape(received.shape)
        source = self.describe(received.parameters)["source"]
        if not received.digital:
            raise HscError("nothing of the image arrived: use a more robust MCS or send it again")
        stream = received.digital[0]
        if size := int.from_bytes(received.parameters[1 : 1 + _LENGTH], "big"):
            data, there = erasure.recover(stream, size, stream.block_bytes or erasure.LARGEST_SYMBOL)
            stream = replace(stream, data=data, received=there)
        image = stills.decode(stream, tuple(received.shape), source)
        return Decoded(image, _finest_lost(stream) if source == "jpeg2000" else ())

    @classmethod
    def describe(cls, parameters: bytes) -> dict[str, object]:
        """The source coder."""
        if not parameters or parameters[0] >= len(SOURCES):
            raise HscError("not a message of separate coding: transmitter and receiver differ, update both")
        return {"source": SOURCES[parameters[0]]}


def _finest_lost(stream: ReceivedDigital) -> tuple[str, ...]:
    """What is said of a JPEG2000 image whose finest layers did not come."""
    came, of = len(jpeg2000.layers(stream.data, stream.received)), jpeg2000.LAYERS
    return (f"{came} of the image's {of} quality layers can be used, the finer ones are lost",) * (came < of)
