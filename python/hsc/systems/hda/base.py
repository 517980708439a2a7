"""What the HDA codecs have in common as codecs."""

from __future__ import annotations

from ...message import Base
from ...refiner.codec import Refining
from .options import HdaOptions
from .parameters import HdaParameters


class HdaCodec(Refining):
    """Options of the HDA codecs, and what they say of a message."""

    Options = HdaOptions
    base = Base("digital", "digital base")

    @classmethod
    def describe(cls, parameters: bytes) -> dict[str, object]:
        """Quality of the digital part, 0 the finest; fineness of the activity; bytes of the digital part
        before repair; number of the profile.
        """
        known = HdaParameters.unpack(parameters)
        return {
            "quality": known.quality,
            "fineness": known.fineness,
            "source_bytes": known.source_bytes,
            "profile": known.profile,
        }
