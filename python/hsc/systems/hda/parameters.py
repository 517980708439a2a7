"""What every packet header says of a message of the HDA codecs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...coding.analog_part import Selection
from ...errors import HscError
from .models import PROFILES
from .network import QUALITIES

# Bytes of a digital part before repair: its length has 22 bits.
MOST_BYTES = (1 << 22) - 1
# The first bit is set; versions that sent what lies in the padding did not set it.
_VERSION = 0x80
_SIZE = 8


@dataclass(frozen=True)
class HdaParameters:
    """What a receiver has to know before it can read either part.

    Attributes:
        profile: 3 bits behind one that is set; number of the weights that suit the message, of `hda_hevc` the
            share of the base's fine colour that the receiver adds (`hevc_model.FINE_COLOUR`).
        quality: of the digital part, 4 bits.
        fineness: of the activity, 2 bits.
        selection: of the analog values, two int16.
        source_bytes: length of the digital part before repair, 22 bits.
    """

    profile: int
    quality: int
    fineness: int
    selection: Selection
    source_bytes: int

    def pack(self) -> bytes:
        """8 bytes."""
        head = bytes([_VERSION | self.profile << 4 | self.quality])
        levels = np.array([self.selection.threshold, self.selection.water], ">i2").tobytes()
        return head + levels + (self.fineness << 22 | self.source_bytes).to_bytes(3, "big")

    @classmethod
    def unpack(cls, data: bytes) -> HdaParameters:
        """Inverse of `pack`. Raises HscError for values that cannot be."""
        first = data[0] if data else 0
        profile, quality = (first & ~_VERSION) >> 4, first & 15
        if len(data) < _SIZE or profile >= len(PROFILES) or quality >= QUALITIES:
            raise HscError(
                "the HDA parameters in the header are not possible: the packet comes from a newer version, "
                "update this receiver"
            )
        if not first & _VERSION:
            raise HscError("the message is of an older version of this codec: update the transmitter")
        threshold, water = np.frombuffer(data[1:5], ">i2").tolist()
        last = int.from_bytes(data[5:_SIZE], "big")
        selection = Selection(threshold, water)
        return cls(profile, quality, last >> 22, selection, last & MOST_BYTES)
