"""The semantic representation (SR) of HSC: eqs. (1) and (6)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from ...errors import HscError
from ...message import ReceivedAnalog
from ...phy import analog
from . import models
from .channel_io import shrink
from .conv_vae import ConvVae, latent_shape
from .gauss_markov import conditional_mean
from .options import AUTO, TUNINGS, HscOptions
from .parameters import HscParameters

# Draws of the channel that a CR is made for; four tell as much as eight on a photograph.
NOISE_DRAWS = 4
# For a target PSNR small images take more draws, one being unlike another: as many as have so many values.
DRAWN_VALUES = 1 << 17
# Most draws.
MOST_DRAWS = 64
# SNR [dB] that a receiver's channel estimate costs the SR, counted in for a target PSNR: the most that was
# measured of it through OFDM (evaluate air-interface).
AIR_LOSS_DB = 0.5


@dataclass(frozen=True)
class Prediction:
    """What the transmitter knows of the receiver's G when it makes the CR.

    Attributes:
        generated: G over an ideal channel, float32 (H, W, C) in [0, 1].
        parameters: network, tuning, and the rank that NCR adapters are for.
        sr_uses: complex channel uses of the SR.
        noisy: draws of G over the link at hand, each (H, W, C); none when it is not known.
    """

    generated: np.ndarray
    parameters: HscParameters
    sr_uses: int
    noisy: tuple[np.ndarray, ...] = ()


def encode(image: np.ndarray, options: HscOptions) -> tuple[np.ndarray, Prediction]:
    """uint8 image (H, W, C) → SR, float32 (n,), two values to a complex symbol, eq. (1); and the predicted G,
    eq. (6).

    Raises HscError for an image or a network that is not served.
    """
    if image.dtype != np.uint8 or image.ndim != 3:
        raise HscError(f"HSC takes uint8 images (H, W, C), not {image.dtype} of shape {image.shape}")
    shape = tuple(image.shape)
    number = models.model_number(shape, options.semantic, options.symbols)
    models.value_count(number, shape)
    tuning = "none" if options.tuning == AUTO else options.tuning
    parameters = HscParameters(number, TUNINGS.index(tuning), rank=options.rank or 0)
    network = models.network(parameters)
    values = encode_values(network, image, options.sampling)  # (1)
    generated = decode_values(network, values, 0.0, shape)  # (6)
    return values, Prediction(generated, parameters, analog.symbol_count(values.size))


def decode(
    received: ReceivedAnalog | None, shape: tuple[int, int, int], parameters: HscParameters
) -> np.ndarray | None:
    """Received SR → G, float32 (H, W, C) in [0, 1], eq. (6); None when nothing of it came.

    Raises HscError for a shape or a network that cannot be served.
    """
    count = models.value_count(parameters.model, shape)
    if received is None or len(received.values) < count or not received.received[:count].any():
        return None
    network = models.network(parameters)
    return decode_values(network, received.values[:count], received.noise_variance[:count], shape)


def over_noise(
    values: np.ndarray, predicted: Prediction, snr_db: float, for_a_target: bool, loss: float = 0.0
) -> tuple[np.ndarray, ...]:
    """Some draws of G as a receiver would have it over AWGN at `snr_db`, each float32 (H, W, C); the draws
    are always the same ones.

    Args:
        values: the SR, (n,).
        predicted: G over an ideal channel.
        snr_db: Es/N0 [dB].
        for_a_target: the PSNR has to hold, which takes more draws of a small image, and AIR_LOSS_DB of the
            SNR.
        loss: share of a photograph's symbols that is lost, 0 to 1. A digit comes in one packet, whole or not
            at all.
    """
    draws = NOISE_DRAWS
    if for_a_target:
        draws = min(max(DRAWN_VALUES // predicted.generated.size, NOISE_DRAWS), MOST_DRAWS)
        snr_db -= AIR_LOSS_DB
    network, shape = models.network(predicted.parameters), predicted.generated.shape
    variance = np.float32(np.mean(values**2) * 10 ** (-snr_db / 10))
    rng = np.random.default_rng(1)
    noise = rng.standard_normal((draws, values.size), np.float32) * np.sqrt(variance)
    lost = rng.random((draws, analog.symbol_count(values.size))) < loss * isinstance(network, ConvVae)
    lost = np.repeat(lost, 2, axis=1)[:, : values.size]  # two values to a symbol
    received, variances = np.where(lost, np.float32(0), values + noise), np.where(lost, np.inf, variance)
    drawn = zip(received, variances, strict=True)
    return tuple(decode_values(network, *one, shape) for one in drawn)


@torch.inference_mode()
def encode_values(network: nn.Module, image: np.ndarray, sample: bool = False) -> np.ndarray:
    """uint8 (H, W, C) → SR values, float32 (n,); `sample`: of the posterior, not its mean."""
    planes = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255
    if isinstance(network, ConvVae):
        planes = planes.expand(-1, 3, -1, -1)
    return network.encode(planes, sample).flatten().numpy()


@torch.inference_mode()
def decode_values(
    network: nn.Module, values: np.ndarray, noise_variance: np.ndarray | float, shape: tuple[int, int, int]
) -> np.ndarray:
    """SR values (n,) and their noise variances → generated image, float32 (H, W, C) in [0, 1].

    Values are shrunk by their prior variance and noise variance (linear MMSE). Lost ones (variance inf)
    become their mean given their neighbours in a photograph, and the prior mean, 0, in a digit, whose values
    have no places.
    """
    variance = torch.from_numpy(np.broadcast_to(np.float32(noise_variance), values.shape).copy())
    latent = torch.from_numpy(values)
    if not isinstance(network, ConvVae):
        images = network.decode(shrink(latent, variance)[None])
        return images[0].permute(1, 2, 0).numpy()
    size = latent_shape(*shape[:2], network.channels)
    shrunk = shrink(latent.reshape(size), variance.reshape(size), network.prior_variance[:, None, None])
    whole = conditional_mean(shrunk, variance.reshape(size).isfinite(), network.neighbour_correlation)
    image = network.decode(whole[None], *shape[:2])[0].clamp(0, 1)
    return (image if shape[2] == 3 else image.mean(0, keepdim=True)).permute(1, 2, 0).numpy()
