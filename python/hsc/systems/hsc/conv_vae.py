"""A convolutional VAE for photographs of any size: the semantic codec of HSC's colour experiment.

A linear path, the KLT of 16 × 16 blocks with SoftCast's power allocation (Jakubczak and Katabi, SoftCast),
runs beside a residual network in the encoder and in the decoder. The networks' last layers start at zero, so
the untrained codec already is the block KLT, and training only adds.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from .channel_io import ValueChannel, shrink
from .vae import kl_divergence, reparameterise

# Side of the block that one place of the latent stands for [pixels].
STRIDE = 16
# Values of the latent at a place: CBR 32 / 2 / (16 · 16 · 3) = 1/48.
CHANNELS = 32
# Mean of a pixel, taken off.
MIDDLE = 0.5


def latent_shape(height: int, width: int, channels: int) -> tuple[int, int, int]:
    """Shape of the latent of a (height, width) image: one value per channel and 16 × 16 block, sides rounded
    up.
    """
    return channels, -(-height // STRIDE), -(-width // STRIDE)


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.SiLU(),
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features + self.layers(features)


def _up(inputs: int, outputs: int, factor: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs * factor * factor, 1), nn.PixelShuffle(factor))


class ConvVae(nn.Module):
    """Colour image (B, 3, H, W) in [0, 1] ↔ latent (B, channels, ceil(H/16), ceil(W/16)).

    The latent is sent as real values, so the SR takes channels/2 complex channel uses per 256 pixels: 32
    channels are CBR 1/48. Its power varies with the image; the analog modulator sends the scale as data.
    """

    def __init__(self, channels: int = CHANNELS, widths: tuple[int, int, int] = (48, 96, 160)) -> None:
        super().__init__()
        self.channels = channels
        fine, middle, coarse = widths
        self.analysis = nn.Conv2d(3, channels, STRIDE, STRIDE, bias=False)
        self.synthesis = nn.ConvTranspose2d(channels, 3, STRIDE, STRIDE, bias=False)
        self.encoder = nn.Sequential(
            nn.Conv2d(3, fine, 4, 4),
            _Residual(fine),
            nn.Conv2d(fine, middle, 3, 2, 1),
            _Residual(middle),
            nn.Conv2d(middle, coarse, 3, 2, 1),
            _Residual(coarse),
            nn.Conv2d(coarse, 2 * channels, 1),
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(channels, coarse, 3, padding=1),
            _Residual(coarse),
            _Residual(coarse),
            _up(coarse, middle, 2),
            _Residual(middle),
            _Residual(middle),
            _up(middle, fine, 2),
            _Residual(fine),
            nn.Conv2d(fine, 48, 3, padding=1),
            nn.PixelShuffle(4),
        )
        # Mean square of each latent channel over training crops: the prior for shrinkage.
        self.register_buffer("prior_variance", torch.ones(channels))
        # Correlation of neighbouring places over the same crops: what a lost value is estimated by.
        self.register_buffer("neighbour_correlation", torch.zeros(channels))
        for last in (self.encoder[-1], self.decoder[-2]):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
        nn.init.constant_(self.encoder[-1].bias[channels:], -4.0)

    @torch.no_grad()
    def initialise_klt(self, crops: np.ndarray) -> None:
        """Set the linear path to the KLT of the 16 × 16 × 3 blocks of `crops`, uint8 (N, S, S, 3), gains
        lambda^(-1/4).
        """
        images = torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 255 - MIDDLE
        blocks = (
            functional.unfold(images, STRIDE, stride=STRIDE).transpose(1, 2).reshape(-1, 3 * STRIDE * STRIDE)
        )
        values, vectors = torch.linalg.eigh(blocks.T @ blocks / len(blocks))
        power, basis = values.flip(0)[: self.channels], vectors.flip(1)[:, : self.channels].T
        gain = (power**-0.25) / power.sqrt().mean().sqrt()  # unit mean square over the channels
        kernel = basis.reshape(self.channels, 3, STRIDE, STRIDE)
        self.analysis.weight.copy_(kernel * gain[:, None, None, None])
        self.synthesis.weight.copy_(kernel / gain[:, None, None, None])
        self.prior_variance.copy_(power * gain**2)

    def posterior(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, 3, H, W) in [0, 1] → mean and log-variance, each (B, channels, ceil(H/16), ceil(W/16))."""
        centred = _pad(images) - MIDDLE
        mean, log_variance = self.encoder(centred).chunk(2, 1)
        return self.analysis(centred) + mean, log_variance.clamp(-12, 4)

    def encode(self, images: torch.Tensor, sample: bool = False) -> torch.Tensor:
        """(B, 3, H, W) → latent; the posterior's mean unless `sample`."""
        mean, log_variance = self.posterior(images)
        return reparameterise(mean, log_variance) if sample else mean

    def decode(
        self, latent: torch.Tensor, height: int | None = None, width: int | None = None
    ) -> torch.Tensor:
        """Latent → generated image (B, 3, height, width), not clamped; without sizes, the padded image."""
        return (self.synthesis(latent) + self.decoder(latent) + MIDDLE)[..., :height, :width]

    def forward(
        self, images: torch.Tensor, channel: ValueChannel | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Generated images through `channel` (None: ideal), and the KL divergence to N(0, 1), (B,) nats.

        The channel acts on the latent at unit mean square per image; the scale is known at the receiver, as
        on the air.
        """
        mean, log_variance = self.posterior(images)
        latent = reparameterise(mean, log_variance) if self.training else mean
        if channel is not None:
            latent = self._through(latent, channel)
        return self.decode(latent, *images.shape[-2:]), kl_divergence(mean, log_variance).sum((1, 2, 3))

    def _through(self, latent: torch.Tensor, channel: ValueChannel) -> torch.Tensor:
        scale = latent.square().mean((1, 2, 3), keepdim=True).sqrt().clamp_min(1e-6)
        values, variance = channel((latent / scale).flatten(1))
        variance = variance.expand_as(values).reshape(latent.shape) * scale**2
        return shrink(values.reshape(latent.shape) * scale, variance, self.prior_variance[:, None, None])


def _pad(images: torch.Tensor) -> torch.Tensor:
    """Extend below and to the right to multiples of 16: by reflection, or by repetition where the image is
    too small to reflect.
    """
    height, width = images.shape[-2:]
    bottom, right = -height % STRIDE, -width % STRIDE
    mode = "reflect" if bottom < height and right < width else "replicate"
    return functional.pad(images, (0, right, 0, bottom), mode=mode) if bottom or right else images
