"""The noise predictor of DiffSDNet: a U-Net beside the linear estimate, which it equals before training."""

from __future__ import annotations

import math

import torch
from torch import nn

from ....nn.diffusion import Schedule
from ..network import VALUES
from ..spectrum import dct2

_TINY = 1e-12


class _Block(nn.Module):
    """Two 3 × 3 convolutions around a shortcut, scaled and shifted by what is known of the noise."""

    def __init__(self, inputs: int, width: int, embedding: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(8, inputs)
        self.norm2 = nn.GroupNorm(8, width)
        self.first = nn.Conv2d(inputs, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.modulate = nn.Linear(embedding, 2 * width)
        self.shortcut = nn.Conv2d(inputs, width, 1) if inputs != width else nn.Identity()
        nn.init.zeros_(self.second.weight)

    def forward(self, features: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        scale, shift = self.modulate(embedding)[..., None, None].chunk(2, 1)
        hidden = self.norm2(self.first(nn.functional.silu(self.norm1(features)))) * (1 + scale) + shift
        return self.shortcut(features) + self.second(nn.functional.silu(hidden))


class NoisePredictor(nn.Module):
    """ε(v, t) of eq. (29): a U-Net of two scales beside the linear estimate.

    Args:
        schedule: that t counts the steps of.
        width, deep: channels at the full and at half the resolution.
        embedding: width of what the blocks are told of t.
    """

    def __init__(self, schedule: Schedule, width: int = 96, deep: int = 144, embedding: int = 96) -> None:
        super().__init__()
        self.schedule = schedule
        self.register_buffer("frequencies", torch.exp(torch.linspace(0, math.log(100), 16)))
        self.embed = nn.Sequential(
            nn.Linear(32, embedding), nn.SiLU(), nn.Linear(embedding, embedding), nn.SiLU()
        )
        self.enter = nn.Conv2d(2 * VALUES, width, 3, padding=1)
        self.down = nn.Conv2d(width, deep, 2, 2)
        self.up = nn.ConvTranspose2d(deep, width, 2, 2)
        self.before = _Block(width, width, embedding)
        self.inside = nn.ModuleList(_Block(deep, deep, embedding) for _ in range(2))
        self.after = _Block(2 * width, width, embedding)
        self.leave = nn.Sequential(nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, VALUES, 3, padding=1))
        nn.init.zeros_(self.leave[-1].weight)
        nn.init.zeros_(self.leave[-1].bias)

    def forward(self, noisy: torch.Tensor, t: torch.Tensor, spectrum: torch.Tensor) -> torch.Tensor:
        """v⁽ᵗ⁾ (B, 64, h, w), t (B,), and the prior spectrum of v⁽⁰⁾ over the maps' DCT, (B, 64, h, w) → ε,
        same shape.
        """
        linear, clean = linear_noise(noisy, self.schedule.kept(t), spectrum)
        angles = t[:, None] / self.schedule.steps * self.frequencies
        embedding = self.embed(torch.cat([angles.sin(), angles.cos()], 1))
        height, width = noisy.shape[-2:]
        even = nn.functional.pad(
            torch.cat([noisy, clean], 1), (0, width % 2, 0, height % 2), mode="replicate"
        )
        features = self.before(self.enter(even), embedding)
        deep = self.down(features)
        for block in self.inside:
            deep = block(deep, embedding)
        features = self.after(torch.cat([features, self.up(deep)], 1), embedding)
        return linear + self.leave(features).float()[..., :height, :width]


def linear_noise(
    noisy: torch.Tensor, kept: torch.Tensor, spectrum: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Linear MMSE estimates of ε and of v⁽⁰⁾, both (B, 64, h, w), from v⁽ᵗ⁾ = √k v⁽⁰⁾ + √(1 − k) ε, per DCT
    frequency; `kept`: k, (B,).
    """
    with torch.autocast(noisy.device.type, enabled=False):
        share = kept[:, None, None, None]
        wiener = (1 - share).sqrt() / (share * spectrum + 1 - share + _TINY)
        noise = dct2(dct2(noisy.float()) * wiener, inverse=True)
        return noise, (noisy - (1 - share).sqrt() * noise) / share.sqrt()
