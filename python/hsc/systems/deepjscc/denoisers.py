"""Denoising networks for received analog values, arranged as maps (B, 64, h, w): DiffSDNet's noise predictor,
and DnCNN.

Values have unit mean power here. The noise predictor adds to the linear MMSE estimate that follows from the
values' spectrum; untrained, it is that estimate.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from ...nn.diffusion import STEPS, kept, reverse, start
from .network import VALUES
from .spectrum import dct2

_TINY = 1e-12
SNRS_DB = (0.0, 5.0, 10.0, 15.0, 20.0)  # of the table of what DnCNN leaves


class _Block(nn.Module):
    """Two 3 × 3 convolutions around a shortcut, scaled and shifted by what is known of the noise."""

    def __init__(self, inputs: int, width: int, embedding: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(8, inputs), nn.GroupNorm(8, width)
        self.first, self.second = (
            nn.Conv2d(inputs, width, 3, padding=1),
            nn.Conv2d(width, width, 3, padding=1),
        )
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
        width, deep: channels at the full and at half the resolution.
    """

    def __init__(self, width: int = 96, deep: int = 144, embedding: int = 96) -> None:
        super().__init__()
        self.register_buffer("frequencies", torch.exp(torch.linspace(0, math.log(100), 16)))
        self.embed = nn.Sequential(
            nn.Linear(32, embedding), nn.SiLU(), nn.Linear(embedding, embedding), nn.SiLU()
        )
        self.enter = nn.Conv2d(2 * VALUES, width, 3, padding=1)
        self.down, self.up = nn.Conv2d(width, deep, 2, 2), nn.ConvTranspose2d(deep, width, 2, 2)
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
        linear, clean = linear_noise(noisy, t, spectrum)
        angles = t[:, None] / STEPS * self.frequencies
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


class DnCnn(nn.Module):
    """DnCNN (Zhang et al., IEEE Trans. Image Process. 2017): convolutions, batch norm, ReLU; finds the noise,
    is not told its level.

    Published for one or three channels. Noise of 64 channels hardly gets through ReLUs (in a trial of 15
    minutes nothing was learned), so a linear convolution runs beside them, and the layers are 8 of 96
    features instead of 17 of 64.
    """

    def __init__(self, layers: int = 8, width: int = 96) -> None:
        super().__init__()
        inner = [
            part
            for _ in range(layers - 2)
            for part in (nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        ]
        self.layers = nn.Sequential(
            nn.Conv2d(VALUES, width, 3, padding=1), nn.ReLU(), *inner, nn.Conv2d(width, VALUES, 3, padding=1)
        )
        self.linear = nn.Conv2d(VALUES, VALUES, 3, padding=1)
        for last in (self.layers[-1], self.linear):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(self, noisy: torch.Tensor) -> torch.Tensor:
        """Noisy values (B, 64, h, w) → the noise in them, same shape."""
        return self.linear(noisy) + self.layers(noisy)


def linear_noise(
    noisy: torch.Tensor, t: torch.Tensor, spectrum: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Linear MMSE estimates of ε and of v⁽⁰⁾ from v⁽ᵗ⁾ = √k v⁽⁰⁾ + √(1 − k) ε, k = `kept(t)`, per DCT
    frequency. Both (B, 64, h, w).
    """
    with torch.autocast(noisy.device.type, enabled=False):
        share = kept(t)[:, None, None, None]
        wiener = (1 - share).sqrt() / (share * spectrum + 1 - share + _TINY)
        noise = dct2(dct2(noisy.float()) * wiener, inverse=True)
        return noise, (noisy - (1 - share).sqrt() * noise) / share.sqrt()


class Denoiser(nn.Module):
    """A denoising network and how it is run.

    Args:
        kind: "dncnn"; "diffsdnet" or "ddpm" for a noise predictor with deterministic or with random steps.
    """

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.network = DnCnn() if kind == "dncnn" else NoisePredictor()
        # Share of the noise variance that DnCNN leaves on each channel, measured at the end of its training.
        self.register_buffer("remains", torch.ones(len(SNRS_DB), VALUES))

    def forward(
        self, values: torch.Tensor, variance: torch.Tensor, spectrum: torch.Tensor, steps: int
    ) -> torch.Tensor:
        """Values of unit mean power (B, 64, h, w) with noise of `variance` (B,) → estimates of the values,
        same shape.

        `spectrum`: prior spectrum of the values, as for `NoisePredictor`; `steps`: of the noise predictors,
        see `diffusion.reverse`.
        """
        if self.kind == "dncnn":
            return values - self.network(values).float()
        noisy = values / (1 + variance).sqrt()[:, None, None, None]  # eq. (31)
        return reverse(
            noisy,
            start(variance),
            lambda v, t: self.network(v, t, spectrum),
            steps,
            random=self.kind == "ddpm",
        )

    def hand_on(
        self, estimates: torch.Tensor, variance: torch.Tensor, spectrum: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Estimates → values (B, 64, h, w) for a receiver that begins with linear MMSE, and their noise
        variance (B, 64 or 1, 1, 1).

        Noise predictors know the spectrum, so that theirs are estimates already: values of which the linear
        ones at the noise that was are these. DnCNN's go on as received values with less noise.
        """
        if self.kind != "dncnn":
            noise = variance[:, None, None, None]
            return as_received(estimates, spectrum, noise), noise
        place = (
            (-10 * torch.log10(variance.clamp_min(_TINY)) - SNRS_DB[0]) / (SNRS_DB[1] - SNRS_DB[0])
        ).clamp(0, len(SNRS_DB) - 1)
        below = place.long().clamp_max(len(SNRS_DB) - 2)
        share = torch.lerp(self.remains[below], self.remains[below + 1], (place - below)[:, None])
        return estimates, (share * variance[:, None])[..., None, None]


def as_received(estimates: torch.Tensor, spectrum: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """Values (B, K, h, w), as a receiver takes them, of which `estimates` are the linear MMSE ones at a noise
    variance (B, K, 1, 1).
    """
    gain = torch.where(spectrum > 1e-4 * noise, (spectrum + noise) / spectrum.clamp_min(_TINY), 0)
    return dct2(dct2(estimates) * gain, inverse=True)
