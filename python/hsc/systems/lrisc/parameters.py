"""What every packet header says of a message of LRISC."""

from __future__ import annotations

from dataclasses import dataclass

from ...coding.activity import OCTAVE
from ...coding.analog_part import Selection
from ...errors import HscError
from . import hyper
from .colour import BITS as _COLOUR_BITS
from .hyper import RANK_STEP

# log2 σ₀ of the coding length, −72 dB under a coefficient of 1 of pixels in [0, 1]: below what is ever sent.
LOG_SIGMA_0 = -12
_SIZE = 8
# The first byte holds fineness and texture, from this on, and in its highest bit whether the lengths are
# literal: versions that told no mean colour stayed below it in the other bits.
_FIRST = 70
_LITERAL = 128
# Largest texture: an exponent of 1.
MOST_TEXTURE = 8
_TEXTURES = MOST_TEXTURE + 1
# Bits of the threshold, of the water level, and of the length of the side information before repair.
_THRESHOLD_BITS, _WATER_BITS, _SIDE_BITS = 12, 9, 17
MOST_BYTES = (1 << _SIDE_BITS) - 1
# Steps of the threshold, which `hyper.ranks` have too, and of the water level [1/64 octave].
_THRESHOLD_STEP, _WATER_STEP = RANK_STEP, 16


@dataclass(frozen=True)
class LriscParameters:
    """8 bytes.

    Attributes:
        fineness: of y, 0 the finest.
        selection: threshold of the coding length and water level of the gains, as `sendable` has them, −4096
            to 4080.
        side_bytes: bytes of side information before repair.
        literal: whether the coding lengths are the literal ones (`literal.py`), which the side information
            tells.
        texture: how much more errors count where the image is calm, in eighths, as of `hyper.texture`.
        colour: code of the mean colour, `colour.coded`.
    """

    fineness: int
    selection: Selection
    side_bytes: int
    literal: bool = False
    texture: int = 0
    colour: int = 0

    def pack(self) -> bytes:
        """8 bytes. Raises ValueError for what does not fit."""
        first = _FIRST + self.fineness * _TEXTURES + self.texture + _LITERAL * self.literal
        rest = _unsigned(self.selection.threshold // _THRESHOLD_STEP, _THRESHOLD_BITS) << _WATER_BITS
        rest |= _unsigned(self.selection.water // _WATER_STEP, _WATER_BITS)
        if not (0 <= self.side_bytes <= MOST_BYTES and 0 <= self.colour < 1 << _COLOUR_BITS):
            raise ValueError(f"{self.side_bytes} bytes or colour {self.colour} do not fit into the header")
        rest = (rest << _SIDE_BITS | self.side_bytes) << _COLOUR_BITS | self.colour
        return bytes([first]) + rest.to_bytes(_SIZE - 1, "big")

    @classmethod
    def unpack(cls, data: bytes) -> LriscParameters:
        """Inverse of `pack`. Raises HscError for values that cannot be."""
        literal, first = divmod(data[0] if data else _FIRST, _LITERAL)
        if first < _FIRST:
            raise HscError("the message is of an older version of LRISC: update the transmitter")
        rest = int.from_bytes(data[1:_SIZE], "big")
        rest, colour = divmod(rest, 1 << _COLOUR_BITS)
        rest, side_bytes = divmod(rest, 1 << _SIDE_BITS)
        fineness, texture = divmod(first - _FIRST, _TEXTURES)
        if len(data) < _SIZE or fineness >= len(hyper.STEPS):
            raise HscError(
                "the LRISC parameters in the header are not possible: the packet comes from a newer version, "
                "update this receiver"
            )
        water = _WATER_STEP * _signed(rest % (1 << _WATER_BITS), _WATER_BITS)
        threshold = _THRESHOLD_STEP * _signed(rest >> _WATER_BITS, _THRESHOLD_BITS)
        selection = Selection(threshold, water)
        return cls(fineness, selection, side_bytes, bool(literal), texture, colour)

    @property
    def beta(self) -> float:
        """β of k_i = Q(β log2(σ_i(y) / σ₀)), Q rounding to 0 or 1: what the threshold stands for. Of literal
        lengths too, where the logarithm is −log2 p(z_i | y) but for the same constant.
        """
        octaves = self.selection.threshold / (2 * OCTAVE) - LOG_SIGMA_0
        return 0.5 / max(octaves, 1e-3)


def sendable(selection: Selection) -> Selection:
    """A selection with the next threshold and the nearest water level that can be told."""
    threshold = -(-selection.threshold // _THRESHOLD_STEP) * _THRESHOLD_STEP
    return Selection(threshold, _WATER_STEP * round(selection.water / _WATER_STEP))


def _unsigned(level: int, bits: int) -> int:
    """Two's complement. Raises ValueError for a level that needs more bits."""
    if not -(1 << bits - 1) <= level < 1 << bits - 1:
        raise ValueError(f"{level} does not fit into {bits} bits")
    return level % (1 << bits)


def _signed(level: int, bits: int) -> int:
    """Inverse of `_unsigned`."""
    return (level ^ 1 << bits - 1) - (1 << bits - 1)
