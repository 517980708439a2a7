"""Residual-shift diffusion in a few steps (Yue et al., ResShift, NeurIPS 2023), started from the posterior of
a receiver.

    x_t = x₀ + η_t (x̃ − x₀) + κ √η_t n,     n = IDCT(√v ⊙ ε)

v is the variance of the error of x̃, coefficient by coefficient: at t = T, where η = 1, x_T is a draw from
what the receiver knows of the image, with noise only where energy is missing. The way back takes x̂₀ of the
network at each step and puts the same n on it again, so that a seed gives an image.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from torch.nn import functional

from ..nn.transform import BLOCK, basis
from .bands import to_coefficients
from .options import MOST_STEPS

# x̂₀ of x_t, x̃, the bands of its error and √η_t: `RefinerNetwork`.
Network = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
# √η of step 1; that of step T is 1, with equal ratios between.
LEAST_LEVEL = 0.2
# κ, standard deviation of the noise over that of the error.
KAPPA = 1.0
# Largest variance of a coefficient that counts as noise, pixels in [0, 1]: what is unknown altogether gets no
# noise of its own strength. Chosen by trial.
_LARGEST_VARIANCE = 0.02
# Variance of a coefficient where nothing is known of the error.
_UNKNOWN = 1e-4


def level(step: int | torch.Tensor) -> torch.Tensor:
    """√η_t of step t, 1 … T."""
    share = torch.as_tensor(step, dtype=torch.float32).sub(1).div(MOST_STEPS - 1)
    return LEAST_LEVEL ** (1 - share)


@lru_cache(maxsize=1)
@torch.inference_mode(False)
def _synthesis() -> torch.Tensor:
    """Inverse DCT as a 1 × 1 convolution, (192, 120, 1, 1)."""
    return torch.from_numpy(basis().reshape(120, -1).T.copy()).float()[..., None, None]


def posterior_noise(error: torch.Tensor, normal: torch.Tensor) -> torch.Tensor:
    """n: bands (B, 16, h, w), negative where nothing is known, and normal numbers ε (B, 120, h, w) → pixels
    (B, 3, 8h, 8w).
    """
    variance = torch.where(error < 0, _UNKNOWN, error.clamp_max(_LARGEST_VARIANCE))
    spectrum = to_coefficients(variance).sqrt() * normal
    return functional.pixel_shuffle(functional.conv2d(spectrum, _synthesis().to(error.device)), BLOCK)


def shifted(
    original: torch.Tensor, decoded: torch.Tensor, noise: torch.Tensor, at: torch.Tensor
) -> torch.Tensor:
    """x_t of x₀, x̃ and n, (B, 3, H, W) each, at levels √η_t (B,)."""
    root = at[:, None, None, None]
    return original + root.square() * (decoded - original) + KAPPA * root * noise


def steps_taken(steps: int) -> list[int]:
    """Steps t at which the network is asked, from T downwards: all four, or some of them."""
    return (
        [int(t) for t in np.unique(np.linspace(MOST_STEPS, 1, steps).round())[::-1]]
        if steps > 1
        else [MOST_STEPS]
    )


def sample(
    network: Network, decoded: torch.Tensor, error: torch.Tensor, noise: torch.Tensor, steps: int
) -> torch.Tensor:
    """x̂₀ after some steps, (B, 3, H, W), not clamped.

    Args:
        decoded: x̃ (B, 3, H, W), H and W multiples of 8.
        error: its bands (B, 16, H/8, W/8).
        noise: n of `posterior_noise`.
        steps: 1 to 4.
    """
    found = decoded
    for step in steps_taken(steps):
        at = level(step).to(decoded.device).expand(len(decoded))
        noisy = shifted(found, decoded, noise, at)  # at t = T: x̃ + κ n, whatever x̂₀ is
        found = network(noisy, decoded, error, at)
    return found
