"""Denoising of the received values of DeepJSCC before they are decoded (HDA-DeepSC, section IV)."""

from __future__ import annotations

from dataclasses import replace

import torch

from ...message import ReceivedMessage
from ...nn import planes
from .denoisers.denoiser import Denoiser
from .maps import received_maps, to_stream
from .network import load_model
from .parameters import AnalogParameters

# Noise variance relative to the values' power below which there is nothing to denoise: 40 dB.
_LEAST_VARIANCE = 1e-4


def taken_for_exact(values: torch.Tensor, variance: torch.Tensor) -> torch.Tensor:
    """Noise variance for a decoder that is not told of any: next to nothing where values arrived, inf where
    they did not.
    """
    there = torch.isfinite(variance)
    power = values[there].square().mean() if there.any() else values.new_ones(())
    return torch.where(there, _LEAST_VARIANCE * power, torch.inf)


@torch.no_grad()
def denoise(
    values: torch.Tensor,
    variance: torch.Tensor,
    denoiser: Denoiser,
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
        steps: how many the denoiser takes.
        spectrum: prior spectrum of the values over the maps' DCT, any scale, 0 for channels that are not
            sent.

    Returns:
        Both (1, 64, h, w); what was lost stays lost.
    """
    there = torch.isfinite(variance)
    sent = there.any(-1, keepdim=True).any(-2, keepdim=True).expand_as(there)
    if not there.any():
        return values, variance
    # in float64: squares of what came may be beyond float32
    noise = variance[there].double().mean()
    power = (values[there].double().square().mean() - noise).clamp_min(1e-3 * noise + 1e-12)
    level = torch.where(there, variance.double() / power, 1)[sent].mean().float().reshape(1)
    if level < _LEAST_VARIANCE:
        return values, variance
    unit = spectrum / spectrum[sent].mean().clamp_min(1e-12)
    scale = power.sqrt().float()
    estimates = denoiser(torch.where(there, values, 0) / scale, level, unit, steps)
    if not informed:
        return torch.where(there, estimates * scale, 0), variance
    better, left = denoiser.hand_on(estimates, level, unit)
    relative = left / level * variance
    return torch.where(there, better * scale, 0), torch.where(there, relative, torch.inf)


def denoise_maps(
    values: torch.Tensor,
    variance: torch.Tensor,
    parameters: AnalogParameters,
    denoiser: Denoiser,
    steps: int,
    informed: bool = True,
) -> tuple[torch.Tensor, torch.Tensor]:
    """`denoise` for values (1, 64, h, w) of a message with these parameters."""
    spectrum = load_model().value_spectrum(values.shape[-2:], *parameters.tensors())
    return denoise(values, variance, denoiser, steps, spectrum, informed)


def denoise_received(received: ReceivedMessage, denoiser: Denoiser, steps: int) -> ReceivedMessage:
    """A received message of this codec with its analog stream denoised, as the Denoiser block does it.

    Values and noise variance are as `denoise` describes them, the values no longer mixed, which its
    parameters say; what was lost stays lost. Raises HscError for parameters or values that are no message of
    this codec.
    """
    planes.check_shape(received.shape)
    parameters = AnalogParameters.unpack(received.parameters)
    maps = received_maps(received.analog, received.shape, parameters)
    values, variance = denoise_maps(*maps, parameters, denoiser, steps)
    stream = to_stream(values, variance, parameters.count, len(received.analog.values))
    told = replace(parameters, mixed=False).pack()
    return replace(received, parameters=told, analog=stream)
