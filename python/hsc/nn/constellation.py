"""A fixed constellation for DeepJSCC (DeepJSCC-Q: Tung, Kurka, Jankowski, Gündüz, IEEE JSAC 2022): every value is one of L levels.

A symbol of two values is then a point of L²-QAM. Levels are the odd numbers ±1, ±3 … ±(L − 1). Before they are quantised, the values of
a token are mixed by a fixed rotation, so that all have about the same variance and the error of the quantiser spreads over all of them.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

from .transform import dct_matrix

LEVELS = (2, 4, 8, 16, 32, 64)  # 4-QAM to 4096-QAM
SPACING = 2.0
_REACH = torch.arange(-4.0, 5.0) * SPACING  # neighbours that soft decisions look at
_WIDTHS = np.geomspace(0.5, 8, 17)  # outermost level over the RMS of the values, tried by `choose_step`


@lru_cache(maxsize=64)
@torch.inference_mode(False)
def rotation(count: int) -> torch.Tensor:
    """Orthonormal matrix (count, count): a DCT with its columns in a fixed random order, entries of nearly equal size."""
    return torch.from_numpy(dct_matrix(count)[:, np.random.default_rng(count).permutation(count)]).float()


def rotate(values: torch.Tensor, count: int) -> torch.Tensor:
    """First `count` channels of (B, ≥count, h, w) → mixed values (B, count, h, w)."""
    return torch.einsum("ij,bjhw->bihw", rotation(count).to(values.device), values[:, :count])


def unrotate(mixed: torch.Tensor, variance: torch.Tensor, channels: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Received mixed values and their error variance (inf where lost), (B, k, h, w) → values and variances, (B, channels, h, w).

    What a token lost is taken as zero: its share of each value is made up by a factor, its power counts as noise.
    """
    matrix = rotation(mixed.shape[1]).to(mixed.device)
    there = torch.isfinite(variance)
    power = (mixed.square() * there).sum((1, 2, 3), keepdim=True) / there.sum((1, 2, 3), keepdim=True).clamp_min(1)
    share = torch.einsum("ij,bihw->bjhw", matrix.square(), there.float())
    values = torch.einsum("ij,bihw->bjhw", matrix, torch.where(there, mixed, 0)) / share.clamp_min(1e-6)
    noise = torch.einsum("ij,bihw->bjhw", matrix.square(), torch.where(there, variance, 0)) / share.clamp_min(1e-6).square()
    noise = noise + power * (1 - share).clamp_min(0) / share.clamp_min(1e-6)
    fill = (0, 0, 0, 0, 0, channels - mixed.shape[1])
    noise = torch.where(share > 1e-3, noise, torch.inf)
    return torch.nn.functional.pad(torch.where(share > 1e-3, values, 0), fill), torch.nn.functional.pad(noise, fill, value=torch.inf)


def decide(units: torch.Tensor, levels: int) -> torch.Tensor:
    """Nearest level of each value in units of the step, any shape."""
    return (2 * (units / SPACING).floor() + 1).clamp(1 - levels, levels - 1)


def soft_decide(units: torch.Tensor, levels: int, temperature: float = 1.0) -> torch.Tensor:
    """`decide` with the gradient of a soft decision (straight through): a mean of the levels, weighted by exp(−(u − l)²/temperature)."""
    points = torch.arange(1 - levels, levels, 2, dtype=units.dtype, device=units.device)
    soft = (torch.softmax(-(units[..., None] - points).square() / temperature, -1) * points).sum(-1)
    return soft + (decide(units, levels) - soft).detach()


@torch.no_grad()
def choose_step(mixed: torch.Tensor, levels: int) -> torch.Tensor:
    """Value of one unit, (B, 1, 1, 1): of the steps tried the one whose levels correlate best with the values.

    Behind a linear estimator that is the least error at any SNR.
    """
    rms = mixed.square().mean((1, 2, 3), keepdim=True).sqrt().clamp_min(1e-9)
    best, most = rms, torch.zeros_like(rms)
    for width in _WIDTHS:
        step = rms * float(width) / (levels - 1)
        decided = decide(mixed / step, levels)
        product, power = ((decided * x).mean((1, 2, 3), keepdim=True) for x in (mixed, decided))
        found = product.square() / power
        best, most = torch.where(found > most, step, best), torch.maximum(found, most)
    return best


def soft_receive(units: torch.Tensor, variance: torch.Tensor, levels: int) -> tuple[torch.Tensor, torch.Tensor]:
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
    units: torch.Tensor, variance: torch.Tensor, levels: int, step: torch.Tensor | float, channels: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Received levels (B, k, h, w), in units of `step`, and noise variances → values and their error variances, (B, channels, h, w)."""
    mean, spread = soft_receive(units, variance, levels)
    rounding = SPACING**2 / 12  # of the quantiser, uniform within a level
    return unrotate(mean * step, (spread + rounding) * step**2, channels)
