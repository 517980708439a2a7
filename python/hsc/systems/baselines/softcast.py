"""SoftCast (Jakubczak and Katabi, MobiCom 2011) as a codec: everything analog but the side information.

The side information, some 130 bytes for 768 x 512 pixels, goes as a digital stream at the most robust MCS, with RaptorQ repair symbols
against lost packets: nothing can be decoded without it. One signal serves every receiver: what is sent does not depend on the SNR.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...codecs.options import options_of
from ...coding import budget, erasure
from ...errors import HscError
from ...message import DigitalStream, Link, Message, ReceivedDigital, ReceivedMessage
from ...nn.planes import check_shape
from ...phy import analog, digital
from . import softcast_transform

_SIZE_BYTES = 3


@dataclass(frozen=True)
class SoftCastOptions:
    """Options of SoftCast.

    Attributes:
        transform: "image", DCT of the whole image, or "block8", DCT of 8 x 8 pixels.
        repair_share: RaptorQ repair symbols over all symbols of the side information, 0 to 0.9.
    """

    transform: str = "image"
    repair_share: float = 0.6

    def __post_init__(self) -> None:
        if self.transform not in softcast_transform.TRANSFORMS:
            raise HscError(f"SoftCast transform '{self.transform}' is unknown: choose one of {', '.join(softcast_transform.TRANSFORMS)}")
        erasure.repair_symbols(1, self.repair_share)


class SoftCastCodec:
    """SoftCast. Keyword arguments are the fields of `SoftCastOptions`."""

    name = "softcast"

    def __init__(self, **options: object) -> None:
        self.options = options_of(SoftCastOptions, self.name, options)

    def encode(self, image: np.ndarray, link: Link | None = None) -> Message:
        """uint8 (H, W, C) -> message of one analog and one digital stream. Raises HscError when the budget is too small."""
        link = link or Link()
        check_shape(image.shape)
        mcs = link.mcs or budget.ROBUST_MCS
        return budget.within(link, image.shape, lambda uses: self._message(image, uses, mcs))

    def _message(self, image: np.ndarray, uses: int, mcs: str) -> Message:
        coded, stream = fill(image.astype(np.float64).transpose(2, 0, 1), uses, mcs, self.options)
        parameters = bytes([softcast_transform.TRANSFORMS.index(self.options.transform)]) + len(coded.side).to_bytes(_SIZE_BYTES, "big")
        return Message(self.name, tuple(image.shape), parameters, coded.values, (stream,))

    def decode(self, received: ReceivedMessage) -> np.ndarray:
        """Received message -> uint8 (H, W, C). Raises HscError when the side information is lost."""
        check_shape(received.shape)
        parameters = received.parameters.ljust(1 + _SIZE_BYTES, b"\0")
        if parameters[0] >= len(softcast_transform.TRANSFORMS) or not received.digital:
            raise HscError("not a SoftCast message: transmitter and receiver differ, update both")
        side = recovered(received.digital[0], int.from_bytes(parameters[1 : 1 + _SIZE_BYTES], "big"))
        planes = softcast_transform.decode(side, received.analog, received.shape, softcast_transform.TRANSFORMS[parameters[0]])
        return np.rint(planes.transpose(1, 2, 0).clip(0, 255)).astype(np.uint8)


def fill(planes: np.ndarray, uses: int, mcs: str, options: SoftCastOptions) -> tuple[softcast_transform.Coded, DigitalStream]:
    """Planes, float (C, H, W) -> as many chunks as `uses` channel uses hold beside their own side information.

    Raises `budget.TooFew` when they hold none.
    """
    size = digital.payload_bytes_per_block(mcs)

    def parts(most_values: int) -> tuple[softcast_transform.Coded, int, int]:
        coded = softcast_transform.encode(planes, most_values, options.transform)
        side = digital.symbol_count(erasure.protected_bytes(len(coded.side), options.repair_share, size), mcs)
        return coded, side, side + analog.symbol_count(len(coded.values))

    reserved = 0
    try:
        while True:  # what the side information takes is known when it is coded: it grows with the chunks, by blocks
            coded, side, spent = parts(2 * (uses - reserved))
            if spent <= uses or not len(coded.values):
                break
            reserved = side
    except budget.TooFew as few:
        coded, _, spent = parts(few.needed)
    if spent > uses:
        raise budget.TooFew(f"{uses} channel uses are too few for SoftCast and its side information", spent)
    return coded, DigitalStream(erasure.protect(coded.side, options.repair_share, size), mcs)


def recovered(stream: ReceivedDigital, n_bytes: int) -> bytes:
    """`n_bytes` that were protected, as far as the blocks that came tell. Raises HscError for a length that is impossible."""
    size = stream.block_bytes or erasure.LARGEST_SYMBOL
    data, _ = erasure.recover(stream, n_bytes, size)
    return data
