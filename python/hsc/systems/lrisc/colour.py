"""The mean colour of an image, told in every packet header: noise on the values shifts it, most of all where
a channel fades deeply, and a wrong colour is seen before anything else.

The values tell it within some percent already. So the header has only which of 32 places in a quarter of the
range it lies in: Wyner and Ziv's coding with what the receiver knows beside. Least squares draw what is noisy
to grey, so that the place is chosen by what the values tell without that; where they tell too little, the
image stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ...coding.activity import OCTAVE, SIDE
from ...nn.transform import WIDTH
from . import hyper, means
from .network import LriscNetwork

# Places that are told apart, and their width, of pixels in [0, 1]. Means that are off by less than sixteen
# places, 12 %, do not lead to a wrong one.
_PLACES, _WIDTH = 32, 1 / 128
# Bits of a code: one place for each of red, green and blue.
BITS = 15
# A mean that was found outside of its place is put so far from its middle: not far beyond its end, since the
# networks at both ends have means of their own, within a quarter of a place.
_INSIDE = 0.35
# Standard deviation of what the values tell, of pixels in [0, 1], up to which a place is chosen by it: three
# times of it lie within the sixteen places.
_MOST_DEVIATION = 0.04
# Share of a wave in its estimate that counts as none.
_LEAST_KEPT = 1e-6
# Shifts until the mean of an image is where it shall be: what is beyond black and white does not count.
_SHIFTS = 6


@dataclass(frozen=True)
class MeanColour:
    """What a receiver knows of a mean colour, red, green and blue of pixels in [0, 1].

    Attributes:
        code: the places, `coded`.
        drawn: (3,), by how much least squares have drawn the image's to grey.
        deviation: standard deviation of what the values tell of it, the largest of the three: beyond all
            colours where they tell nothing.
    """

    code: int
    drawn: torch.Tensor
    deviation: float


def known(
    code: int,
    waves: torch.Tensor,
    variance: torch.Tensor,
    log_power: torch.Tensor,
    network: LriscNetwork,
    channels: int,
) -> MeanColour:
    """What the values of the waves tell beside the code.

    Args:
        code: of the header.
        waves: (3, h/4, w/4), by least squares, eq. (8) of HDA-DeepSC.
        variance: of their errors.
        log_power: int64, log2 of their prior variances [1/64 octave].
        network: whose images are corrected.
        channels: of the image; a grey one has no waves of colour.
    """
    rgb = _rgb_of_means(network)[:, :channels]
    waves, variance, log_power = waves[:channels], variance[:channels], log_power[:channels]
    # the share of a wave that is in its estimate
    kept = (1 - variance / (log_power / OCTAVE).exp2()).clamp(_LEAST_KEPT, 1)
    cells = waves[0].numel()
    share = means.waves(torch.ones_like(waves[0])) / cells  # of a wave in the mean of all cells
    counts = share.square() > 1e-6 * share.square().max()
    drawn = torch.where(counts, share * waves * (1 / kept - 1), 0).sum((1, 2))
    spread = torch.where(counts, share.square() * variance / kept, 0).sum((1, 2))
    deviation = (rgb.square() @ spread).sqrt().max()
    return MeanColour(code, rgb @ drawn, float(deviation))


def _rgb_of_means(network: LriscNetwork) -> torch.Tensor:
    """Red, green and blue of each mean of a cell, (3, 3)."""
    each_and_none = torch.eye(4, 3)[..., None, None]
    cells = hyper.with_waves(torch.zeros(4, WIDTH, SIDE, SIDE), each_and_none)
    colours = network.transform.inverse(hyper.gather_low(cells, inverse=True)).mean((2, 3))
    return (colours[:3] - colours[3]).T


def coded(planes: torch.Tensor, shape: tuple[int, int, int]) -> int:
    """Planes (1, 3, ≥H, ≥W) of an image (H, W, C) → the code of their means."""
    place = (_means(planes, shape) / _WIDTH).floor().clamp_max(round(1 / _WIDTH) - 1)  # white is in the last
    red, green, blue = (place.long() % _PLACES).tolist()
    return (red * _PLACES + green) * _PLACES + blue


def corrected(planes: torch.Tensor, mean: MeanColour, shape: tuple[int, int, int]) -> torch.Tensor:
    """Planes of an image as it was received → the same with their means in the place that the code stands
    for: shifted, or as they are where they lie there, or where too little is known.
    """
    if not (mean.deviation <= _MOST_DEVIATION and torch.isfinite(mean.drawn).all()):
        return planes
    codes = torch.tensor([mean.code // _PLACES**2, mean.code // _PLACES % _PLACES, mean.code % _PLACES])
    middles = _WIDTH * (codes[:, None] + 0.5 + torch.arange(0, round(1 / _WIDTH), _PLACES))  # in the range
    found = _means(planes, shape)
    nearest = (middles - (found + mean.drawn)[:, None]).abs().argmin(1, keepdim=True)
    middle = middles.gather(1, nearest)[:, 0]
    off = (found - middle) / _WIDTH  # in places
    wanted = torch.where(off.abs() > 0.5, middle + _WIDTH * off.clamp(-_INSIDE, _INSIDE), found)
    shifted = planes
    for _ in range(_SHIFTS):
        shifted = shifted + (wanted - _means(shifted, shape))[:, None, None]
    return shifted


def _means(planes: torch.Tensor, shape: tuple[int, int, int]) -> torch.Tensor:
    """(3,), of what is seen of the image."""
    return planes[0, :, : shape[0], : shape[1]].nan_to_num(0.5).clamp(0, 1).double().mean((1, 2)).float()
