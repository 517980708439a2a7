"""Generalised divisive normalisation (Ballé, Laparra and Simoncelli 2016, eqs. (2) and (3))."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

# Least β: keeps the root's gradient finite.
_LEAST_BETA = 1e-6
# γ at the start: of a channel on itself as in Ballé's code, and on the others, where the gradient of a square
# must not be zero.
_OWN_GAMMA, _OTHER_GAMMA = 0.1, 1e-4


class Gdn(nn.Module):
    """y_i = x_i / √(β_i + Σ_j γ_ij x_j²), or its approximate inverse IGDN, y_i = x_i √(β_i + Σ_j γ_ij x_j²),
    at every place.

    β and γ are stored as their roots, which keeps them positive.

    Args:
        channels: of the feature map.
        inverse: True for IGDN.
    """

    def __init__(self, channels: int, inverse: bool = False) -> None:
        super().__init__()
        self.inverse = inverse
        self.root_beta = nn.Parameter(torch.ones(channels))
        gamma = torch.full((channels, channels), _OTHER_GAMMA).fill_diagonal_(_OWN_GAMMA)
        self.root_gamma = nn.Parameter(gamma.sqrt())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, channels, h, w) → the same shape."""
        gamma = self.root_gamma.square()[..., None, None]
        pool = functional.conv2d(x.square(), gamma, self.root_beta.square() + _LEAST_BETA)
        return x * (pool.sqrt() if self.inverse else pool.rsqrt())
