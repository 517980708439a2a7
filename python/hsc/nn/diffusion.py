"""Diffusion at a receiver: a noise schedule, the forward process, and the way back from any noise level.

Received values are a step of a forward process that the channel has made: the receiver finds the step whose
noise is theirs, and goes back from there, to the mean at each step (DiffSDNet) or at random (DDPM, Ho et al.,
NeurIPS 2020). Equations are those of HDA-DeepSC, section IV (arXiv 2405.12580); this is how they are read,
v⁽⁰⁾ being values of unit mean power:
- Eq. (31) divides x̂ = x + σε by √(1 + σ²) (printed: √(1 + σ)), so that the squares of the two weights sum to
  1, as (26) demands.
- Eq. (33) finds the step whose noise is that of x̃: γ̄² = σ²/(1 + σ²). Printed is 1/√(1 + σ), the weight of
  the signal, in an interval of γ̄ that runs backwards. Between whole steps log(1 − γ̄²) is interpolated, so
  that the start t̃ matches the noise exactly.
- With (32), γ⁽ᵗ⁾ = 0.5 t / T and T = 50, 0 dB is t̃ = 11.3 and 20 dB is t̃ = 1. N denoising steps cut the
  way from t̃ to 0 into N equal parts, each one step of (28) with the γ of that part,
  1 − (1 − γ̄²(t)) / (1 − γ̄²(s)); t̃ whole and N = t̃ is algorithm 3 as printed.
- For Gaussian values and an exact ε, the deterministic steps end in the MMSE estimate, whatever their number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch

# Model of the noise in v (B, K, h, w) at step t (B,): ε of eq. (29), same shape as v.
NoiseModel = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Schedule:
    """How much noise the steps of a forward process add.

    Attributes:
        gammas: γ⁽¹⁾ … γ⁽ᵀ⁾, the share of power that is noise after each step by itself (β in DDPM), each in
            (0, 1).
    """

    gammas: tuple[float, ...]

    @classmethod
    def linear(cls, steps: int, last: float) -> Schedule:
        """γ⁽ᵗ⁾ = last · t / T for t = 1 … T = `steps`."""
        return cls(tuple(last * t / steps for t in range(1, steps + 1)))

    @property
    def steps(self) -> int:
        """T."""
        return len(self.gammas)

    @cached_property
    @torch.inference_mode(False)  # what is kept may be used in training later
    def _log_kept(self) -> torch.Tensor:
        """log(1 − γ̄²) at the whole steps 0 … T, float64 (T + 1,): eq. (26)."""
        gammas = torch.tensor((0.0, *self.gammas), dtype=torch.float64)
        return torch.log1p(-gammas).cumsum(0)

    def kept(self, t: torch.Tensor) -> torch.Tensor:
        """1 − γ̄², the share of signal power at step t in [0, T], float32, same shape: eq. (26)."""
        t = t.double().clamp(0, self.steps)
        whole = t.floor().long().clamp_max(self.steps - 1)
        table = self._log_kept.to(t.device)
        return torch.lerp(table[whole], table[whole + 1], t - whole).exp().float()

    def start(self, noise_variance: torch.Tensor) -> torch.Tensor:
        """t̃ in [0, T], float32, where γ̄² = σ²/(1 + σ²): eq. (33).

        `noise_variance`: σ² relative to unit mean power of the values, any shape.
        """
        wanted = -torch.log1p(noise_variance.double())
        table = self._log_kept.to(noise_variance.device)
        after = torch.searchsorted(-table, -wanted.contiguous()).clamp(1, self.steps)
        before, behind = table[after - 1], table[after]
        return (after - 1 + (wanted - before) / (behind - before)).clamp(0, self.steps).float()

    def diffuse(self, values: torch.Tensor, t: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """v⁽ᵗ⁾ from v⁽⁰⁾ (B, …), t (B,) and ε, shaped as v⁽⁰⁾: eq. (26)."""
        share = self.kept(t).reshape(-1, *[1] * (values.ndim - 1))
        return share.sqrt() * values + (1 - share).sqrt() * noise


def reverse(
    schedule: Schedule,
    noisy: torch.Tensor,
    t: torch.Tensor,
    model: NoiseModel,
    steps: int,
    random: bool = False,
) -> torch.Tensor:
    """v⁽ᵗ⁾ (B, K, h, w) → v⁽⁰⁾ by `steps` steps: algorithm 3.

    Args:
        noisy: x̃ of eq. (31).
        t: (B,) start step t̃.
        random: False: each step goes to the mean, σ⁽ᵗ⁾ = 0 (DiffSDNet). True: it draws from q(v⁽ˢ⁾ | v⁽ᵗ⁾,
            v⁽⁰⁾) around the mean (DDPM).
    """
    v = noisy
    for step in range(steps, 0, -1):
        now, then = t * step / steps, t * (step - 1) / steps
        here, there = (schedule.kept(at).reshape(-1, 1, 1, 1) for at in (now, then))
        added = 1 - here / there  # γ of this part of the way
        total = (1 - here).clamp_min(1e-12)  # γ̄²
        v = (v - added / total.sqrt() * model(v, now)) / (here / there).sqrt()  # eq. (28)
        if random:
            v = v + (added * (1 - there) / total).sqrt() * torch.randn_like(v)
    return v
