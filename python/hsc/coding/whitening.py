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
# Groups of unequal noise that are solved at once: 16 384 take some 200 MB.
_SOLVED_AT_ONCE = 1 << 14
# Share of a value in its estimate below which that tells nothing: float32 has no more. Chosen by trial.
_LEAST_KEPT = 1e-5


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
    for hard in (~_even(noise)).nonzero().flatten().split(_SOLVED_AT_ONCE):
        estimate[:, hard], variance[:, hard] = _solve(
            matrix, received[:, hard], noise[:, hard], prior[:, hard]
        )
    return estimate.flatten()[:count], variance.flatten()[:count]


def unmix_unbiased(
    received: torch.Tensor, noise: torch.Tensor, power: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mixed values → the values as if they had been sent unmixed, for a receiver that goes on estimating.

    In a group of even noise they are what the matrix gives when it is undone, with that noise. In others they
    are LLSE estimates, each divided by the share of the value in it.

    Args:
        received, noise, power: as of `unmix`, float (n,) each; n is a multiple of 16.

    Returns:
        Unbiased values and variances of their errors, float (n,) each; 0 and inf where nothing is told.
    """
    estimate, error = unmix(received, noise, power)
    kept = torch.where(power > 0, 1 - error / power, 0)
    rows = noise.reshape(GROUP, -1)
    undone = (_matrix(1).T @ received.reshape(GROUP, -1)).flatten()
    even = _even(rows).repeat(GROUP)
    values = torch.where(even, undone, estimate / kept)
    variance = torch.where(even, rows.mean(0).repeat(GROUP), error / kept)
    told = (even | (kept > _LEAST_KEPT)) & torch.isfinite(variance) & torch.isfinite(values)
    return torch.where(told, values, 0), torch.where(told, variance, torch.inf)


def _even(noise: torch.Tensor) -> torch.Tensor:
    """Whether a group's noise variances, (16, G), count as equal, all lost included; bool (G,)."""
    return noise.amax(0) <= _EVEN * noise.amin(0)


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
