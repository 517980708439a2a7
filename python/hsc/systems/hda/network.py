"""The networks of HDA-DeepSC (Xie et al., JSAC 2025), section III-A.

    I ─▶ transform ─▶ RSTB ─▶ z ─┬─▶ hyper encoder ─▶ z_D ─▶ rounding ─▶ (digital) ─▶ hyper decoder ─▶ z̃ ─┐
                                 └─▶ z_A = z − z̃ ─▶ channel encoder ─▶ (analog) ─▶ channel decoder ─▶ ẑ_A ─┴▶ ẑ ─▶ RSTB ─▶ Î

Linear at the start: the transform is the 8 × 8 DCT, the hyper codec a two-stage KLT, the channel codec the
identity with SoftCast's gains, the Swin blocks add nothing. Training only adds to that.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from ...nn.swin import ResidualSwinBlock
from ...nn.transform import WIDTH, BlockTransform
from . import activity
from .factorized import FactorizedDensity
from .fourier import SpectralTransform

LATENTS = 256
MIDDLE = 192
QUALITIES = 12
FINEST_STEP = 14 / 255
DEAD_ZONE = 0.12
OCTAVE = 64  # steps of the integer log-powers
MULTIPLE = 32  # image sides are padded to it: one latent position
ACTIVITY_STEPS = (
    8,
    14,
    24,
    48,
)  # of the activity latents, in eighths of an octave of energy: fine where bits are cheap


def step_size(quality: torch.Tensor | int) -> torch.Tensor:
    """Quantiser step Δ of a quality, 0 (finest) to 11: half an octave each."""
    return FINEST_STEP * torch.as_tensor(quality, dtype=torch.float32).div(2).exp2()


class HyperCodec(nn.Module):
    """Hyper encoder, eq. (13), and hyper decoder, eq. (16): two strided convolutions each."""

    def __init__(self) -> None:
        super().__init__()
        self.down1, self.down2 = nn.Conv2d(WIDTH, MIDDLE, 4, 2, 1), nn.Conv2d(MIDDLE, LATENTS, 4, 2, 1)
        self.up1, self.up2 = (
            nn.ConvTranspose2d(LATENTS, MIDDLE, 4, 2, 1),
            nn.ConvTranspose2d(MIDDLE, WIDTH, 4, 2, 1),
        )
        self.bend_down, self.bend_up = (
            nn.PReLU(MIDDLE, 1.0),
            nn.PReLU(MIDDLE, 1.0),
        )  # slope 1: linear at the start

    def encode(self, z: torch.Tensor) -> torch.Tensor:
        """z (B, 120, h, w) → z_D (B, 256, h/4, w/4), before rounding."""
        return self.down2(self.bend_down(self.down1(z)))

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """z_D → z̃ (B, 120, h, w)."""
        return self.up2(self.bend_up(self.up1(latents)))

    @torch.no_grad()
    def initialise_klt(self, z: torch.Tensor) -> None:
        """Set both directions to the two-stage KLT of 2 × 2 neighbours, from samples z (N, 120, h, w)."""
        for down, up in ((self.down1, self.up2), (self.down2, self.up1)):
            blocks = nn.functional.unfold(z, 2, stride=2).transpose(1, 2).flatten(0, 1).double()
            _, vectors = torch.linalg.eigh(blocks.T @ blocks / len(blocks))
            kernel = (
                vectors.flip(1)[:, : down.out_channels]
                .T.reshape(down.out_channels, down.in_channels, 2, 2)
                .float()
            )
            for layer in (down, up):
                layer.weight.zero_()
                layer.bias.zero_()
                layer.weight[:, :, 1:3, 1:3] = kernel
            z = down(z)


@dataclass(frozen=True)
class AnalogLayer:
    """What is known at both ends about the analog part, per token and channel, each (B, 120, h, w).

    Attributes:
        power: float, prior power λ of each channel-encoded coefficient.
        sent: bool, which coefficients are sent.
        gain: float, amplitude g that each is sent with; 0 where not sent.
    """

    power: torch.Tensor
    sent: torch.Tensor
    gain: torch.Tensor


def analog_layer(log_power: torch.Tensor, threshold: int, water: int) -> AnalogLayer:
    """Coefficients and gains from integer log-powers (B, 120, h, w): those of at least `threshold` are sent.

    Power p = g²λ of the minimum total LLSE error under a power constraint: p ∝ √(λ/λ₀) − 1, λ₀ =
    2^(water/64): water-filling; SoftCast's p ∝ √λ when λ₀ is far below.
    """
    power = (log_power / OCTAVE).exp2()
    sent = log_power >= threshold
    ratio = ((log_power - water) / (2 * OCTAVE)).exp2()
    p = torch.where(sent, (ratio - 1).clamp_min(0.05), torch.zeros_like(ratio))
    return AnalogLayer(power, sent, (p / power).sqrt())


def water_level(log_power: torch.Tensor, snr_db: float) -> int:
    """λ₀ of the water-filling, in 1/64 octave, for the log-powers of the coefficients sent, any shape, at an
    SNR [dB].
    """
    if not log_power.numel():
        return 0
    values, counts = log_power.flatten().unique(return_counts=True)
    amplitude, weight = (values / (2 * OCTAVE)).exp2().double(), counts.double() / counts.sum()
    low, high = int(values[0]) - 20 * OCTAVE, int(values[-1])
    while high - low > 1:
        middle = (low + high) // 2
        snr = ((amplitude * 2 ** (-middle / (2 * OCTAVE)) - 1).clamp_min(0) * weight).sum()
        low, high = (middle, high) if snr > 10 ** (snr_db / 10) else (low, middle)
    return low


class HdaNetwork(nn.Module):
    """All learned parts of HDA-DeepSC, and the tables that both ends share.

    Args:
        spectral: put a Fourier-based module behind either Swin block (table II); the codec on the air has
            none.
    """

    def __init__(self, spectral: bool = False) -> None:
        super().__init__()
        self.mixed_precision = False
        self.transform = BlockTransform()
        self.encoder, self.decoder = ResidualSwinBlock(WIDTH), ResidualSwinBlock(WIDTH)
        if spectral:
            self.encoder.spectral, self.decoder.spectral = SpectralTransform(WIDTH), SpectralTransform(WIDTH)
        self.hyper = HyperCodec()
        self.density = FactorizedDensity(LATENTS)
        # Channel codec, eqs. (3), (8): fully connected, token by token.
        self.channel_encoder, self.channel_decoder = (
            nn.Linear(WIDTH, WIDTH, bias=False),
            nn.Linear(WIDTH, WIDTH, bias=False),
        )
        self.reliability = nn.Conv2d(WIDTH, WIDTH, 1)
        nn.init.eye_(self.channel_encoder.weight)
        nn.init.eye_(self.channel_decoder.weight)
        nn.init.zeros_(self.reliability.weight)
        nn.init.zeros_(self.reliability.bias)
        self.register_buffer("deviation", torch.ones(WIDTH))  # RMS of each channel of z
        self.register_buffer("weight", torch.ones(WIDTH))  # mean power of each channel-encoded coefficient
        self.register_buffer(
            "log_power", torch.zeros(QUALITIES, len(ACTIVITY_STEPS), activity.ROWS, WIDTH, dtype=torch.int32)
        )  # 1/64 octave

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """Eq. (1): images (B, 3, H, W), sides multiples of 32 → z (B, 120, H/8, W/8)."""
        z = self.transform(images)
        unit = self.deviation[:, None, None]
        return z + unit * self._swin(self.encoder, z / unit)

    def decode(self, z: torch.Tensor, variance: torch.Tensor) -> torch.Tensor:
        """Eq. (12): ẑ and the variance of its error, both (B, 120, h, w) → images (B, 3, 8h, 8w), not
        clamped.
        """
        unit = self.deviation[:, None, None]
        known = (variance / self.weight[:, None, None]).clamp_min(1e-6).log2() / 4
        return self.transform.inverse(z + unit * self._swin(self.decoder, z / unit + self.reliability(known)))

    def _swin(self, block: ResidualSwinBlock, features: torch.Tensor) -> torch.Tensor:
        """A Swin block's addition; the only part that mixed precision may touch: z itself spans four decades."""
        with torch.autocast(features.device.type, torch.bfloat16, enabled=self.mixed_precision):
            residual = block.residual(features)
            if hasattr(block, "spectral"):
                residual = residual + block.spectral(features + residual)
        return residual.float()

    def channel_encode(self, z_analog: torch.Tensor) -> torch.Tensor:
        """Eq. (3) without gains: z_A (B, 120, h, w) → u, same shape."""
        return nn.functional.linear(z_analog.movedim(1, -1), self.channel_encoder.weight).movedim(-1, 1)

    def channel_decode(self, features: torch.Tensor) -> torch.Tensor:
        """Eq. (8) after the LLSE: û → ẑ_A."""
        return nn.functional.linear(features.movedim(1, -1), self.channel_decoder.weight).movedim(-1, 1)

    def activity_latents(self, features: torch.Tensor, fineness: int) -> torch.Tensor:
        """u (B, 120, h, w) → activity latents int64 (B, 32, h/4, w/4); `fineness` is an index of
        ACTIVITY_STEPS.
        """
        return activity.quantise(activity.energies(features, self.weight), ACTIVITY_STEPS[fineness])

    def log_powers(self, latents: torch.Tensor, quality: int, fineness: int) -> torch.Tensor:
        """Activity latents → log-powers, int64 (B, 120, h, w), in 1/64 octave. Exact."""
        return log_powers(self.log_power[quality, fineness], latents, fineness)


def log_powers(table: torch.Tensor, latents: torch.Tensor, fineness: int) -> torch.Tensor:
    """Activity latents (B, 32, h/4, w/4) and a power table (44, 120), integers → log-powers int64 (B, 120, h,
    w). Exact.
    """
    return activity.power_table(table.long(), activity.rows(latents, ACTIVITY_STEPS[fineness]))


def llse(values: torch.Tensor, noise: torch.Tensor, layer: AnalogLayer) -> tuple[torch.Tensor, torch.Tensor]:
    """Linear least-squares estimate of u from y = g·u + noise of the given variance (inf: erased), and the
    variance of its error.
    """
    signal = layer.gain.square() * layer.power
    weight = torch.where(
        layer.sent & torch.isfinite(noise), signal / (signal + noise), torch.zeros_like(signal)
    )
    estimate = (
        weight * torch.where(layer.sent, values, torch.zeros_like(values)) / layer.gain.clamp_min(1e-12)
    )
    return estimate, layer.power * (1 - weight)


def quantise(latents: torch.Tensor, quality: int) -> torch.Tensor:
    """Rounding with a dead zone: z_D → indices int64, same shape."""
    scaled = latents / step_size(quality)
    return (scaled.sign() * (scaled.abs() + 0.5 - DEAD_ZONE).floor()).long()


def dequantise(indices: torch.Tensor, quality: int) -> torch.Tensor:
    """Indices → ẑ_D."""
    return indices * step_size(quality)
