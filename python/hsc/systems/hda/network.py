"""The networks of HDA-DeepSC (Xie et al., JSAC 2025), section III-A.

    I ─▶ transform ─▶ RSTB ─▶ z
    z ─┬─▶ hyper encoder ─▶ z_D ─▶ (digital) ─▶ hyper decoder ─▶ z̃ ──────────────────────┐
       └─▶ z_A = z − z̃ ─▶ channel encoder ─▶ (analog) ─▶ channel decoder ─▶ ẑ_A ─────────┴─▶ ẑ
    ẑ ─▶ RSTB ─▶ inverse transform ─▶ Î

Linear at the start: the transform is the 8 × 8 DCT, the hyper codec a two-stage KLT, the channel codec the
identity with SoftCast's gains, the Swin blocks add nothing. Training only adds to that.
"""

from __future__ import annotations

import torch
from torch import nn

from ...coding import activity
from ...coding.regions import LATENT_PIXELS
from ...nn.swin import ResidualSwinBlock
from ...nn.transform import WIDTH, BlockTransform
from .factorized import FactorizedDensity
from .fourier import SpectralTransform

# Channels of z_D.
LATENTS = 256
# Channels between the two convolutions of the hyper codec. Chosen by trial.
MIDDLE = 192
# Qualities of the quantiser; the header has 4 bits for them.
QUALITIES = 12
# Quantiser step of quality 0, in units of z, where an image has values of 0 to 1. Chosen by trial.
FINEST_STEP = 14 / 255
# How far the thresholds of the quantiser lie above the half, in steps. Chosen by trial.
DEAD_ZONE = 0.12
# Pixels that image sides are padded to a multiple of.
MULTIPLE = LATENT_PIXELS


def step_size(quality: torch.Tensor | int) -> torch.Tensor:
    """Quantiser step Δ of a quality, 0 (finest) to 11: half an octave each."""
    return FINEST_STEP * torch.as_tensor(quality, dtype=torch.float32).div(2).exp2()


class HyperCodec(nn.Module):
    """Hyper encoder, eq. (13), and hyper decoder, which both ends have: two strided convolutions each."""

    def __init__(self) -> None:
        super().__init__()
        self.down1, self.down2 = nn.Conv2d(WIDTH, MIDDLE, 4, 2, 1), nn.Conv2d(MIDDLE, LATENTS, 4, 2, 1)
        self.up1 = nn.ConvTranspose2d(LATENTS, MIDDLE, 4, 2, 1)
        self.up2 = nn.ConvTranspose2d(MIDDLE, WIDTH, 4, 2, 1)
        # Slope 1 makes them linear at the start.
        self.bend_down, self.bend_up = nn.PReLU(MIDDLE, 1.0), nn.PReLU(MIDDLE, 1.0)

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
            kernel = vectors.flip(1)[:, : down.out_channels].T.float()
            kernel = kernel.reshape(down.out_channels, down.in_channels, 2, 2)
            for layer in (down, up):
                layer.weight.zero_()
                layer.bias.zero_()
                layer.weight[:, :, 1:3, 1:3] = kernel
            z = down(z)


class SpectralSwinBlock(ResidualSwinBlock):
    """A Swin block with the Fourier-based module of table II behind it."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.spectral = SpectralTransform(width)

    def residual(self, features: torch.Tensor) -> torch.Tensor:
        """What both add, (B, C, h, w)."""
        residual = super().residual(features)
        return residual + self.spectral(features + residual)


class HdaNetwork(nn.Module):
    """All learned parts of HDA-DeepSC, and the tables that both ends share.

    Args:
        spectral: put a Fourier-based module behind either Swin block (table II); the codec on the air has
            none.

    Attributes:
        mixed_precision: compute the Swin blocks in bfloat16, in training.
        deviation: float (120,), RMS of each channel of z.
        weight: float (120,), mean power of each channel of u = C(z_A).
        log_power: int32 (12, 4, 44, 120), power of u by quality, fineness and row of the activity
            [1/64 octave].
    """

    def __init__(self, spectral: bool = False) -> None:
        super().__init__()
        self.mixed_precision = False
        self.transform = BlockTransform()
        block = SpectralSwinBlock if spectral else ResidualSwinBlock
        self.encoder, self.decoder = block(WIDTH), block(WIDTH)
        self.hyper = HyperCodec()
        self.density = FactorizedDensity(LATENTS)
        # Channel codec, eqs. (3), (8): fully connected, token by token.
        self.channel_encoder = nn.Linear(WIDTH, WIDTH, bias=False)
        self.channel_decoder = nn.Linear(WIDTH, WIDTH, bias=False)
        self.reliability = nn.Conv2d(WIDTH, WIDTH, 1)
        nn.init.eye_(self.channel_encoder.weight)
        nn.init.eye_(self.channel_decoder.weight)
        nn.init.zeros_(self.reliability.weight)
        nn.init.zeros_(self.reliability.bias)
        self.register_buffer("deviation", torch.ones(WIDTH))
        self.register_buffer("weight", torch.ones(WIDTH))
        tables = torch.zeros(QUALITIES, len(activity.STEPS), activity.ROWS, WIDTH, dtype=torch.int32)
        self.register_buffer("log_power", tables)

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """Eq. (1): images (B, 3, H, W), sides multiples of 32 → z (B, 120, H/8, W/8)."""
        z = self.transform(images)
        unit = self.deviation[:, None, None]
        return z + unit * self._swin(self.encoder, z / unit)

    def decode(self, z: torch.Tensor, variance: torch.Tensor) -> torch.Tensor:
        """Eq. (12): ẑ and the variance of its error, (B, 120, h, w) → images (B, 3, 8h, 8w), unclamped."""
        unit = self.deviation[:, None, None]
        known = (variance / self.weight[:, None, None]).clamp_min(1e-6).log2() / 4
        return self.transform.inverse(z + unit * self._swin(self.decoder, z / unit + self.reliability(known)))

    def _swin(self, block: ResidualSwinBlock, features: torch.Tensor) -> torch.Tensor:
        """What a Swin block adds. Mixed precision may touch it alone, because z itself spans four decades."""
        with torch.autocast(features.device.type, torch.bfloat16, enabled=self.mixed_precision):
            return block.residual(features).float()

    def channel_encode(self, z_analog: torch.Tensor) -> torch.Tensor:
        """Eq. (3) without gains: z_A (B, 120, h, w) → u, same shape."""
        return nn.functional.linear(z_analog.movedim(1, -1), self.channel_encoder.weight).movedim(-1, 1)

    def channel_decode(self, features: torch.Tensor) -> torch.Tensor:
        """Eq. (8) after the LLSE: û (B, 120, h, w) → ẑ_A, same shape."""
        return nn.functional.linear(features.movedim(1, -1), self.channel_decoder.weight).movedim(-1, 1)


def quantise(latents: torch.Tensor, quality: int) -> torch.Tensor:
    """Rounding with a dead zone: z_D, any shape → indices int64, same shape."""
    scaled = latents / step_size(quality)
    return (scaled.sign() * (scaled.abs() + 0.5 - DEAD_ZONE).floor()).long()


def dequantise(indices: torch.Tensor, quality: int) -> torch.Tensor:
    """Indices int64 → z_D as both ends know it, float, same shape."""
    return indices * step_size(quality)
