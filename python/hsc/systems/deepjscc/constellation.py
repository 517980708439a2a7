"""A fixed constellation for DeepJSCC (DeepJSCC-Q: Tung, Kurka, Jankowski, Gündüz, IEEE JSAC 2022): every
value is one of L levels.

A symbol of two values is then a point of L²-QAM. Levels are the odd numbers ±1, ±3 … ±(L − 1). Before they
are quantised, all values of a message are mixed by a fixed rotation, which makes them Gaussian: a quiet part
of an image then has values as large as a loud one, the levels fit all of them, and the error of the quantiser
is like white noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from ...nn.transform import dct_matrix
from .spectrum import dct2

# Levels of a value: 4-QAM to 4096-QAM.
LEVELS = (2, 4, 8, 16, 32, 64)
# Between two levels.
SPACING = 2.0
# Neighbours that soft decisions look at.
_REACH = torch.arange(-4.0, 5.0) * SPACING


@lru_cache(maxsize=64)
@torch.inference_mode(False)
def rotation(count: int) -> torch.Tensor:
    """Orthonormal matrix (count, count): a DCT with its columns in a fixed random order, entries of nearly
    equal size.
    """
    return torch.from_numpy(dct_matrix(count)[:, np.random.RandomState(count).permutation(count)]).float()


@lru_cache(maxsize=4)
@torch.inference_mode(False)
def signs(shape: tuple[int, int, int]) -> torch.Tensor:
    """Fixed random signs ±1, float32 of `shape`."""
    return torch.from_numpy(np.random.RandomState(1).randint(0, 2, shape).astype(np.float32) * 2 - 1)


def mix(values: torch.Tensor, count: int) -> torch.Tensor:
    """First `count` channels of (B, ≥count, h, w) → mixed values (B, count, h, w): every one a sum over all,
    so Gaussian and alike.
    """
    rotated = torch.einsum("ij,bjhw->bihw", rotation(count).to(values.device), values[:, :count])
    return dct2(rotated * signs(tuple(rotated.shape[1:])).to(values.device))


def unmix(mixed: torch.Tensor, variance: torch.Tensor, channels: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Received mixed values and their error variance (inf where lost), (B, k, h, w) → values and variances,
    (B, channels, h, w).

    What was lost is taken as zero: the share that came makes up for it by a factor, and the rest counts as
    noise on all values.
    """
    matrix, pattern = (
        rotation(mixed.shape[1]).to(mixed.device),
        signs(tuple(mixed.shape[1:])).to(mixed.device),
    )
    there = torch.isfinite(variance)
    share = there.float().mean((1, 2, 3), keepdim=True).clamp_min(1e-9)
    power = (mixed.square() * there).mean((1, 2, 3), keepdim=True) / share
    noise = (
        torch.where(there, variance, 0).mean((1, 2, 3), keepdim=True) / share.square()
        + power * (1 - share) / share
    )
    whole = dct2(torch.where(there, mixed, 0) / share, inverse=True) * pattern
    values = torch.einsum("ij,bihw->bjhw", matrix, whole)
    fill = (0, 0, 0, 0, 0, channels - mixed.shape[1])
    pad = torch.nn.functional.pad
    return pad(values, fill), pad(noise.expand_as(values), fill, value=torch.inf)


def decide(units: torch.Tensor, levels: int) -> torch.Tensor:
    """Nearest level of each value in units of the step, any shape."""
    return (2 * (units / SPACING).floor() + 1).clamp(1 - levels, levels - 1)


def soft_decide(units: torch.Tensor, levels: int, temperature: float = 1.0) -> torch.Tensor:
    """`decide` with the gradient of a soft decision (straight through): a mean of the levels, weighted by
    exp(−(u − l)²/temperature).
    """
    points = torch.arange(1 - levels, levels, 2, dtype=units.dtype, device=units.device)
    soft = (torch.softmax(-(units[..., None] - points).square() / temperature, -1) * points).sum(-1)
    return soft + (decide(units, levels) - soft).detach()


@dataclass(frozen=True)
class Quantiser:
    """The best uniform quantiser of L levels for Gaussian values of unit variance.

    Attributes:
        step: half the distance of two levels, where values are decided.
        unit: what a unit of the level stands for, so that the error is not correlated with the value.
        error: variance of the error, in units².
    """

    step: float
    unit: float
    error: float


@lru_cache(maxsize=8)
def quantiser(levels: int) -> Quantiser:
    """By integration over the density, for the steps of a fine grid."""
    x = np.linspace(-8, 8, 8001)
    density = np.exp(-(x**2) / 2)
    density /= density.sum()
    best = None
    for step in np.geomspace(0.5, 8, 200) / levels:
        level = np.clip(2 * np.floor(x / step / 2) + 1, 1 - levels, levels - 1)
        power, product = (density * level**2).sum(), (density * level * x).sum()
        error = power - product**2
        found = Quantiser(float(step), float(1 / product), float(error))
        if best is None or found.error * found.unit**2 < best.error * best.unit**2:
            best = found
    return best


@torch.no_grad()
def scale(mixed: torch.Tensor) -> torch.Tensor:
    """RMS of mixed values, (B, 1, 1, 1); a constant for gradients."""
    return mixed.square().mean((1, 2, 3), keepdim=True).sqrt().clamp_min(1e-9)


def soft_receive(
    units: torch.Tensor, variance: torch.Tensor, levels: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Posterior mean of the level that was sent, and its variance, both in units; any shape.

    Every level is equally likely, also beyond the outermost: the estimate has no bias towards zero.

    Args:
        units: received values in units of the step; variance: of their noise, inf where lost.
    """
    finite = torch.isfinite(variance)
    known = torch.where(finite, variance, 1.0).clamp_min(1e-6)
    near = 2 * (units / SPACING).floor() + 1
    points = near[..., None] + _REACH.to(units.device)
    weight = torch.softmax(-(units[..., None] - points).square() / (2 * known[..., None]), -1)
    mean = (weight * points).sum(-1)
    spread = (weight * (points - mean[..., None]).square()).sum(-1)
    # From σ = spacing on, the levels are no longer seen in the noise.
    fine = known < SPACING**2
    mean = torch.where(fine, mean.clamp(1 - levels, levels - 1), units)
    return torch.where(finite, mean, 0), torch.where(finite, torch.where(fine, spread, known), torch.inf)


def receive(
    units: torch.Tensor, variance: torch.Tensor, levels: int, rms: torch.Tensor | float, channels: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Received levels (B, k, h, w) and their noise variances, both in units → values and error variances, (B,
    channels, h, w).

    `rms`: `scale` of the mixed values that were sent.
    """
    best = quantiser(levels)
    mean, spread = soft_receive(units, variance, levels)
    return unmix(mean * best.unit * rms, (spread + best.error) * (best.unit * rms) ** 2, channels)
