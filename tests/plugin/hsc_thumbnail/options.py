"""Options of the thumbnail codec."""

from dataclasses import dataclass
from typing import Literal, get_args

from gnuradio.hsc.codecs.options import Ends, option
from gnuradio.hsc.errors import HscError

NAME = "thumbnail"
Factor = Literal[4, 8, 16, 32]
FACTORS: tuple[int, ...] = get_args(Factor)


@dataclass(frozen=True)
class ThumbnailOptions:
    """Options of both ends."""

    factor: Factor = option(
        8, "how many times fewer rows and columns are sent; more times fewer where the budget asks for it"
    )
    sharpness: float = option(
        1.0, "how much of what the network finds is added, 0 (nothing) to 1", Ends.RECEIVER
    )

    def __post_init__(self) -> None:
        if not 0 <= self.sharpness <= 1:
            raise HscError(f"the thumbnail's sharpness is {self.sharpness}: give 0 to 1")
