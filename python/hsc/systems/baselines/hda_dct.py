"""Conventional hybrid digital-analog transmission ([30] of the HDA-DeepSC paper): a digital base and its
residual as SoftCast.

    image ─▶ base (HEVC intra or quantised DCT) ─▶ digital stream 0, at a conservative MCS
      └─ image − base ─▶ SoftCast ─▶ analog stream, and its side information as digital stream 1

Without the residual's side information the receiver shows the base; without the base it shows the residual on
mid-grey.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from ...codecs.contract import Codec, Decoded
from ...codecs.options import option, repair_option
from ...coding import budget, dct_base, erasure, hevc, hevc_rate
from ...coding.protection import Protection, check_share
from ...errors import HscError
from ...message import Base, DigitalStream, Link, Message, ReceivedMessage
from ...nn.planes import check_shape
from ...phy import digital
from . import softcast, softcast_transform


class StillCoder(NamedTuple):
    """A source coder: an image uint8 (H, W, C) and bytes → a code of at most so many; and a code and the
    shape → the image.
    """

    fit: Callable[[np.ndarray, int], bytes]
    decode: Callable[[bytes, tuple[int, int, int]], np.ndarray]


# In the order of their numbers on the air.
BASES = {"hevc": StillCoder(hevc_rate.fit, hevc.decode), "dct": StillCoder(dct_base.fit, dct_base.decode)}
# Number of the base, bytes of the base, bytes of the side information.
_PARAMETERS = struct.Struct(">B3s3s")
# Grey level that stands for a base that did not come.
_GREY = 128


@dataclass(frozen=True)
class HdaDctOptions:
    """Options of conventional HDA, all of the transmitter's."""

    base: Literal["hevc", "dct"] = option("hevc", "source coder of the base")
    da_ratio: float = option(
        0.2, "channel uses of the base over those of the residual, its side information included; 0.05 to 20"
    )
    margin_db: float = option(
        3.0, "with the MCS left to the codec: how far the base's threshold stays below the link's SNR [dB]"
    )
    repair_share: float | None = repair_option("base and side information")

    def __post_init__(self) -> None:
        if not 0.05 <= self.da_ratio <= 20:
            raise HscError(f"the DA ratio is {self.da_ratio}: give 0.05 to 20")
        if not 0 <= self.margin_db <= 40:
            raise HscError(f"the margin of the MCS is {self.margin_db} dB: give 0 to 40")
        check_share(self.repair_share)


class HdaDctCodec(Codec):
    """Conventional HDA. Keyword arguments are the fields of `HdaDctOptions`."""

    name = "hda_dct"
    Options = HdaDctOptions
    base = Base("digital", "digital base")

    def encode(self, image: np.ndarray, link: Link = Link()) -> Message:  # noqa: B008 - frozen
        """uint8 (H, W, C) → message of one analog and two digital streams. Raises HscError when the budget
        is too small.
        """
        check_shape(image.shape)
        return budget.within(link, image.shape, lambda uses: self._message(image, uses, link))

    def _message(self, image: np.ndarray, uses: int, link: Link) -> Message:
        shape, mcs = tuple(image.shape), budget.mcs(link, self.options.margin_db)
        of_base, of_side = (
            Protection.of(self.options.repair_share, link, each, uses)
            for each in (mcs, budget.robust_mcs(link))
        )
        base = self._base(image, uses, of_base)
        size = digital.payload_bytes_per_block(mcs)
        stream = DigitalStream(erasure.protect(base, of_base, size), mcs)
        residual = image.astype(np.float64) - BASES[self.options.base].decode(base, shape)
        taken = digital.symbol_count(len(stream.data), mcs)
        try:
            coded, side = softcast.fill(residual.transpose(2, 0, 1), uses - taken, of_side)
        except budget.TooFew as few:
            raise budget.TooFew(few.reason, taken + few.needed) from None
        lengths = len(base).to_bytes(3, "big"), len(coded.side).to_bytes(3, "big")
        parameters = _PARAMETERS.pack(list(BASES).index(self.options.base), *lengths)
        return Message(self.name, shape, parameters, coded.values, (stream, side))

    def _base(self, image: np.ndarray, uses: int, protection: Protection) -> bytes:
        """The base that takes its share of so many channel uses."""
        ratio, size = self.options.da_ratio, digital.payload_bytes_per_block(protection.mcs)
        whole = budget.bytes_in(int(uses * ratio / (1 + ratio)), protection.mcs)
        try:
            return BASES[self.options.base].fit(image, erasure.source_room(whole, protection, size))
        except budget.TooFew as few:
            least = budget.protected_uses(few.needed, protection)
            raise budget.TooFew(few.reason, math.ceil(least * (1 + ratio) / ratio)) from None

    def decode(self, received: ReceivedMessage) -> Decoded:
        """Received message → image from base, residual or both. Raises HscError when neither came."""
        shape = tuple(received.shape)
        check_shape(shape)
        base, base_bytes, side_bytes = _unpack(received.parameters)
        if len(received.digital) < 2:
            raise HscError("not a message of hda_dct: transmitter and receiver differ, update both")
        image, residual = np.full(shape, float(_GREY)), np.zeros((shape[2], *shape[:2]))
        notices = []
        try:
            data = softcast.recovered(received.digital[0], base_bytes)
            image = BASES[base].decode(data, shape).astype(np.float64)
        except HscError:
            notices.append("the base is lost: the image is the residual on mid-grey")
        try:
            side = softcast.recovered(received.digital[1], side_bytes)
            residual = softcast_transform.decode(side, received.analog, shape)
        except HscError:
            notices.append("the residual's side information is lost: the image is the base alone")
        if len(notices) == 2:
            raise HscError(
                "nothing usable of the image arrived: neither base nor residual; "
                "use a more robust MCS or send it again"
            )
        pixels = np.rint((image + residual.transpose(1, 2, 0)).clip(0, 255)).astype(np.uint8)
        return Decoded(pixels, tuple(notices))

    @classmethod
    def describe(cls, parameters: bytes) -> dict[str, object]:
        """Source coder and bytes of the base, bytes of the residual's side information."""
        base, base_bytes, side_bytes = _unpack(parameters)
        return {"base": base, "base_bytes": base_bytes, "side_bytes": side_bytes}


def _unpack(parameters: bytes) -> tuple[str, int, int]:
    """Base, its bytes, and bytes of the side information. Raises HscError for what no version of this codec
    sends.
    """
    number, *lengths = _PARAMETERS.unpack_from(parameters.ljust(_PARAMETERS.size, b"\0"))
    if number >= len(BASES):
        raise HscError("not a message of hda_dct: transmitter and receiver differ, update both")
    base_bytes, side_bytes = (int.from_bytes(length, "big") for length in lengths)
    return list(BASES)[number], base_bytes, side_bytes
