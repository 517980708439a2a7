"""The last stage of a semantic decoder: a U-Net that takes away some of the error of a decoded image. It is
told how large that is, by the tables that both ends share, and sees the digital base beside the image, where
there is one.

    ẑ ─▶ inverse transform ─▶ x̃ ─┬──────────────────────────────▶ + ─▶ Î
    base ─────────────────────────┴─▶ f(x̃, base, variance of ẑ) ──┘
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch.nn import functional

from ...nn.precision import mixed
from ...nn.tiles import tiled
from ...nn.transform import BLOCK
from ...nn.unet import UNet, detail, reach, surroundings
from ...refiner import bands

# Side of the finer cells; the coarser ones are blocks of the transform [pixels].
_CELL = BLOCK // 2
# Channels of the two levels, and residual blocks: before, at and behind the coarser one. Chosen for what two
# processor cores can train and run.
_WIDTHS, _BLOCKS = (128, 192), (2, 3, 2)
# Side of a tile, and what the network sees beyond it [pixels].
_TILE, _REACH = 1024, reach(_CELL, _BLOCKS)
# Least and largest RMS error of a pixel in [0, 1] that the network tells apart.
_ERRORS = 1e-3, 0.2
# Largest difference from the base that the network sees, in RMS errors.
_MOST_APART = 8.0


class Restorer(UNet):
    """x̃, the base and the error that is to be expected → the image.

    Args:
        based: whether there is a base.
    """

    def __init__(self, based: bool) -> None:
        super().__init__(6 if based else 3, _CELL, _WIDTHS, _BLOCKS, told=1, known=bands.BANDS)

    def forward(
        self, decoded: torch.Tensor, error: torch.Tensor, base: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Images, not clamped; untrained x̃ itself. (B, 3, H, W).

        Args:
            decoded: x̃ (B, 3, H, W) in [0, 1], H and W multiples of 8.
            error: variance of its error in bands (B, 16, H/8, W/8).
            base: the digital base, as x̃.
        """
        low, high = _ERRORS
        local = bands.of_pixels(error).sqrt().clamp(low, high)
        pixels = detail(decoded, surroundings(decoded))
        around = functional.avg_pool2d(local, 3, 1, 1, count_include_pad=False)
        scale = functional.interpolate(around, scale_factor=BLOCK)
        if base is not None:
            apart = ((base - decoded) / scale).clamp(-_MOST_APART, _MOST_APART)
            pixels = torch.cat([pixels, apart], 1)
        told = local.mean((2, 3)).log2() / 4 + 1.5
        return decoded + scale * self.residual(pixels, told, bands.told(error))


def ready(based: bool, state: Mapping[str, torch.Tensor]) -> Restorer:
    """A trained restorer, for `restored`."""
    network = Restorer(based)
    network.load_state_dict(state)
    return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)


@torch.inference_mode()
def restored(
    network: Restorer, decoded: torch.Tensor, variance: torch.Tensor, base: torch.Tensor | None = None
) -> torch.Tensor:
    """x̃ (1, 3, 8h, 8w), the variance of the error of ẑ (1, 120, h, w) and the base → the image, tile by
    tile.
    """
    known = bands.of_coefficients(variance)
    with mixed(decoded.device):
        return tiled(network, _TILE, _REACH, decoded, known, *([] if base is None else [base]))
