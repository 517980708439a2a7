"""Options of the learned image codec."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ...codecs.options import option, repair_option
from ...coding.protection import Protection, check_share
from ...errors import HscError
from ...message import Link

Losses = Literal["repair", "stop", "zeros"]
Training = Literal["clean", "erased"]


@dataclass(frozen=True)
class LicOptions:
    """Options of the learned image codec; its receiver is told them in the header."""

    losses: Losses = option(
        "repair",
        "what lost blocks do: RaptorQ symbols repair them; or what comes before the first one is decoded and "
        "the rest predicted (stop); or they read as zeros and are decoded all the same",
    )
    repair_share: float | None = repair_option("the code, with losses=repair alone")
    training: Training = option(
        "clean", "weights trained without losses, or with 8 % of the latent symbols erased"
    )
    margin_db: float = option(
        1.0, "with the MCS left to the codec: how far its threshold stays below the link's SNR [dB]"
    )

    def __post_init__(self) -> None:
        check_share(self.repair_share)
        if not 0 <= self.margin_db <= 40:
            raise HscError(f"the margin of the MCS is {self.margin_db} dB: give 0 to 40")

    def protection(self, link: Link, mcs: str, uses: int) -> Protection:
        """What the repair symbols are for that a message of so many channel uses has."""
        return Protection.of(self.repair_share if self.losses == "repair" else 0.0, link, mcs, uses)
