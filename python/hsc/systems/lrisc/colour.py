"""The mean colour of an image, told in every packet header: noise on the values shifts it, most of all where
a channel fades deeply, and a wrong colour is seen before anything else.

The header has, of red, green and blue, in which 64th of the range the mean lies. The receiver's image tells
more where the noise is weak, and nothing where no value came: it is shifted to what both together make most
likely. Least squares draw to grey what is noisy, so that this is taken off first.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ...coding.activity import OCTAVE, SIDE
from ...nn.transform import WIDTH
from . import hyper, means
from .network import LriscNetwork

# Places of a mean that are told apart, of pixels in [0, 1].
_PLACES = 64
# Bits of a code: one place for each of red, green and blue.
BITS = 18
# Standard deviation of a mean that came without noise, of pixels in [0, 1]: the networks at both ends have
# means of their own.
_LEAST_DEVIATION = 1e-3
# Where a place is looked at, over its width.
_WITHIN = (torch.arange(32) + 0.5) / 32
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
        deviation: (3,), standard deviations of what the values tell of it.
    """

    code: int
    drawn: torch.Tensor
    deviation: torch.Tensor

    @classmethod
    def alone(cls, code: int) -> MeanColour:
        """Where no value tells anything."""
        return cls(code, torch.zeros(3), torch.full((3,), torch.inf))

    @classmethod
    def of_waves(
        cls,
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
        share = means.waves(torch.ones_like(waves)) / waves[0].numel()  # of a wave in the mean of all cells
        counts = share.square() > 1e-6 * share.square().max()
        drawn = torch.where(counts, share * waves * (1 / kept - 1), 0).sum((1, 2))
        spread = torch.where(counts, share.square() * variance / kept, 0).sum((1, 2))
        return cls(code, rgb @ drawn, (rgb.square() @ spread).sqrt())


def _rgb_of_means(network: LriscNetwork) -> torch.Tensor:
    """Red, green and blue of each mean of a cell, (3, 3)."""
    each_and_none = torch.eye(4, 3)[..., None, None]
    cells = hyper.with_waves(torch.zeros(4, WIDTH, SIDE, SIDE), each_and_none)
    colours = network.transform.inverse(hyper.gather_low(cells, inverse=True)).mean((2, 3))
    return (colours[:3] - colours[3]).T


def coded(planes: torch.Tensor, shape: tuple[int, int, int]) -> int:
    """Planes (1, 3, ≥H, ≥W) of an image (H, W, C) → the code of their means."""
    places = (_means(planes, shape) * _PLACES).floor().clamp_max(_PLACES - 1)  # white is in the last
    red, green, blue = places.long().tolist()
    return (red * _PLACES + green) * _PLACES + blue


def corrected(planes: torch.Tensor, mean: MeanColour, shape: tuple[int, int, int]) -> torch.Tensor:
    """Planes of an image as it was received → the same, shifted so that their means are what the code and the
    values make most likely: the mean of a normal distribution within the code's places.
    """
    places = torch.tensor([mean.code // _PLACES**2, mean.code // _PLACES % _PLACES, mean.code % _PLACES])
    within = (places[:, None] + _WITHIN) / _PLACES
    told = (_means(planes, shape) + mean.drawn).nan_to_num(0.5, 0.5, 0.5)[:, None]
    deviation = mean.deviation.nan_to_num(torch.inf).clamp_min(_LEAST_DEVIATION)[:, None]
    likely = torch.softmax(-((within - told) / deviation).square() / 2, 1)
    wanted = (likely * within).sum(1)
    for _ in range(_SHIFTS):
        planes = planes + (wanted - _means(planes, shape))[:, None, None]
    return planes


def _means(planes: torch.Tensor, shape: tuple[int, int, int]) -> torch.Tensor:
    """(3,), of what is seen of the image."""
    return planes[0, :, : shape[0], : shape[1]].nan_to_num(0.5).clamp(0, 1).double().mean((1, 2)).float()
