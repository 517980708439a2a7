"""Options of LRISC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ...codecs.options import Ends, option, repair_option
from ...coding.protection import check_share
from ...errors import HscError
from ...refiner.options import RefinerOptions

# Least and largest weight of the errors inside a region of interest, in amplitude.
ROI_WEIGHTS = (1.0, 8.0)


@dataclass(frozen=True)
class LriscOptions(RefinerOptions):
    """Options of LRISC."""

    refiner: bool = option(True, "go over the image with the conditional diffusion refiner", Ends.RECEIVER)
    roi: str | None = option(
        None,
        "regions of interest, x,y,w,h [pixels], several with ';' between; or an image file, of which what is "
        "brighter than half is the region",
    )
    roi_weight: float = option(
        4.0,
        f"how many times an error inside the region counts, {ROI_WEIGHTS[0]:g} to {ROI_WEIGHTS[1]:g}",
    )
    side_share: float = option(
        0.08,
        "largest share of the channel uses that the hyper-latent y may take, 0.01 to 0.5, where its coarsest "
        "form keeps to it",
    )
    texture: float = option(
        1.0,
        "how much more errors count where the image is calm, 0 (all alike: least squared error) to 1 (what "
        "looks best at the CBR)",
    )
    lengths: Literal["expected", "literal"] = option(
        "expected",
        "coding lengths: expected from p(z | y), which the receiver knows; or literal, of the values "
        "themselves, which it is told",
    )
    repair_share: float | None = repair_option("the side information")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not ROI_WEIGHTS[0] <= self.roi_weight <= ROI_WEIGHTS[1]:
            raise HscError(f"the weight of the region is {self.roi_weight:g}: give 1 (none) to 8")
        if not 0.01 <= self.side_share <= 0.5:
            raise HscError(f"the share of the side information is {self.side_share:g}: give 0.01 to 0.5")
        if not 0 <= self.texture <= 1:
            raise HscError(f"the weight of texture is {self.texture:g}: give 0 (none) to 1")
        check_share(self.repair_share)
