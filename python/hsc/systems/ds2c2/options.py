"""Options of DS²C²."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ...codecs.options import Ends, option, repair_option
from ...coding.protection import check_share
from ...errors import HscError

Coding = Literal["dispersed", "binary"]
Semantic = Literal["derived", "sent"]
Rate = Literal["0.13", "0.26", "0.54", "1.0"]
# Finenesses of the base layer are 0 to this.
FINEST = 4
# Steps of FineNet at most: three bits in the header.
MOST_STEPS = 7


@dataclass(frozen=True)
class Ds2c2Options:
    """Options of DS²C²."""

    coding: Coding = option(
        "dispersed",
        "coding of the residual: dispersed, entropy-coded chunks that are decodable alone (ours); or binary, "
        "BResNet with a binarizer and an interleaver (the paper's)",
    )
    fineness: int | None = option(
        None, "of the base layer, 0 (coarsest) to 4; none: the finest that its share of the budget holds"
    )
    rate: Rate | None = option(
        None, "bits per pixel of a binary residual; none: the most that the budget holds"
    )
    steps: int = option(2, f"of FineNet behind a binary residual, 0 to {MOST_STEPS}")
    semantic: Semantic = option(
        "derived",
        "the semantic map: derived from the base layer at both ends, for no bits; or sent, as in the paper",
    )
    repair_share: float | None = repair_option("the base layer")
    told: bool = option(
        True,
        "whether the decoder of a binary residual knows what was lost; false: lost bits read as zeros, as in "
        "the paper",
        Ends.RECEIVER,
    )

    def __post_init__(self) -> None:
        if self.fineness is not None and not 0 <= self.fineness <= FINEST:
            raise HscError(f"the base layer has no fineness {self.fineness}: choose one of 0 to {FINEST}")
        if not 0 <= self.steps <= MOST_STEPS:
            raise HscError(f"{self.steps} steps of FineNet: give 0 to {MOST_STEPS}")
        check_share(self.repair_share)
