"""Options of a codec whose image may be refined, all of its receiver."""

from __future__ import annotations

from dataclasses import dataclass

from ..codecs.options import Ends, option
from ..errors import HscError

# Steps of the diffusion at most: its weights are trained for so many.
MOST_STEPS = 4
# Steps where none are asked for. With the weights that are shipped, one step leaves less LPIPS and less error
# than four.
USUAL_STEPS = 1
# Caption of an image as it was before.
BEFORE = "before the refiner"
# Seeds are below: what a generator of random numbers takes, be it numpy's or torch's.
SEEDS = 1 << 32


@dataclass(frozen=True)
class RefinerOptions:
    """What a codec's options inherit when the refiner may stand behind it."""

    refiner: bool = option(
        False, "go over the decoded image with the conditional diffusion refiner", Ends.RECEIVER
    )
    refiner_steps: int = option(USUAL_STEPS, f"steps of the refiner, 1 to {MOST_STEPS}", Ends.RECEIVER)
    realism: float = option(
        1.0,
        "how much of what the refiner adds is kept, 0 (the decoded image, least error) to 1 (all of it)",
        Ends.RECEIVER,
    )
    refiner_seed: int = option(0, "seed of the refiner's noise: the same gives the same image", Ends.RECEIVER)

    def __post_init__(self) -> None:
        if not 1 <= self.refiner_steps <= MOST_STEPS:
            raise HscError(f"the refiner takes 1 to {MOST_STEPS} steps, not {self.refiner_steps}")
        if not 0 <= self.realism <= 1:
            raise HscError(f"the realism is {self.realism}: give 0 (the decoded image) to 1 (all)")
        if not 0 <= self.refiner_seed < SEEDS:
            raise HscError(f"the refiner's seed is {self.refiner_seed}: give 0 to {SEEDS - 1}")
