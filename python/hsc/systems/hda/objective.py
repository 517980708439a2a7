"""What HDA-DeepSC is trained for: losses (18), (23) and (24), on a channel drawn anew for every batch."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import torch

from ...coding import activity
from ...coding.analog_part import Selection, analog_layer, llse, water_level
from ...refiner import bands
from .models import Profile
from .network import QUALITIES, HdaNetwork, dequantise, quantise, step_size
from .restorer import Restorer

# λ_F of eq. (18) for pixel values of 0 to 1. The paper's 0.1 (section V-A) is taken for 0 to 255.
FOURIER_WEIGHT = 0.1 / 255
# λ_z of eq. (23): the paper's (section V-A).
BASE_WEIGHT = 0.1
# λ_r in nepers of distortion per bit and pixel value at 10 dB. A bit takes channel uses from the analog part,
# 2 bits a use there. Chosen by trial.
RATE_WEIGHT = 4.4
# Of the activity in training.
FINENESS = 1
# MSE per pixel value that is added before a logarithm: 60 dB.
LEAST_MSE = 1e-6
# Mean SNR of each image of a batch [dB], uniform.
SNRS_DB = (-2.0, 22.0)
# Share of the batches and most of the values of an image that are lost there.
LOSSY_SHARE, LARGEST_LOSS = 0.25, 0.35
# Share of the images of which half is lost.
HALF_LOST_SHARE = 0.03
# Channel uses of a token at a CBR of 1, in analog values: 8 × 8 × 3 pixel values, two values a use.
_VALUES_PER_TOKEN = 384


class Stage(StrEnum):
    """A stage of algorithm 1, by what it trains."""

    # Both semantic coders, without a channel.
    SEMANTIC = "semantic"
    # What is between them.
    TRANSCEIVER = "transceiver"
    # The semantic decoder by itself, which is cheap. The paper has no such stage.
    DECODER = "decoder"
    # Everything.
    WHOLE = "whole"


@dataclass(frozen=True)
class Conditions:
    """Conditions of one training batch.

    Attributes:
        quality: of the quantiser, 0 to 11.
        snr_db: (B,) SNR of each image [dB]. A known block-fading gain is AWGN at another SNR.
        erased: (B,) share of the analog values that are lost.
        values_per_token: analog values per token, mean over the batch.
        design_snr_db: SNR that the power allocation is made for.
    """

    quality: int
    snr_db: np.ndarray
    erased: np.ndarray
    values_per_token: float
    design_snr_db: float


def draw(rng: np.random.Generator, batch: int, profile: Profile | None = None) -> Conditions:
    """Random conditions: SNR −2 to 22 dB, now and then lost values; CBR and DA ratio of a profile, or 1/6 to
    1/24 and 0.1 to 3.
    """
    if profile:
        cbr, share = profile.cbr, profile.digital_share * rng.uniform(0.85, 1.05)
    else:
        cbr = rng.choice([1 / 6, 1 / 12, 1 / 24], p=[0.7, 0.15, 0.15])
        share = rng.uniform(0.05, 0.35) if rng.random() < 0.8 else rng.uniform(0.3, 0.75)
    snr_db = rng.uniform(*SNRS_DB, batch)
    mean = float(snr_db.mean())
    quality = _bounded(rng.normal(_quality(cbr, share, mean), 1.2))
    return Conditions(quality, snr_db, losses(rng, batch), values_per_token(cbr, share), mean)


def losses(rng: np.random.Generator, batch: int) -> np.ndarray:
    """Share of each image's analog values that are lost, float (B,), mostly none."""
    return np.where(rng.random(batch) < LOSSY_SHARE, rng.uniform(0, LARGEST_LOSS, batch), 0.0)


def values_per_token(cbr: float, digital_share: float) -> float:
    """Analog values per token at a CBR, beside a digital part that takes a share of the channel uses."""
    return _VALUES_PER_TOKEN * cbr * (1 - digital_share)


def usual(profile: Profile, snr_db: float) -> Conditions:
    """Typical conditions of a profile, for one image at an SNR [dB]."""
    share = profile.digital_share
    values = values_per_token(profile.cbr, share)
    return Conditions(
        _bounded(_quality(profile.cbr, share, snr_db)), np.array([snr_db]), np.zeros(1), values, snr_db
    )


def _bounded(quality: float) -> int:
    return int(np.clip(round(quality), 0, QUALITIES - 1))


def _quality(cbr: float, share: float, snr_db: float) -> float:
    """Quality at which the codec's allocation lands on average, roughly. Its numbers were chosen by trial."""
    return 8.0 - 4.5 * (share - 0.15) - 0.06 * (snr_db - 10) + 1.5 * np.log2(1 / (6 * cbr))


def rate_weight(snr_db: float) -> float:
    """λ_r at an SNR [dB]: a channel use carries fewer bits at a lower one, so each is dearer."""
    bits_per_use = float(np.clip(2.0 * 2 ** ((snr_db - 10) / 6), 0.5, 4.5))  # as AMC has it, roughly
    return RATE_WEIGHT * 2.0 / bits_per_use


def semantic_distortion(
    images: torch.Tensor, decoded: torch.Tensor, fourier_weight: float = FOURIER_WEIGHT
) -> torch.Tensor:
    """Eq. (18), ‖I − Î‖² + λ_F |F(I) − F(Î)|, mean over the pixel values of each image (B, 3, H, W), the
    transform orthonormal → (B,).
    """
    error = images - decoded
    squared = error.square().flatten(1).mean(1)
    if not fourier_weight:
        return squared
    return squared + fourier_weight * torch.fft.fft2(error, norm="ortho").abs().flatten(1).mean(1)


def balanced(distortion: torch.Tensor) -> torch.Tensor:
    """Distortions (B,) → mean of their logarithms: every SNR counts alike, as it does in PSNR."""
    return (distortion + LEAST_MSE).log().mean()


def stage_loss(
    network: HdaNetwork,
    images: torch.Tensor,
    at: Conditions,
    stage: Stage,
    fourier_weight: float = FOURIER_WEIGHT,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Images (B, 3, H, W) → loss of a stage of algorithm 1, and log10 of the images' MSE, mean."""
    if stage == Stage.SEMANTIC:
        z = network.encode(images)
        decoded = network.decode(z, torch.zeros_like(z))
        return balanced(semantic_distortion(images, decoded, fourier_weight)), _log_mse(images, decoded)
    with torch.set_grad_enabled(stage == Stage.WHOLE):
        z = network.encode(images)
    with torch.set_grad_enabled(stage != Stage.DECODER):
        sent = _transceive(network, z, at)
    decoded = network.decode(sent.restored, sent.variance)
    if stage == Stage.TRANSCEIVER:  # eq. (23), in squares
        distortion = _distance(z, sent.restored) + BASE_WEIGHT * _distance(z, sent.base)
    else:
        distortion = balanced(semantic_distortion(images, decoded, fourier_weight))
    rate = 0.0 if stage == Stage.DECODER else rate_weight(at.design_snr_db) * sent.bits / images.numel()
    return distortion + rate, _log_mse(images, decoded)


@torch.no_grad()
def decoded(
    network: HdaNetwork, images: torch.Tensor, at: Conditions, half_lost: float = 0.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Images (B, 3, H, W) as the decoder of `network` makes them, for the restorer, and the bands of their
    error; of a share of them half is lost.
    """
    with torch.autocast(images.device.type, enabled=False):  # as on the air
        sent = _transceive(network, network.encode(images), at)
        restored, variance = _some_lost(network, sent, half_lost)
        return network.decode(restored, variance), bands.of_coefficients(variance)


def restorer_loss(
    restorer: Restorer, network: HdaNetwork, images: torch.Tensor, at: Conditions
) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss of the restorer behind the decoder of `network`, eq. (18), and the mean MSE, images
    (B, 3, H, W).
    """
    found = restorer(*decoded(network, images, at, HALF_LOST_SHARE)).float()
    mse = (images - found.detach().clamp(0, 1)).square().mean()
    return balanced(semantic_distortion(images, found)), mse


def _some_lost(network: HdaNetwork, sent: _Sent, share: float) -> tuple[torch.Tensor, torch.Tensor]:
    """ẑ and its variance where nothing came of half of an image, as of a region whose packets are lost: of a
    share of the images.
    """
    lost = torch.rand(len(sent.restored), 1, 1, 1, device=sent.restored.device) < share
    half = torch.arange(sent.restored.shape[-1], device=lost.device) < sent.restored.shape[-1] // 2
    unknown = lost & half
    prior = network.deviation.square()[:, None, None]
    return torch.where(unknown, 0, sent.restored), torch.where(unknown, prior, sent.variance)


@dataclass(frozen=True)
class _Sent:
    """z behind the channel.

    Attributes:
        restored: ẑ (B, 120, h, w).
        base: z̃, same shape.
        bits: of z_D, scalar.
        variance: of the error of ẑ, same shape.
    """

    restored: torch.Tensor
    base: torch.Tensor
    bits: torch.Tensor
    variance: torch.Tensor


def _transceive(network: HdaNetwork, z: torch.Tensor, at: Conditions) -> _Sent:
    """Algorithm 1, lines 8 to 28, for z (B, 120, h, w)."""
    latents = network.hyper.encode(z)  # eq. (13)
    step = step_size(at.quality).to(z.device)
    noisy = latents + (torch.rand_like(latents) - 0.5) * step  # line 10
    bits = network.density(noisy, step.reshape(1, 1, 1, 1)).sum()  # eq. (24)
    rounded = dequantise(quantise(latents, at.quality), at.quality)
    base = network.hyper.decode(latents + (rounded - latents).detach())  # straight through the rounding
    features = network.channel_encode(z - base)  # eqs. (15), (3)
    with torch.no_grad():
        active = activity.latents(features, network.weight, FINENESS)
        log_power = activity.log_powers(network.log_power[at.quality, FINENESS], active, FINENESS)
    estimate, variance = analog_link(features, log_power, at)
    return _Sent(base + network.channel_decode(estimate), base, bits, variance)  # eq. (16)


def analog_link(
    features: torch.Tensor, log_power: torch.Tensor, at: Conditions
) -> tuple[torch.Tensor, torch.Tensor]:
    """u and its integer log-powers (B, 120, h, w) → û behind the analog channel and the variance of its
    error, one budget for the batch.
    """
    with torch.no_grad():
        count = min(log_power.numel() - 1, int(at.values_per_token * log_power[:, 0].numel()))
        threshold = int(log_power.flatten().kthvalue(log_power.numel() - count).values) + 1
        water = water_level(log_power[log_power >= threshold], at.design_snr_db)
        layer = analog_layer(log_power, Selection(threshold, water))
    sent = layer.gain * features
    power = sent.square().sum() / layer.sent.sum().clamp_min(1)  # algorithm 1, line 17
    ratio, erased = (
        torch.as_tensor(v, dtype=sent.dtype, device=sent.device)[:, None, None, None]
        for v in (10 ** (-at.snr_db / 10), at.erased)
    )
    noise = (power * ratio).expand_as(sent)
    received = sent + noise.sqrt() * torch.randn_like(sent)
    noise = noise.masked_fill(torch.rand_like(sent) < erased, torch.inf).detach()
    return llse(received, noise, layer)  # eq. (8)


def _distance(z: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return balanced((z - other).square().flatten(1).mean(1))


def _log_mse(images: torch.Tensor, decoded: torch.Tensor) -> torch.Tensor:
    return (images - decoded.detach().clamp(0, 1)).square().flatten(1).mean(1).log10().mean()
