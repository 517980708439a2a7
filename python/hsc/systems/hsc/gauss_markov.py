"""Lost values of a latent from their neighbours: the conditional mean of a separable first-order Gauss-Markov
field.

Each channel has unit variance up to a scale, and correlation rho^(|dy| + |dx|) between places (Rue and Held,
Gaussian Markov Random Fields, 2005, sections 1.1 and 2.2): its precision matrix is the Kronecker product of
two tridiagonal ones, so that it is never formed.
"""

from __future__ import annotations

import torch

# Most conjugate gradient steps: within 0.01 dB of 600, measured on Kodak with a fifth to all but a twentieth
# of the values received.
ITERATIONS = 60
# Share of the first residual's energy at which to stop: what is left is not seen.
_ENOUGH = 1e-8
# Strongest correlation of neighbours that is reckoned with: above it the gradients take too long.
STRONGEST = 0.95


def _precision(field: torch.Tensor, correlation: torch.Tensor) -> torch.Tensor:
    """Precision matrix times a field, (C, h, w), up to a factor."""
    for dimension in (1, 2):
        size = field.shape[dimension]
        earlier, later = field.narrow(dimension, 0, size - 1), field.narrow(dimension, 1, size - 1)
        innovation = later - correlation * earlier
        result = torch.zeros_like(field)
        result.narrow(dimension, 1, size - 1).add_(innovation)
        result.narrow(dimension, 0, size - 1).sub_(correlation * innovation)
        result.narrow(dimension, 0, 1).add_((1 - correlation**2) * field.narrow(dimension, 0, 1))
        field = result
    return field


def conditional_mean(
    values: torch.Tensor, received: torch.Tensor, correlation: torch.Tensor, iterations: int = ITERATIONS
) -> torch.Tensor:
    """The field with what was lost replaced by its mean given what was received.

    Solves Q_ll x_l = -Q_lr x_r, Q the precision matrix, l lost and r received places, by conjugate gradients
    for all channels at once.

    Args:
        values: float (C, h, w).
        received: bool (C, h, w); where False, `values` do not count.
        correlation: float (C,), of neighbours, taken as at most STRONGEST.
        iterations: at most so many steps.
    """
    if received.all():
        return values
    rho, lost = correlation.clamp(0, STRONGEST)[:, None, None], (~received).to(values.dtype)
    known = values.masked_fill(~received, 0)
    filled, residual = torch.zeros_like(known), -_precision(known, rho) * lost
    direction, energy = residual, residual.square().sum((1, 2), keepdim=True)
    enough = _ENOUGH * energy
    for _ in range(iterations):
        if (energy <= enough).all():
            break
        image = _precision(direction, rho) * lost
        step = energy / (direction * image).sum((1, 2), keepdim=True).clamp_min(1e-30)
        filled, residual = filled + step * direction, residual - step * image
        last, energy = energy, residual.square().sum((1, 2), keepdim=True)
        direction = residual + energy / last.clamp_min(1e-30) * direction
    return known + filled
