"""SoftCast (Jakubczak and Katabi, MobiCom 2011) as a codec: everything analog but the side information.

The side information, some 130 bytes for 768 × 512 pixels, goes as a digital stream at the most robust MCS,
with RaptorQ repair symbols against lost packets: nothing can be decoded without it. One signal serves every
receiver: what is sent does not depend on the SNR.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ...codecs.contract import Codec, Decoded
from ...codecs.options import option, repair_option
from ...coding import budget, erasure
from ...coding.protection import Protection, check_share
from ...errors import HscError
from ...message import DigitalStream, Link, Message, ReceivedDigital, ReceivedMessage
from ...nn.planes import check_shape
from ...phy import analog, digital
from . import softcast_transform
from .softcast_spectrum import TRANSFORMS

# Bytes of the length of the side information.
_SIZE_BYTES = 3


@dataclass(frozen=True)
class SoftCastOptions:
    """Options of SoftCast, all of the transmitter's."""

    transform: Literal["image", "block8"] = option("image", "DCT of the whole image, or of 8 × 8 pixels")
    repair_share: float | None = repair_option("the side information")

    def __post_init__(self) -> None:
        check_share(self.repair_share)


class SoftCastCodec(Codec):
    """SoftCast. Keyword arguments are the fields of `SoftCastOptions`."""

    name = "softcast"
    Options = SoftCastOptions

    def encode(self, image: np.ndarray, link: Link = Link()) -> Message:  # noqa: B008 - frozen
        """uint8 (H, W, C) → message of one analog and one digital stream. Raises HscError when the budget is
        too small.
        """
        check_shape(image.shape)
        return budget.within(link, image.shape, lambda uses: self._message(image, uses, link))

    def _message(self, image: np.ndarray, uses: int, link: Link) -> Message:
        protection = Protection.of(self.options.repair_share, link, budget.robust_mcs(link), uses)
        planes = image.astype(np.float64).transpose(2, 0, 1)
        coded, stream = fill(planes, uses, protection, self.options.transform)
        transform = TRANSFORMS.index(self.options.transform)
        parameters = bytes([transform]) + len(coded.side).to_bytes(_SIZE_BYTES, "big")
        return Message(self.name, tuple(image.shape), parameters, coded.values, (stream,))

    def decode(self, received: ReceivedMessage) -> Decoded:
        """Received message → image. Raises HscError when the side information is lost."""
        check_shape(received.shape)
        transform, side_bytes = _unpack(received.parameters)
        if not received.digital:
            raise HscError("not a SoftCast message: transmitter and receiver differ, update both")
        side = recovered(received.digital[0], side_bytes)
        planes = softcast_transform.decode(side, received.analog, received.shape, transform)
        return Decoded(np.rint(planes.transpose(1, 2, 0).clip(0, 255)).astype(np.uint8))

    @classmethod
    def describe(cls, parameters: bytes) -> dict[str, object]:
        """The transform, and bytes of side information."""
        transform, side_bytes = _unpack(parameters)
        return {"transform": transform, "side_bytes": side_bytes}


def _unpack(parameters: bytes) -> tuple[str, int]:
    """The transform, and bytes of side information. Raises HscError for what no version of SoftCast sends."""
    known = parameters.ljust(1 + _SIZE_BYTES, b"\0")
    if known[0] >= len(TRANSFORMS):
        raise HscError("not a SoftCast message: transmitter and receiver differ, update both")
    return TRANSFORMS[known[0]], int.from_bytes(known[1 : 1 + _SIZE_BYTES], "big")


def fill(
    planes: np.ndarray, uses: int, protection: Protection, transform: str = TRANSFORMS[0]
) -> tuple[softcast_transform.Coded, DigitalStream]:
    """Planes, float (C, H, W) → as many chunks as `uses` channel uses hold beside their own side
    information with its repair symbols.

    Raises `budget.TooFew` when they hold none.
    """

    def parts(most_values: int) -> tuple[softcast_transform.Coded, int, int]:
        coded = softcast_transform.encode(planes, most_values, transform)
        side = budget.protected_uses(len(coded.side), protection)
        return coded, side, side + analog.symbol_count(len(coded.values))

    reserved = 0
    try:
        # What the side information takes is known when it is coded: it grows with the chunks, by blocks.
        while True:
            coded, side, spent = parts(2 * (uses - reserved))
            if spent <= uses or not len(coded.values):
                break
            reserved = side
    except budget.TooFew as few:
        coded, _, spent = parts(few.needed)
    if spent > uses:
        raise budget.TooFew(f"{uses} channel uses are too few for SoftCast and its side information", spent)
    size = digital.payload_bytes_per_block(protection.mcs)
    return coded, DigitalStream(erasure.protect(coded.side, protection, size), protection.mcs)


def recovered(stream: ReceivedDigital, n_bytes: int) -> bytes:
    """`n_bytes` that were protected, as far as the blocks that came tell. Raises HscError for a length that
    is impossible.
    """
    size = stream.block_bytes or erasure.LARGEST_SYMBOL
    data, _ = erasure.recover(stream, n_bytes, size)
    return data
