"""The refiner's network: a small U-Net that predicts the image from a noisy one, the decoded one, and what is
known of its error.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch.nn import functional

from .. import weights
from ..nn.unet import UNet, detail, surroundings
from . import bands

WEIGHTS = "refiner"
# Sides of the cells of the two levels [pixels].
FINE_CELL, CELL = 4, 8
# Channels of the two levels, and residual blocks: before, at and behind the coarser one. Chosen for what two
# processor cores can train and run.
WIDTHS, BLOCKS = (128, 224), (1, 4, 2)
# The mean colour of a cell has about this standard deviation around mid-grey.
_SHADE_DEVIATION = 0.25
# What 1 at the end of the network adds to a pixel in [0, 1]: about an error, so that the first steps of
# training do not add more of it than they take away.
_ERROR = 0.05


class RefinerNetwork(UNet):
    """x̂₀ of a noisy image x_t, the decoded image x̃ and the bands of its error."""

    def __init__(self) -> None:
        super().__init__(6, FINE_CELL, WIDTHS, BLOCKS, told=2, known=bands.BANDS + 3)

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
        mean = surroundings(decoded)
        pixels = torch.cat([detail(noisy, mean), detail(decoded, mean)], 1)
        told = torch.stack([level, level.clamp_min(1e-3).log2() / 3 + 0.5], 1)
        shade = functional.avg_pool2d(decoded, CELL).sub(0.5).div(_SHADE_DEVIATION)
        return decoded + _ERROR * self.residual(pixels, told, torch.cat([bands.told(error), shade], 1))


@lru_cache(maxsize=2)
def load_network(name: str = WEIGHTS) -> RefinerNetwork:
    """The network with its shipped weights. Raises HscError when they are missing or damaged."""
    network = RefinerNetwork()
    network.load_state_dict(weights.load(name))
    return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)
