"""What the receiver of HSC is told of a message, in every packet header."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import HscError
from .options import CODINGS, LARGEST_RANK, TUNINGS

# Number of step codes of the quantiser: see `cr_progressive.coefficient_step`.
_STEPS = 32
# Bytes of what every message has, and of the length of a CR that has repair symbols.
_BYTES, _LENGTH = 5, 3


@dataclass(frozen=True)
class HscParameters:
    """5 bytes: number of the network, coding and tuning, quantiser step, rank; 8 with repair symbols.

    Attributes:
        model: number of the semantic network in `models.MODELS`.
        tuning: index into TUNINGS.
        coding: index into CODINGS.
        reversible: JPEG2000 mode of the paper's coding.
        step: code of the quantiser's step, 0…31.
        rank: k.
        source_bytes: length of the CR without its repair symbols; 0 when it has none.
    """

    model: int
    tuning: int = 0
    coding: int = 0
    reversible: bool = True
    step: int = 0
    rank: int = 0
    source_bytes: int = 0

    def pack(self) -> bytes:
        """5 bytes, or 8 with repair symbols: as without them where there are none."""
        flags = self.tuning | self.coding << 2 | self.reversible << 4
        length = self.source_bytes.to_bytes(_LENGTH, "big") if self.source_bytes else b""
        return bytes([self.model, flags, self.step]) + self.rank.to_bytes(2, "big") + length

    @classmethod
    def unpack(cls, data: bytes) -> HscParameters:
        """From the first 8 bytes of any byte string; those that are missing from the sixth on are 0. Raises
        HscError for what no version of HSC sends.
        """
        if len(data) < _BYTES:
            raise HscError(f"HSC parameters are 5 bytes, not {len(data)}: the packet is another codec's")
        model, flags, step = data[:3]
        tuning, coding = flags & 3, flags >> 2 & 3
        rank = int.from_bytes(data[3:_BYTES], "big")
        usable = tuning < len(TUNINGS) and coding < len(CODINGS) and step < _STEPS and rank <= LARGEST_RANK
        if not usable or flags >> 5:
            raise HscError(
                "HSC parameters make no sense: the packet comes from a newer version, update this receiver"
            )
        length = int.from_bytes(data[_BYTES : _BYTES + _LENGTH].ljust(_LENGTH, b"\0"), "big")
        return cls(model, tuning, coding, bool(flags >> 4), step, rank, length)
