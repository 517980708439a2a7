"""What stands between an encoder and a decoder: unit power, and shrinkage by the noise variance."""

from __future__ import annotations

from collections.abc import Callable

import torch

# Values (B, n), unit mean square per row → zero-forced values (B, n) and their noise variance, (B, 1) or
# (B, n), same scale.
ValueChannel = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


def power_normalise(values: torch.Tensor) -> torch.Tensor:
    """Scale each row of (B, n) to unit mean square: HSC's power constraint before eq. (1)."""
    return values / values.square().mean(1, keepdim=True).clamp_min(1e-12).sqrt()


def shrink(
    values: torch.Tensor, noise_variance: torch.Tensor, prior_variance: torch.Tensor | float = 1.0
) -> torch.Tensor:
    """Linear MMSE estimate of zero-mean values from zero-forced ones; a lost value (variance inf) becomes the
    prior mean 0.
    """
    return values * (prior_variance / (prior_variance + noise_variance))
