"""Fast Fourier convolution's spectral transform (Chi, Jiang and Mu, NeurIPS 2020): the pluggable module of
HDA-DeepSC's table II.
"""

from __future__ import annotations

import torch
from torch import nn


class SpectralTransform(nn.Module):
    """Features → spectrum → 1 × 1 convolution over real and imaginary parts, ReLU → features: every output
    sees the whole image.

    The last convolution starts at zero: the untrained module adds nothing.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        half = width // 2
        self.enter, self.norm = nn.Conv2d(width, half, 1), nn.GroupNorm(1, half)
        self.spectral, self.leave = nn.Conv2d(2 * half, 2 * half, 1), nn.Conv2d(half, width, 1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(B, C, h, w) → what the module adds, same shape."""
        narrow = torch.relu(self.norm(self.enter(features)))
        spectrum = torch.fft.rfft2(narrow.float(), norm="ortho")
        parts = torch.relu(self.spectral(torch.cat([spectrum.real, spectrum.imag], 1))).float()
        real, imaginary = parts.chunk(2, 1)
        seen = torch.fft.irfft2(torch.complex(real, imaginary), s=narrow.shape[-2:], norm="ortho")
        return self.leave(narrow + seen)
