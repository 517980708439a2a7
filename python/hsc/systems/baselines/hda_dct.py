"""Conventional hybrid digital-analog transmission ([30] of the HDA-DeepSC paper): a digital base and its residual as SoftCast.

    image ─▶ base (HEVC intra or quantised DCT) ─▶ digital stream 0, at a conservative MCS
      └─ image − base ─▶ SoftCast ─▶ analog stream, and its side information as digital stream 1

Without the residual's side information the receiver shows the base; without the base it shows the residual on mid-grey.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

import numpy as np

from ...codecs.options import options_of
from ...coding import budget, dct_base, erasure, hevc
from ...errors import HscError
from ...message import Base, DigitalStream, Link, Message, ReceivedMessage
from ...nn.planes import check_shape
from ...phy import digital
from . import softcast, softcast_transform
from .softcast import SoftCastOptions

BASES = {"hevc": hevc, "dct": dct_base}
_PARAMETERS = struct.Struct(">B3s3s")  # base, length of the base, length of the side information
_GREY = 128


@dataclass(frozen=True)
class HdaDctOptions:
    """Options of conventional HDA.

    Attributes:
        base: "hevc" or "dct".
        da_ratio: channel uses of the base over those of the residual, its side information included; 0.05 to 20.
        margin_db: with the MCS left to the codec: how far the base's threshold stays below the link's SNR [dB].
        repair_share: RaptorQ repair symbols over all symbols of the base, 0 to 0.9: lost packets up to that share do not cost the base.
    """

    base: str = "hevc"
    da_ratio: float = 0.2
    margin_db: float = 3.0
    repair_share: float = 0.1

    def __post_init__(self) -> None:
        if self.base not in BASES:
            raise HscError(f"base '{self.base}' is unknown: choose one of {', '.join(BASES)}")
        if not 0.05 <= self.da_ratio <= 20:
            raise HscError(f"the DA ratio is {self.da_ratio}: give 0.05 to 20")
        if not 0 <= self.margin_db <= 40:
            raise HscError(f"the margin of the MCS is {self.margin_db} dB: give 0 to 40")
        erasure.repair_symbols(1, self.repair_share)


class HdaDctCodec:
    """Conventional HDA. Keyword arguments are the fields of `HdaDctOptions`."""

    name = "hda_dct"
    base = Base("digital", "digital base")

    def __init__(self, **options: object) -> None:
        self.options = options_of(HdaDctOptions, self.name, options)

    def encode(self, image: np.ndarray, link: Link | None = None) -> Message:
        """uint8 (H, W, C) -> message of one analog and two digital streams. Raises HscError when the budget is too small."""
        link = link or Link()
        check_shape(image.shape)
        return budget.within(link, image.shape, lambda uses: self._message(image, uses, link))

    def _message(self, image: np.ndarray, uses: int, link: Link) -> Message:
        shape, mcs = tuple(image.shape), budget.mcs(link, self.options.margin_db)
        base = self._base(image, uses, mcs)
        stream = DigitalStream(erasure.protect(base, self.options.repair_share, digital.payload_bytes_per_block(mcs)), mcs)
        residual = (image.astype(np.float64) - BASES[self.options.base].decode(base, shape)).transpose(2, 0, 1)
        taken = digital.symbol_count(len(stream.data), mcs)
        try:
            coded, side = softcast.fill(residual, uses - taken, link.mcs or budget.ROBUST_MCS, SoftCastOptions())
        except budget.TooFew as few:
            raise budget.TooFew(few.reason, taken + few.needed) from None
        lengths = len(base).to_bytes(3, "big"), len(coded.side).to_bytes(3, "big")
        parameters = _PARAMETERS.pack(list(BASES).index(self.options.base), *lengths)
        return Message(self.name, shape, parameters, coded.values, (stream, side))

    def _base(self, image: np.ndarray, uses: int, mcs: str) -> bytes:
        """The base that takes its share of so many channel uses."""
        ratio, repair, size = self.options.da_ratio, self.options.repair_share, digital.payload_bytes_per_block(mcs)
        blocks = int(uses * ratio / (1 + ratio)) // digital.symbols_per_block(mcs)
        try:
            return BASES[self.options.base].fit(image, _source_blocks(blocks, repair) * size)
        except budget.TooFew as few:
            least = digital.symbol_count(erasure.protected_bytes(few.needed, repair, size), mcs)
            raise budget.TooFew(few.reason, math.ceil(least * (1 + ratio) / ratio)) from None

    def decode(self, received: ReceivedMessage) -> np.ndarray:
        """Received message -> uint8 (H, W, C) from base, residual or both. Raises HscError when neither came."""
        shape = tuple(received.shape)
        check_shape(shape)
        number, *lengths = _PARAMETERS.unpack_from(received.parameters.ljust(_PARAMETERS.size, b"\0"))
        if number >= len(BASES) or len(received.digital) < 2:
            raise HscError("not a message of hda_dct: transmitter and receiver differ, update both")
        base_bytes, side_bytes = (int.from_bytes(length, "big") for length in lengths)
        image, residual = np.full(shape, float(_GREY)), np.zeros((shape[2], *shape[:2]))
        failed = 0
        try:
            image = BASES[list(BASES)[number]].decode(softcast.recovered(received.digital[0], base_bytes), shape).astype(np.float64)
        except HscError:
            failed += 1
        try:
            residual = softcast_transform.decode(softcast.recovered(received.digital[1], side_bytes), received.analog, shape)
        except HscError:
            failed += 1
        if failed == 2:
            raise HscError("nothing usable of the image arrived: neither base nor residual; use a more robust MCS or send it again")
        return np.rint((image + residual.transpose(1, 2, 0)).clip(0, 255)).astype(np.uint8)


def _source_blocks(blocks: int, repair_share: float) -> int:
    """Blocks of data among `blocks` of data and repair symbols."""
    source = int(blocks * (1 - repair_share) + 1e-9)
    while source and source + erasure.repair_symbols(source, repair_share) > blocks:
        source -= 1
    return source
