"""The refiner's network: a small U-Net that predicts the image from a noisy one, the decoded one, and what is
known of its error.

It works on patches of 4 × 4 pixels and on cells of 8 × 8, in dense 3 × 3 convolutions, without normalisation
and attention: nothing in it depends on the size of the image, so that tiles give what the whole gives.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import nn
from torch.nn import functional

from .. import weights
from ..nn.residual import Blocks, telling
from . import bands

WEIGHTS = "refiner"
# Side of the patches whose pixels are the channels of the finer level; a cell has twice that side.
PATCH, CELL = 4, 8
# Channels at H/4 and at H/8, and residual blocks there: before, at and behind the coarser level. Chosen for
# what two processor cores can train and run.
FINE, COARSE = 96, 160
BLOCKS = (1, 3, 2)
# Pixels have about this standard deviation around mid-grey.
_PIXEL_DEVIATION = 0.25
# What 1 at the end of the network adds to a pixel in [0, 1]: about an error, so that the first steps of
# training do not add more of it than they take away.
_ERROR = 0.05


class RefinerNetwork(nn.Module):
    """x̂₀ of a noisy image x_t, the decoded image x̃ and the bands of its error."""

    def __init__(self) -> None:
        super().__init__()
        before, at, behind = BLOCKS
        self.told = telling(2)
        self.enter = nn.Conv2d(6 * PATCH**2, FINE, 3, padding=1)
        self.trust_fine = nn.Conv2d(bands.BANDS, FINE, 1)
        self.trust_coarse = nn.Conv2d(bands.BANDS, COARSE, 1)
        self.before, self.at, self.behind = Blocks(FINE, before), Blocks(COARSE, at), Blocks(FINE, behind)
        self.down, self.up = nn.Conv2d(4 * FINE, COARSE, 1), nn.Conv2d(COARSE, 4 * FINE, 1)
        self.leave = nn.Conv2d(FINE, 3 * PATCH**2, 3, padding=1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(
        self, noisy: torch.Tensor, decoded: torch.Tensor, error: torch.Tensor, level: torch.Tensor
    ) -> torch.Tensor:
        """x_t → x̂₀, not clamped; untrained it is x̃.

        Args:
            noisy: x_t (B, 3, H, W) in [0, 1], H and W multiples of 8.
            decoded: x̃, same shape.
            error: variance of the error of x̃ in bands (B, 16, H/8, W/8); negative where it is not known.
            level: √η_t (B,), 1 at the start of the diffusion.
        """
        told = self.told(torch.stack([level, level.clamp_min(1e-3).log2() / 3 + 0.5], 1))
        trust = bands.told(error)
        pixels = torch.cat([noisy, decoded], 1).sub(0.5).div(_PIXEL_DEVIATION)
        fine = self.enter(functional.pixel_unshuffle(pixels, PATCH))
        fine = fine + functional.interpolate(self.trust_fine(trust), scale_factor=2)
        fine = self.before(fine, told)
        coarse = self.down(functional.pixel_unshuffle(fine, 2)) + self.trust_coarse(trust)
        fine = fine + functional.pixel_shuffle(self.up(self.at(coarse, told)), 2)
        return decoded + _ERROR * functional.pixel_shuffle(self.leave(self.behind(fine, told)), PATCH)


@lru_cache(maxsize=2)
def load_network(name: str = WEIGHTS) -> RefinerNetwork:
    """The network with its shipped weights. Raises HscError when they are missing or damaged."""
    network = RefinerNetwork()
    network.load_state_dict(weights.load(name))
    return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)
