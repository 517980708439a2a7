"""Making images smaller and larger, and the network that sharpens them."""

import functools
from pathlib import Path

import torch
from gnuradio.hsc import weights
from torch import nn
from torch.nn.functional import interpolate

WEIGHTS = Path(__file__).parent / "weights"
_WIDTH = 8  # channels between the layers; more gained nothing, by trial


def smaller(images: torch.Tensor, factor: int) -> torch.Tensor:
    """Float (B, C, H, W) → (B, C, ⌈H / factor⌉, ⌈W / factor⌉), means of pixels."""
    return interpolate(images, [-(-side // factor) for side in images.shape[2:]], mode="area")


class Sharpener(nn.Module):
    """Enlarges images; adds what two convolutions find, plane by plane. Untrained it adds nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, _WIDTH, 5, padding=2), nn.ReLU(), nn.Conv2d(_WIDTH, 1, 5, padding=2)
        )
        nn.init.zeros_(self.layers[-1].weight)
        nn.init.zeros_(self.layers[-1].bias)

    def forward(self, small: torch.Tensor, height: int, width: int, sharpness: float = 1.0) -> torch.Tensor:
        """Float (B, C, h, w) in [0, 1] → (B, C, height, width)."""
        large = interpolate(small, (height, width), mode="bicubic")
        planes = large.flatten(0, 1).unsqueeze(1)
        return large + sharpness * self.layers(planes).view_as(large)


@functools.cache
def trained() -> Sharpener:
    """With the weights of this package. Raises HscError when they are missing."""
    model = Sharpener()
    model.load_state_dict(weights.load("thumbnail", WEIGHTS))
    return model.eval()
