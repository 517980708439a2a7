"""What DeepJSCC's receiver knows of the error of its image: that of the linear path, from the noise alone.

The networks around that path mend some of it and are not counted.
"""

from __future__ import annotations

import numpy as np
import torch

from ...refiner import bands
from .network import DeepJscc

# Noise that is always reckoned with, and noise beyond which a value says nothing, of the power of the values:
# float32 has no more. Chosen by trial.
_LEAST_NOISE = 1e-5
_MOST_NOISE = 1e5
_TINY = 1e-12


def of_image(
    model: DeepJscc,
    variance: torch.Tensor,
    told: tuple[torch.Tensor, torch.Tensor],
    shape: tuple[int, int, int],
) -> np.ndarray:
    """`contract.Decoded.error` of an image (H, W, C).

    Args:
        model: the receiver's.
        variance: noise of the values, (1, 64, h, w), inf where lost or not sent.
        told: SNR that the transmitter counted on, and values a token, as of `DeepJscc.gains`.
    """
    tokens = variance.shape[-2:]
    maps = of_maps(variance, model.gains(tokens, *told), model.spectrum.power(*tokens))
    decoder, encoder = (layer.weight[..., 0, 0] for layer in (model.channel_decoder, model.channel_encoder))
    return bands.of_image(of_coefficients(maps, decoder, encoder, model.deviation)[0], shape)


def of_maps(variance: torch.Tensor, gains: torch.Tensor, power: torch.Tensor) -> torch.Tensor:
    """Variance of the error of each entry of the maps that `TokenSpectrum.receive` gives, (B, K, h, w).

    At frequency f a Wiener filter H = gλ/(g²λ + n) leaves λn/(g²λ + n). A value that is lost adds what its
    neighbours leave open of it, 1/mean_f 1/(g²λ + n) (Kolmogorov's interpolation error), through H.

    Args:
        variance: noise n of each value, (B, K, h, w), inf where lost or not sent.
        gains, power: g and λ at the DCT frequencies of the maps, same shape and (K, h, w).
    """
    signal = gains.square() * power  # spectrum of the values
    prior = signal.mean((2, 3), keepdim=True)
    came = torch.isfinite(variance) & (prior > 0)
    variance = torch.where(came, variance.minimum(_MOST_NOISE * prior), 0)
    total = variance.sum((2, 3), keepdim=True)
    noise = total / came.sum((2, 3), keepdim=True).clamp_min(1) + _LEAST_NOISE * prior + _TINY
    filtered = (power * noise / (signal + noise)).mean((2, 3), keepdim=True)
    response = (gains * power / (signal + noise)).square().mean((2, 3), keepdim=True)
    gap = response / (1 / (signal + noise)).mean((2, 3), keepdim=True)
    # A value noisier than the mean leaves the more open, up to all that a lost one does.
    share = torch.where(came, variance / (variance + prior), 1) * (1 + prior / noise)
    whole = torch.where(came.flatten(2).any(2)[..., None, None], filtered + gap, torch.inf)
    return (filtered * share).minimum(whole).minimum(power.mean((1, 2))[:, None, None])


def of_coefficients(
    maps: torch.Tensor, decoder: torch.Tensor, encoder: torch.Tensor, deviation: torch.Tensor
) -> torch.Tensor:
    """Variance of the error of each DCT coefficient, (B, 120, h, w), of pixels in [0, 1].

    A token's coefficients, of unit power and taken for independent, are t = D m of maps m = E t: errors of
    the maps come through D, and (I − D E) t is lost on the way.

    Args:
        maps: variance of the maps' errors, (B, 64, h, w).
        decoder, encoder: D (120, 64) and E (64, 120).
        deviation: RMS of each coefficient, (120,).
    """
    kept = decoder @ encoder
    lost = (torch.eye(len(kept), device=kept.device) - kept).square().sum(1)
    error = torch.einsum("ck,bkhw->bchw", decoder.square(), maps) + lost[:, None, None]
    return error * deviation.square()[:, None, None]
