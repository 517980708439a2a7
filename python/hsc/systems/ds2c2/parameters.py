"""What every packet header says of a message of DS²C²."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from ...errors import HscError
from .dispersed import STEPS as QUANTISER_STEPS
from .options import FINEST, Coding, Rate

NAME = "ds2c2"  # of the codec
_SIZE = 8
# Bits of the first byte: fineness, steps of FineNet, coding.
_FINENESS, _FINENET_SHIFT, _FINENET, _CODING_SHIFT = 0x07, 3, 0x07, 7
CODINGS: tuple[Coding, ...] = get_args(Coding)
RATES: tuple[Rate, ...] = get_args(Rate)
# Binary symbols of 8 × 8 pixels at these rates: 0.125, 0.25, 0.531 and 1 bits per pixel.
CHANNELS = (8, 16, 34, 64)
# Bytes of the base layer before repair: its length has 24 bits.
MOST_BYTES = (1 << 24) - 1


@dataclass(frozen=True)
class Ds2c2Parameters:
    """8 bytes.

    Attributes:
        coding: of the residual.
        fineness: of the base layer, 0 … 4.
        steps: of FineNet, 0 … 7.
        level: number of the quantiser's step (dispersed), or of the rate (binary).
        base_bytes: of the base layer before repair, 24 bits; the semantic map's are among them.
        map_bytes: of the semantic map, 24 bits; 0 when it is derived.
    """

    coding: Coding
    fineness: int
    steps: int
    level: int
    base_bytes: int
    map_bytes: int = 0

    def pack(self) -> bytes:
        """8 bytes."""
        first = CODINGS.index(self.coding) << _CODING_SHIFT | self.steps << _FINENET_SHIFT | self.fineness
        sizes = (size.to_bytes(3, "big") for size in (self.base_bytes, self.map_bytes))
        return bytes([first, self.level]) + b"".join(sizes)

    @classmethod
    def unpack(cls, data: bytes) -> Ds2c2Parameters:
        """Inverse of `pack`. Raises HscError for values that cannot be."""
        first, level = data[:2] if len(data) >= _SIZE else (0, 255)
        coding = CODINGS[first >> _CODING_SHIFT]
        possible = QUANTISER_STEPS if coding == "dispersed" else len(RATES)
        if level >= possible or first & _FINENESS > FINEST:
            raise HscError(
                "the DS²C² parameters in the header are not possible: the packet comes from a newer version, "
                "update this receiver"
            )
        steps = first >> _FINENET_SHIFT & _FINENET
        sizes = (int.from_bytes(data[at : at + 3], "big") for at in (2, 5))
        return cls(coding, first & _FINENESS, steps, level, *sizes)
