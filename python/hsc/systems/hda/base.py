"""What the HDA codecs have in common as codecs."""

from __future__ import annotations

from ...message import Base
from ...phy.adaptation import LinkSetting
from ...refiner.codec import Refining
from .options import HdaOptions
from .parameters import HdaParameters


class HdaCodec(Refining):
    """Options of the HDA codecs, and what they say of a message."""

    Options = HdaOptions
    base = Base("digital", "digital base")
    without_losses = {"repair_share": 0.03}

    def adapted(self, setting: LinkSetting) -> HdaCodec:
        """With the setting's share of repair symbols."""
        return self if setting.repair_share is None else self.with_options(repair_share=setting.repair_share)

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
