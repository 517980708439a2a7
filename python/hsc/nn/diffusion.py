"""DiffSDNet's noise schedule and reverse process (HDA-DeepSC, section IV), and DDPM sampling (Ho et al.,
NeurIPS 2020) beside it.

How the paper's formulas are read here, v⁽⁰⁾ being the values scaled to unit mean power:
- Eq. (31) divides x̂ = x + σε by √(1 + σ²) (printed: √(1 + σ)), so that the squares of the two weights sum to
  1, as (26) demands.
- Eq. (33) finds the step whose noise is that of x̃: γ̄² = σ²/(1 + σ²). Printed is 1/√(1 + σ), the weight of
  the signal, in an interval of γ̄ that runs backwards. Between whole steps log(1 − γ̄²) is interpolated, so
  that the start t̃ matches the noise exactly.
- With (32) 0 dB is t̃ = 11.3 and 20 dB is t̃ = 1. N denoising steps cut the way from t̃ to 0 into N equal
  parts, each one step of (28) with the γ of that part, 1 − (1 − γ̄²(t)) / (1 − γ̄²(s)); t̃ whole and N = t̃
  is algorithm 3 as printed.
- For Gaussian values and an exact ε, the deterministic steps end in the MMSE estimate, whatever their number.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

STEPS = 50  # T
_LOG_KEPT = torch.cat(
    [
        torch.zeros(1, dtype=torch.float64),
        torch.log1p(-0.5 * torch.arange(1, STEPS + 1, dtype=torch.float64) / STEPS).cumsum(0),
    ]
)

# v (B, K, h, w) at step t (B,) → the noise ε in it, same shape: eq. (29).
NoiseModel = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def kept(t: torch.Tensor) -> torch.Tensor:
    """1 − γ̄², the share of signal power at step t in [0, T], float32, same shape: eqs. (26) and (32)."""
    t = t.double().clamp(0, STEPS)
    whole = t.floor().long().clamp_max(STEPS - 1)
    table = _LOG_KEPT.to(t.device)
    return torch.lerp(table[whole], table[whole + 1], t - whole).exp().float()


def start(noise_variance: torch.Tensor) -> torch.Tensor:
    """t̃ in [0, T], float32: where γ̄² = σ²/(1 + σ²), eq. (33); σ² relative to unit mean power of the values,
    any shape.
    """
    wanted = -torch.log1p(noise_variance.double())
    table = _LOG_KEPT.to(noise_variance.device)
    after = torch.searchsorted(-table, -wanted.contiguous()).clamp(1, STEPS)
    before, behind = table[after - 1], table[after]
    return (after - 1 + (wanted - before) / (behind - before)).clamp(0, STEPS).float()


def diffuse(values: torch.Tensor, t: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """Eq. (26): v⁽ᵗ⁾ from v⁽⁰⁾ (B, ...) and ε of the same shape; t (B,)."""
    share = kept(t).reshape(-1, *[1] * (values.ndim - 1))
    return share.sqrt() * values + (1 - share).sqrt() * noise


def reverse(
    noisy: torch.Tensor, t: torch.Tensor, model: NoiseModel, steps: int, random: bool = False
) -> torch.Tensor:
    """Algorithm 3: v⁽ᵗ⁾ (B, K, h, w) → v⁽⁰⁾ by `steps` steps.

    Args:
        noisy: x̃ of eq. (31).
        t: (B,) start step t̃.
        random: False: each step goes to the mean, σ⁽ᵗ⁾ = 0 (DiffSDNet). True: it draws from q(v⁽ˢ⁾ | v⁽ᵗ⁾,
            v⁽⁰⁾) around the mean (DDPM).
    """
    v = noisy
    for step in range(steps, 0, -1):
        now, then = t * step / steps, t * (step - 1) / steps
        here, there = (kept(at).reshape(-1, 1, 1, 1) for at in (now, then))
        added = 1 - here / there  # γ of this part of the way
        total = (1 - here).clamp_min(1e-12)  # γ̄²
        v = (v - added / total.sqrt() * model(v, now)) / (here / there).sqrt()  # eq. (28)
        if random:
            v = v + (added * (1 - there) / total).sqrt() * torch.randn_like(v)
    return v
