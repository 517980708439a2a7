"""What HDA-DeepSC is trained for: losses (18), (23) and (24), on a channel drawn anew for every batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from ..nn import hda

FOURIER_WEIGHT = 0.1 / 255  # λ_F = 0.1 on pixel values of 0 … 255
BASE_WEIGHT = 0.1  # λ_z
RATE_WEIGHT = 1e-3  # λ_r per bit and pixel value at quality 7: what a bit is worth in analog values at 10 dB
MIDDLE_QUALITY = 7
STAGES = ("semantic", "transceiver", "whole")  # algorithm 1


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


def draw(rng: np.random.Generator, batch: int, digital_share: float | None = None) -> Draw:
    """Random conditions: SNR −2 to 22 dB, CBR 1/6, 1/12 or 1/24, a DA ratio of 0.1 to 3, now and then lost values."""
    cbr = rng.choice([1 / 6, 1 / 12, 1 / 24], p=[0.7, 0.15, 0.15])
    share = digital_share if digital_share is not None else (rng.uniform(0.05, 0.35) if rng.random() < 0.8 else rng.uniform(0.3, 0.75))
    snr_db = rng.uniform(-2, 22, batch)
    centre = 8.0 - 4.5 * (share - 0.15) - 0.06 * (snr_db.mean() - 10) + 1.5 * np.log2(1 / (6 * cbr))
    quality = int(np.clip(round(rng.normal(centre, 1.2)), 0, hda.QUALITIES - 1))
    erased = np.where(rng.random(batch) < 0.25, rng.uniform(0, 0.35, batch), 0.0)
    return Draw(quality, snr_db, erased, 384 * cbr * (1 - share), float(snr_db.mean()))


def semantic_distortion(images: torch.Tensor, decoded: torch.Tensor, fourier_weight: float = FOURIER_WEIGHT) -> torch.Tensor:
    """Eq. (18), mean over pixel values, orthonormal transform: ‖I − Î‖² + λ_F |F(I) − F(Î)|."""
    error = images - decoded
    squared = error.square().mean()
    if not fourier_weight:
        return squared
    return squared + fourier_weight * torch.fft.rfft2(error, norm="ortho").abs().mean()


class Objective(nn.Module):
    """A network with its loss as one module, so that every device of a parallel run calls the same `forward`."""

    def __init__(self, network: hda.HdaNetwork, fourier_weight: float = FOURIER_WEIGHT) -> None:
        super().__init__()
        self.network, self.fourier_weight = network, fourier_weight

    def forward(self, images: torch.Tensor, conditions: Draw, stage: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Images (B, 3, H, W) → loss of algorithm 1's `stage`, and the MSE of the images."""
        network = self.network
        if stage == "semantic":
            z = network.encode(images)
            decoded = network.decode(z, torch.zeros_like(z))
            return semantic_distortion(images, decoded, self.fourier_weight), _mse(images, decoded)
        frozen = stage == "transceiver"
        with torch.set_grad_enabled(not frozen):
            z = network.encode(images)
        restored, base, bits, variance = self._transceive(z, conditions)
        decoded = network.decode(restored, variance)
        rate = RATE_WEIGHT * 2.0 ** (conditions.quality - MIDDLE_QUALITY) * bits / images.numel()
        if frozen:  # eq. (23), in squares; z is 120 of 192 values per block, hence the factor
            distortion = ((z - restored).square().mean() + BASE_WEIGHT * (z - base).square().mean()) * (z.numel() / images.numel())
        else:
            distortion = semantic_distortion(images, decoded, self.fourier_weight)
        return distortion + rate, _mse(images, decoded)

    def _transceive(self, z: torch.Tensor, at: Draw) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Algorithm 1, lines 8 to 28: z → ẑ, z̃, bits of z_D, error variance of ẑ."""
        network = self.network
        latents = network.hyper.encode(z)  # eq. (13)
        step = hda.step_size(at.quality).to(z.device)
        noisy = latents + (torch.rand_like(latents) - 0.5) * step  # line 10
        bits = network.density(noisy, step.reshape(1, 1, 1, 1)).sum()  # eq. (24)
        rounded = hda.dequantise(hda.quantise(latents, at.quality), at.quality)
        base = network.hyper.decode(latents + (rounded - latents).detach())  # straight through the rounding
        features = network.channel_encode(z - base)  # eqs. (15), (3)
        with torch.no_grad():
            log_power = network.log_powers(network.activity_latents(features, at.quality), at.quality)
            count = min(log_power.numel() - 1, int(at.values_per_token * log_power[:, 0].numel()))
            threshold = int(log_power.flatten().kthvalue(log_power.numel() - count).values) + 1
            water = hda.water_level(log_power[log_power >= threshold], at.design_snr_db)
            layer = hda.analog_layer(log_power, threshold, water)
        sent = layer.gain * features
        power = sent.square().sum() / layer.sent.sum().clamp_min(1)  # line 17
        noise = power * torch.as_tensor(10 ** (-at.snr_db / 10), dtype=z.dtype, device=z.device)[:, None, None, None].expand_as(z)
        lost = torch.rand_like(z) < torch.as_tensor(at.erased, dtype=z.dtype, device=z.device)[:, None, None, None]
        received = sent + noise.sqrt() * torch.randn_like(z)
        estimate, variance = hda.llse(received, noise.masked_fill(lost, torch.inf).detach(), layer)  # eq. (8)
        return base + network.channel_decode(estimate), base, bits, variance  # eq. (16)


def _mse(images: torch.Tensor, decoded: torch.Tensor) -> torch.Tensor:
    return (images - decoded.detach().clamp(0, 1)).square().mean()
