"""Codecs with the refiner as a last stage behind them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..codecs.contract import Codec, Decoded
from .options import RefinerOptions


def is_flat(image: np.ndarray) -> bool:
    """Whether an image (H, W, C) has a single colour, as where nothing could be decoded: the refiner would
    only make something up.
    """
    return not np.ptp(image, axis=(0, 1)).any()


class Refining(Codec):
    """A codec whose image is refined when its options say so. Its `Options` inherit from `RefinerOptions`."""

    Options = RefinerOptions

    @property
    def refines(self) -> bool:
        """As the option `refiner` says; with no realism at all there is nothing to do."""
        return self.options.refiner and self.options.realism > 0

    def refine(self, decoded: Decoded) -> Decoded:
        """The image as the refiner leaves it, a flat one as it is; of its error nothing is known any more.
        Raises HscError when the refiner's weights are missing or damaged.
        """
        if not self.refines or is_flat(decoded.image):
            return decoded
        from .refine import refine  # loads torch

        return replace(decoded, image=refine(decoded.image, decoded.error, self.options), error=None)
