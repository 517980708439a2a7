"""Options of DeepJSCC and DeepJSCC-Q."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ...codecs.options import Ends, option
from ...errors import HscError
from ...refiner.options import RefinerOptions
from .denoisers import KINDS

# Steps of a denoiser: above it nothing is gained, and a mistyped number would take hours.
MOST_STEPS = 1000


@dataclass(frozen=True)
class DeepJsccOptions(RefinerOptions):
    """Options of DeepJSCC, all of the receiver's."""

    denoiser: Literal[*KINDS] | None = option(None, "denoiser of the received values", Ends.RECEIVER)
    denoiser_steps: int = option(10, "steps of a denoiser that takes steps", Ends.RECEIVER)
    informed: bool = option(
        True,
        "the decoder is told the measured noise of the values; False: it takes them for exact, as the "
        "HDA-DeepSC paper's does",
        Ends.RECEIVER,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.denoiser_steps <= MOST_STEPS:
            raise HscError(f"a denoiser takes 1 to {MOST_STEPS} steps, not {self.denoiser_steps}")


@dataclass(frozen=True)
class DeepJsccQOptions(RefinerOptions):
    """Options of DeepJSCC-Q."""

    points: Literal[4, 16, 64, 256, 1024, 4096] = option(
        64, "points of the constellation; the receiver is told"
    )
