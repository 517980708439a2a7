"""Denoising of the received values of DeepJSCC before they are decoded: DiffSDNet (HDA-DeepSC, section IV),
DDPM sampling, DnCNN.
"""

from __future__ import annotations

from functools import lru_cache

import torch

from ... import weights
from ...errors import HscError
from .denoisers import Denoiser

KINDS = ("dncnn", "diffsdnet", "ddpm")
MOST_STEPS = 1000
_LEAST_VARIANCE = 1e-4  # of unit power: there is nothing to denoise above 40 dB


def check(kind: str | None, steps: int) -> None:
    """Raises HscError for a kind or a number of steps that there is not."""
    if kind is not None and kind not in KINDS:
        raise HscError(f"no denoiser '{kind}': choose one of {', '.join(KINDS)}")
    if not 1 <= steps <= MOST_STEPS:
        raise HscError(f"denoising takes 1 to {MOST_STEPS} steps, not {steps}")


def taken_for_exact(values: torch.Tensor, variance: torch.Tensor) -> torch.Tensor:
    """Noise variance for a decoder that is not told of any: next to nothing where values arrived, inf where
    they did not.
    """
    there = torch.isfinite(variance)
    power = values[there].square().mean() if there.any() else values.new_ones(())
    return torch.where(there, _LEAST_VARIANCE * power, torch.inf)


@lru_cache(maxsize=3)
def load_denoiser(kind: str) -> Denoiser:
    """The denoiser with its shipped weights. Raises HscError when they are missing."""
    model = Denoiser(kind)
    model.load_state_dict(weights.load(f"deepjscc-{kind}"))
    return model.eval()


@torch.no_grad()
def denoise(
    values: torch.Tensor,
    variance: torch.Tensor,
    kind: str,
    steps: int,
    spectrum: torch.Tensor,
    informed: bool = True,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Better values and their noise variance, for a decoder that begins with linear estimates: see
    `Denoiser.hand_on`.

    Not `informed`, the values are the denoiser's estimates as they are, for a decoder that takes them for
    exact. The networks know one noise level for a message: the mean over its values, a lost value counting as
    pure noise of the values' power.

    Args:
        values: (1, 64, h, w), unbiased; 0 where lost.
        variance: noise variance of each, inf where lost or not sent.
        kind, steps: see `KINDS`; DnCNN takes one step.
        spectrum: prior spectrum of the values over the maps' DCT, any scale, 0 for channels that are not
            sent.

    Returns:
        Both (1, 64, h, w); what was lost stays lost.
    """
    check(kind, steps)
    there = torch.isfinite(variance)
    sent = there.any(-1, keepdim=True).any(-2, keepdim=True).expand_as(there)
    if not there.any():
        return values, variance
    noise = variance[there].mean()
    power = (values[there].square().mean() - noise).clamp_min(1e-3 * noise + 1e-12)
    level = torch.where(there, variance / power, 1)[sent].mean().reshape(1)
    if level < _LEAST_VARIANCE:
        return values, variance
    unit = spectrum / spectrum[sent].mean().clamp_min(1e-12)
    model = load_denoiser(kind)
    estimates = model(torch.where(there, values, 0) / power.sqrt(), level, unit, steps)
    if not informed:
        return torch.where(there, estimates * power.sqrt(), 0), variance
    better, noise = model.hand_on(estimates, level, unit)
    relative = noise / level * variance
    return torch.where(there, better * power.sqrt(), 0), torch.where(there, relative, torch.inf)
