"""What the receiver of HSC is told of a message, in every packet header."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import HscError
from .options import CODINGS, LARGEST_RANK, TUNINGS

# Number of step codes of the quantiser: see `cr_progressive.coefficient_step`.
_STEPS = 32


@dataclass(frozen=True)
class HscParameters:
    """5 bytes: number of the network, coding and tuning, quantiser step, rank.

    Attributes:
        model: number of the semantic network in `models.MODELS`.
        tuning: index into TUNINGS.
        coding: index into CODINGS.
        reversible: JPEG2000 mode of the paper's coding.
        step: code of the quantiser's step, 0…31.
        rank: k.
    """

    model: int
    tuning: int = 0
    coding: int = 0
    reversible: bool = True
    step: int = 0
    rank: int = 0

    def pack(self) -> bytes:
        """5 bytes."""
        flags = self.tuning | self.coding << 2 | self.reversible << 4
        return bytes([self.model, flags, self.step]) + self.rank.to_bytes(2, "big")

    @classmethod
    def unpack(cls, data: bytes) -> HscParameters:
        """From the first 5 bytes of any byte string. Raises HscError for what no version of HSC sends."""
        if len(data) < 5:
            raise HscError(f"HSC parameters are 5 bytes, not {len(data)}: the packet is another codec's")
        model, flags, step = data[:3]
        tuning, coding = flags & 3, flags >> 2 & 3
        rank = int.from_bytes(data[3:5], "big")
        usable = tuning < len(TUNINGS) and coding < len(CODINGS) and step < _STEPS and rank <= LARGEST_RANK
        if not usable or flags >> 5:
            raise HscError(
                "HSC parameters make no sense: the packet comes from a newer version, update this receiver"
            )
        return cls(model, tuning, coding, bool(flags >> 4), step, rank)
