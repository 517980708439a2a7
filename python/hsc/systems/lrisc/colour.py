"""The mean colour of an image, told in every packet header: noise on the values shifts it, most of all where
a channel fades deeply, and a wrong colour is seen before anything else.

The header has, of red, green and blue, in which 64th of the range the mean lies. The receiver's image tells
more where the noise is weak, and nothing where no value came: it is shifted to what both together make most
likely.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ...coding.activity import SIDE
from ...nn import planes
from ...nn.transform import WIDTH
from . import hyper, means
from .network import MULTIPLE, LriscNetwork

# Places of a mean that are told apart, of pixels in [0, 1].
_PLACES = 64
# Bits of a code: one place for each of red, green and blue.
BITS = 18
# Standard deviation of a mean that came without noise, of pixels in [0, 1]: the networks at both ends have
# means of their own.
_LEAST_DEVIATION = 1e-3
# Where a place is looked at, over its width.
_WITHIN = (torch.arange(32) + 0.5) / 32


@dataclass(frozen=True)
class MeanColour:
    """What a receiver knows of a mean colour, red, green and blue of pixels in [0, 1].

    Attributes:
        code: the places, `coded`.
        deviation: (3,), standard deviations of the error of the image's own mean.
    """

    code: int
    deviation: torch.Tensor

    @classmethod
    def of_waves(
        cls, code: int, variance: torch.Tensor, network: LriscNetwork, shape: tuple[int, int, int]
    ) -> MeanColour:
        """From the header's code and the variance of the errors of the waves (3, h/4, w/4), for an image
        (H, W, C) of a network.
        """
        variance = variance[: shape[2]]  # a grey image has no waves of colour
        rgb = _rgb_of_means(network)[:, : shape[2]]
        down, across = (_seen(cells, side) for cells, side in zip(variance.shape[1:], shape[:2], strict=True))
        share = means.waves(torch.outer(down, across))  # of each wave in the mean of what is seen
        spread = (share.square() * variance).sum((1, 2))
        return cls(code, (rgb.square() @ spread).sqrt())


def _seen(cells: int, side: int) -> torch.Tensor:
    """Share of each of some cells in a side of an image [pixels], (cells,)."""
    first = MULTIPLE * torch.arange(cells)
    return (side - first).clamp(0, MULTIPLE) / side


def _rgb_of_means(network: LriscNetwork) -> torch.Tensor:
    """Red, green and blue of each mean of a cell, (3, 3)."""
    each_and_none = torch.eye(4, 3)[..., None, None]
    cells = hyper.with_waves(torch.zeros(4, WIDTH, SIDE, SIDE), each_and_none)
    colours = network.transform.inverse(hyper.gather_low(cells, inverse=True)).mean((2, 3))
    return (colours[:3] - colours[3]).T


def coded(image: torch.Tensor, shape: tuple[int, int, int]) -> int:
    """Planes (1, 3, ≥H, ≥W) of an image (H, W, C) → the code of their means."""
    places = (planes.means(image, shape) * _PLACES).floor().clamp_max(_PLACES - 1)  # white is in the last
    red, green, blue = places.long().tolist()
    return (red * _PLACES + green) * _PLACES + blue


def corrected(image: torch.Tensor, mean: MeanColour, shape: tuple[int, int, int]) -> torch.Tensor:
    """Planes of an image as it was received → the same, shifted so that their means are what the code and the
    values make most likely: the mean of a normal distribution within the code's places.
    """
    return planes.with_means(image, _likely(planes.means(image, shape), mean), shape)


def flat(code: int, shape: tuple[int, int, int]) -> torch.Tensor:
    """What a code alone tells of an image (H, W, C): planes (1, 3, H, W) of one colour."""
    nothing = MeanColour(code, torch.full((3,), torch.inf))
    return _likely(torch.full((3,), 0.5), nothing)[None, :, None, None].expand(1, 3, *shape[:2])


def _likely(found: torch.Tensor, mean: MeanColour) -> torch.Tensor:
    """Means (3,) of a received image → the most likely ones."""
    places = torch.tensor([mean.code // _PLACES**2, mean.code // _PLACES % _PLACES, mean.code % _PLACES])
    within = (places[:, None] + _WITHIN) / _PLACES
    # a mean beyond its place has errors that the waves do not know of, as those of clipped pixels
    beyond = (found[:, None] - within).abs().amin(1)
    deviation = torch.hypot(mean.deviation.nan_to_num(torch.inf), beyond).clamp_min(_LEAST_DEVIATION)
    likely = torch.softmax(-((within - found[:, None]) / deviation[:, None]).square() / 2, 1)
    return (likely * within).sum(1)
