"""Hadamard whitening of analog values of unlike power (Jakubczak and Katabi, SoftCast), with the LLSE
receiver for lost values.

Strong and weak values are mixed in groups of 16 before they are sent. When some of a group are lost, the
others still tell most of the strong ones: what is lost is about the power of the weakest, not a share of the
whole.
"""

from __future__ import annotations

import torch

from ..nn.hadamard import hadamard

# Values that are mixed.
GROUP = 16
# Columns of the matrix that values take first where zeros are mixed in. With its first eight every sum is
# sent twice, and the loss of both leaves a gap; with these eight any three of sixteen may be lost,
# and all but 20 of the 1820 sets of four. Up to affine maps there are four sets of eight: this is the best.
_SPREAD = (0, 1, 2, 3, 4, 5, 8, 10, 6, 7, 9, 11, 12, 13, 14, 15)
# Largest ratio of noise variances in a group that count as equal.
_EVEN = 1.01


def order(strength: torch.Tensor) -> torch.Tensor:
    """Integers (n,) → the order, strongest first, that `mix` wants. Equal ones keep their places: the same on
    every machine.
    """
    return torch.argsort(strength, descending=True, stable=True)


def mixed_length(count: int, spare: int = 1) -> int:
    """Values that `mix` makes of `count`."""
    return -(-spare * count // GROUP) * GROUP


def mix(values: torch.Tensor, spare: int = 1) -> torch.Tensor:
    """Values in `order`, float (n,) → as sent, float (16·ceil(n/16),): a group is every (n/16)-th value;
    neighbours are of two groups. `spare`: so many times as many are sent, zeros mixed in: of values that are
    all strong, a group then bears the loss of some.
    """
    padded = torch.zeros(mixed_length(len(values), spare))
    padded[: len(values)] = values
    return (_matrix(spare) @ padded.reshape(GROUP, -1)).flatten()


def unmix(
    received: torch.Tensor, noise: torch.Tensor, power: torch.Tensor, spare: int = 1
) -> tuple[torch.Tensor, torch.Tensor]:
    """LLSE of mixed values.

    Args:
        received: float, as `mix` makes them, unbiased; noise: variances of their errors, inf where lost.
        power: float (n,), prior powers of the values before mixing, in `order`.
        spare: as of `mix`.

    Returns:
        Estimates and variances of their errors, float (n,) each.
    """
    count = len(power)
    prior = torch.zeros(len(received))
    prior[:count] = power
    prior, received = prior.reshape(GROUP, -1), received.reshape(GROUP, -1)
    noise = noise.reshape(GROUP, -1)
    weight = prior / (prior + noise.mean(0)).clamp_min(1e-30)
    matrix = _matrix(spare)
    estimate, variance = weight * (matrix.T @ received), prior * (1 - weight)
    hard = ~(noise.amax(0) <= _EVEN * noise.amin(0))
    if hard.any():
        estimate[:, hard], variance[:, hard] = _solve(
            matrix, received[:, hard], noise[:, hard], prior[:, hard]
        )
    return estimate.flatten()[:count], variance.flatten()[:count]


def _solve(
    matrix: torch.Tensor, received: torch.Tensor, noise: torch.Tensor, prior: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Groups of unequal noise, (16, G) each: x̂ = P Hᵀ (H P Hᵀ + N)⁻¹ y. A lost value has weight 0: its row
    is left out.
    """
    matrix = matrix.double()
    seen = torch.isfinite(noise).T.double()  # (G, 16)
    mixed = matrix[None] * prior.T.double()[:, None]  # H P
    covariance = (mixed @ matrix.T) * seen[:, :, None] * seen[:, None]
    scale = prior.mean(0).double().clamp_min(1e-30)[:, None]
    covariance += torch.diag_embed(
        torch.where(seen > 0, noise.T.double().nan_to_num(posinf=0), scale) + 1e-9 * scale
    )
    mixed = mixed * seen[:, :, None]
    gain = torch.cholesky_solve(mixed, torch.linalg.cholesky(covariance))  # (H P Hᵀ + N)⁻¹ H P
    estimate = (gain * (received.T.double() * seen)[:, :, None]).sum(1)
    variance = prior.T.double() - (gain * mixed).sum(1)
    return estimate.T.float(), variance.clamp_min(0).T.float()


def _matrix(spare: int) -> torch.Tensor:
    """Orthonormal (16, 16)."""
    matrix = hadamard(GROUP).float() / GROUP**0.5
    return matrix if spare == 1 else matrix[:, _SPREAD]
