"""Residual blocks of two dense 3 × 3 convolutions that are told something of the whole image: a step, a
quality.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

# Width of what the blocks are told.
TOLD = 64


class ResidualBlock(nn.Module):
    """x + two 3 × 3 convolutions, the features between them scaled and shifted by what is told."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))
        self.told = nn.Linear(TOLD, 2 * width)
        nn.init.zeros_(self.told.weight)
        nn.init.zeros_(self.told.bias)

    def forward(self, features: torch.Tensor, told: torch.Tensor) -> torch.Tensor:
        """Features (B, width, h, w) and what is told (B, 64) → features."""
        scale, shift = self.told(told)[..., None, None].chunk(2, 1)
        inner = functional.leaky_relu(self.first(features) * (1 + scale) + shift, 0.1)
        return features + self.second(inner)


class Blocks(nn.ModuleList):
    """Residual blocks in a row."""

    def __init__(self, width: int, count: int) -> None:
        super().__init__(ResidualBlock(width) for _ in range(count))

    def forward(self, features: torch.Tensor, told: torch.Tensor) -> torch.Tensor:
        """As each block."""
        for block in self:
            features = block(features, told)
        return features


def telling(inputs: int) -> nn.Sequential:
    """The network that makes what the blocks are told, (B, 64), of some numbers of about −1 … 1,
    (B, inputs).
    """
    return nn.Sequential(nn.Linear(inputs, TOLD), nn.SiLU(), nn.Linear(TOLD, TOLD), nn.SiLU())
