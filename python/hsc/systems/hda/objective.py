"""What HDA-DeepSC is trained for: losses (18), (23) and (24), on a channel drawn anew for every batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from . import network as hda
from .models import Profile

FOURIER_WEIGHT = 0.1 / 255  # λ_F = 0.1 on pixel values of 0 … 255
BASE_WEIGHT = 0.1  # λ_z
# λ_r, in nepers of distortion per bit and pixel value: a bit takes channel uses from the analog part, at 10
# dB (2 bits a use) this many.
RATE_WEIGHT = 4.4
FINENESS = 1  # of the activity in training
LEAST_MSE = 1e-6
STAGES = (
    "semantic",
    "transceiver",
    "decoder",
    "whole",
)  # algorithm 1, and the decoder by itself, which is cheap


@dataclass(frozen=True)
class Draw:
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


def draw(rng: np.random.Generator, batch: int, profile: Profile | None = None) -> Draw:
    """Random conditions: SNR −2 to 22 dB, now and then lost values; CBR and DA ratio of a profile, or 1/6 to
    1/24 and 0.1 to 3.
    """
    if profile:
        cbr, share = profile.cbr, profile.da_ratio / (1 + profile.da_ratio) * rng.uniform(0.85, 1.05)
    else:
        cbr = rng.choice([1 / 6, 1 / 12, 1 / 24], p=[0.7, 0.15, 0.15])
        share = rng.uniform(0.05, 0.35) if rng.random() < 0.8 else rng.uniform(0.3, 0.75)
    snr_db = rng.uniform(-2, 22, batch)
    quality = int(np.clip(round(rng.normal(_quality(cbr, share, snr_db.mean()), 1.2)), 0, hda.QUALITIES - 1))
    erased = np.where(rng.random(batch) < 0.25, rng.uniform(0, 0.35, batch), 0.0)
    return Draw(quality, snr_db, erased, 384 * cbr * (1 - share), float(snr_db.mean()))


def usual(profile: Profile, snr_db: float) -> Draw:
    """Typical conditions of a profile, for one image at an SNR [dB]."""
    share = profile.da_ratio / (1 + profile.da_ratio)
    quality = int(np.clip(round(_quality(profile.cbr, share, snr_db)), 0, hda.QUALITIES - 1))
    return Draw(quality, np.array([snr_db]), np.zeros(1), 384 * profile.cbr * (1 - share), snr_db)


def _quality(cbr: float, share: float, snr_db: float) -> float:
    """Where the codec's allocation lands on average."""
    return 8.0 - 4.5 * (share - 0.15) - 0.06 * (snr_db - 10) + 1.5 * np.log2(1 / (6 * cbr))


def rate_weight(snr_db: float) -> float:
    """λ_r at an SNR: a channel use carries fewer bits at a lower one, so each is dearer."""
    return RATE_WEIGHT * 2.0 / float(np.clip(2.0 * 2 ** ((snr_db - 10) / 6), 0.5, 4.5))


def semantic_distortion(
    images: torch.Tensor, decoded: torch.Tensor, fourier_weight: float = FOURIER_WEIGHT
) -> torch.Tensor:
    """Eq. (18), mean over each image's pixel values, orthonormal transform, (B,): ‖I − Î‖² + λ_F |F(I) −
    F(Î)|.
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
    network: hda.HdaNetwork,
    images: torch.Tensor,
    at: Draw,
    stage: str,
    fourier_weight: float = FOURIER_WEIGHT,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Images (B, 3, H, W) → loss of a stage of algorithm 1, and log10 of the images' MSE, mean."""
    if stage == "semantic":
        z = network.encode(images)
        decoded = network.decode(z, torch.zeros_like(z))
        return balanced(semantic_distortion(images, decoded, fourier_weight)), _log_mse(images, decoded)
    with torch.set_grad_enabled(stage == "whole"):
        z = network.encode(images)
    with torch.set_grad_enabled(stage != "decoder"):
        restored, base, bits, variance = _transceive(network, z, at)
    decoded = network.decode(restored, variance)
    if stage == "transceiver":  # eq. (23), in squares
        distortion = balanced((z - restored).square().flatten(1).mean(1)) + BASE_WEIGHT * balanced(
            (z - base).square().flatten(1).mean(1)
        )
    else:
        distortion = balanced(semantic_distortion(images, decoded, fourier_weight))
    rate = 0.0 if stage == "decoder" else rate_weight(at.design_snr_db) * bits / images.numel()
    return distortion + rate, _log_mse(images, decoded)


def _transceive(
    network: hda.HdaNetwork, z: torch.Tensor, at: Draw
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Algorithm 1, lines 8 to 28: z → ẑ, z̃, bits of z_D, error variance of ẑ."""
    latents = network.hyper.encode(z)  # eq. (13)
    step = hda.step_size(at.quality).to(z.device)
    noisy = latents + (torch.rand_like(latents) - 0.5) * step  # line 10
    bits = network.density(noisy, step.reshape(1, 1, 1, 1)).sum()  # eq. (24)
    rounded = hda.dequantise(hda.quantise(latents, at.quality), at.quality)
    base = network.hyper.decode(latents + (rounded - latents).detach())  # straight through the rounding
    features = network.channel_encode(z - base)  # eqs. (15), (3)
    with torch.no_grad():
        log_power = network.log_powers(network.activity_latents(features, FINENESS), at.quality, FINENESS)
    estimate, variance = analog_link(features, log_power, at)
    return base + network.channel_decode(estimate), base, bits, variance  # eq. (16)


def analog_link(
    features: torch.Tensor, log_power: torch.Tensor, at: Draw
) -> tuple[torch.Tensor, torch.Tensor]:
    """u and its integer log-powers (B, 120, h, w) → û behind the analog channel and the variance of its
    error, one budget for the batch.
    """
    with torch.no_grad():
        count = min(log_power.numel() - 1, int(at.values_per_token * log_power[:, 0].numel()))
        threshold = int(log_power.flatten().kthvalue(log_power.numel() - count).values) + 1
        water = hda.water_level(log_power[log_power >= threshold], at.design_snr_db)
        layer = hda.analog_layer(log_power, threshold, water)
    sent = layer.gain * features
    power = sent.square().sum() / layer.sent.sum().clamp_min(1)  # algorithm 1, line 17
    ratio, erased = (
        torch.as_tensor(v, dtype=sent.dtype, device=sent.device)[:, None, None, None]
        for v in (10 ** (-at.snr_db / 10), at.erased)
    )
    noise = (power * ratio).expand_as(sent)
    received = sent + noise.sqrt() * torch.randn_like(sent)
    return hda.llse(
        received, noise.masked_fill(torch.rand_like(sent) < erased, torch.inf).detach(), layer
    )  # eq. (8)


def _log_mse(images: torch.Tensor, decoded: torch.Tensor) -> torch.Tensor:
    return (images - decoded.detach().clamp(0, 1)).square().flatten(1).mean(1).log10().mean()
