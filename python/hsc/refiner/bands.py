"""What a refiner is told of an image's error: its variance in 16 bands of the 8 × 8 DCT of every block.

A codec with DCT-like tokens knows the posterior variance of every coefficient; ten bands of luma and six of
both colour differences, along the zigzag, keep what matters of it.
"""

from __future__ import annotations

import numpy as np
import torch

from ..codecs.contract import MOST_ERROR, error_shape
from ..nn.transform import BLOCK, KEPT

# First place of each band along the zigzag: a diagonal of the block each, but for the last two of luma and
# the last one of colour, which take what is left.
_LUMA = (0, 1, 3, 6, 10, 15, 21, 28, 36, 45)
_COLOUR = (0, 1, 3, 6, 10, 15)
# Bands.
BANDS = len(_LUMA) + len(_COLOUR)
# Logarithm (base 2) of the least and the largest variance that networks tell apart, a coefficient of the
# orthonormal DCT of pixels in [0, 1]: −60 dB and 0 dB.
_LOG_VARIANCE = (-20.0, 0.0)


def _band_of_coefficient() -> torch.Tensor:
    """Band of each of the 120 kept coefficients, int64 (120,)."""
    luma, red, green = (torch.arange(count) for count in KEPT)
    edges, colour = torch.tensor(_LUMA), torch.tensor(_COLOUR)
    of_luma = torch.bucketize(luma, edges, right=True) - 1
    of_colour = [len(_LUMA) + torch.bucketize(place, colour, right=True) - 1 for place in (red, green)]
    return torch.cat([of_luma, *of_colour])


BAND = _band_of_coefficient()
_COUNTS = torch.bincount(BAND, minlength=BANDS)


def of_coefficients(variance: torch.Tensor) -> torch.Tensor:
    """Variance of the error of each DCT coefficient (…, 120, h, w) → its mean in each band, (…, 16, h, w)."""
    total = torch.zeros(*variance.shape[:-3], BANDS, *variance.shape[-2:], device=variance.device)
    total.index_add_(-3, BAND.to(variance.device), variance.float())
    return total / _COUNTS.to(variance.device)[:, None, None]


def to_coefficients(bands: torch.Tensor) -> torch.Tensor:
    """Bands (…, 16, h, w) → a variance for each coefficient, (…, 120, h, w)."""
    return bands.index_select(-3, BAND.to(bands.device))


def of_pixels(error: torch.Tensor) -> torch.Tensor:
    """Bands (B, 16, h, w) → the mean error of the pixels of each block, (B, 1, h, w)."""
    total = (error * _COUNTS.to(error)[:, None, None]).sum(1, keepdim=True)
    return total / (3 * BLOCK**2)


def told(error: torch.Tensor) -> torch.Tensor:
    """Variances → their logarithms as networks are told them, about −1 … 1; −1.5 where a variance is not
    known (negative).
    """
    low, high = _LOG_VARIANCE
    level = error.clamp(2.0**low, 2.0**high).log2()
    return torch.where(error < 0, -1.5, (level - low) / (high - low) * 2 - 1)


def of_image(variance: torch.Tensor, shape: tuple[int, int, int]) -> np.ndarray:
    """Variance of the error of each DCT coefficient (120, ≥⌈H/8⌉, ≥⌈W/8⌉) of an image (H, W, C) →
    `contract.Decoded.error`. A grey image is three equal planes, without an error of colour; of what is no
    number the worst is taken.
    """
    _, down, across = error_shape(shape)
    found = of_coefficients(variance[:, :down, :across])
    if shape[2] == 1:
        found[len(_LUMA) :] = 0
    return found.nan_to_num(MOST_ERROR).clamp(0, MOST_ERROR).numpy()
