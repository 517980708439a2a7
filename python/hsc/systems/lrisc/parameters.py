"""What every packet header says of a message of LRISC."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...coding.activity import OCTAVE
from ...coding.analog_part import Selection
from ...errors import HscError
from . import hyper

# log2 σ₀ of the coding length, −72 dB under a coefficient of 1 of pixels in [0, 1]: below what is ever sent.
LOG_SIGMA_0 = -12
_SIZE = 8
# The byte of the fineness: its bits, those of the texture, and a flag.
_FINENESS, _TEXTURE, _LITERAL = 0x07, 0x78, 0x80
_TEXTURE_SHIFT = 3
# Largest texture: an exponent of 1.
MOST_TEXTURE = 8
# Bytes of side information before repair: its length has 21 bits. The three bits before them are all set;
# versions that sent what lies in the padding, or had the waves otherwise, did not set all.
MOST_BYTES = (1 << 21) - 1
_VERSION = 7 << 21


@dataclass(frozen=True)
class LriscParameters:
    """8 bytes.

    Attributes:
        fineness: of y, 0 the finest; in the byte's lowest three bits.
        selection: threshold of the coding length, and water level of the gains, two int16.
        side_bytes: bytes of side information before repair, 21 bits.
        literal: whether the coding lengths are the literal ones (`literal.py`), which the side information
            tells; the byte's highest bit.
        texture: how much more errors count where the image is calm, in eighths, as of `hyper.texture`; the
            byte's other four bits.
    """

    fineness: int
    selection: Selection
    side_bytes: int
    literal: bool = False
    texture: int = 0

    def pack(self) -> bytes:
        """8 bytes."""
        levels = np.array([self.selection.threshold, self.selection.water], ">i2").tobytes()
        first = self.literal * _LITERAL | self.texture << _TEXTURE_SHIFT | self.fineness
        return bytes([first]) + levels + (_VERSION | self.side_bytes).to_bytes(3, "big")

    @classmethod
    def unpack(cls, data: bytes) -> LriscParameters:
        """Inverse of `pack`. Raises HscError for values that cannot be."""
        first = data[0] if data else 0
        fineness, texture = first & _FINENESS, (first & _TEXTURE) >> _TEXTURE_SHIFT
        if len(data) < _SIZE or fineness >= len(hyper.STEPS) or texture > MOST_TEXTURE:
            raise HscError(
                "the LRISC parameters in the header are not possible: the packet comes from a newer version, "
                "update this receiver"
            )
        threshold, water = np.frombuffer(data[1:5], ">i2").tolist()
        last = int.from_bytes(data[5:_SIZE], "big")
        if last & _VERSION != _VERSION:
            raise HscError("the message is of an older version of LRISC: update the transmitter")
        literal = bool(first & _LITERAL)
        return cls(fineness, Selection(threshold, water), last & MOST_BYTES, literal, texture)

    @property
    def beta(self) -> float:
        """β of k_i = Q(β log2(σ_i(y) / σ₀)), Q rounding to 0 or 1: what the threshold stands for. Of literal
        lengths too, where the logarithm is −log2 p(z_i | y) but for the same constant.
        """
        octaves = self.selection.threshold / (2 * OCTAVE) - LOG_SIGMA_0
        return 0.5 / max(octaves, 1e-3)
