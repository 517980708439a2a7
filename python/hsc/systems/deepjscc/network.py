"""DeepJSCC: an image as real values, one message without a digital part (the "analog DeepSC" of HDA-DeepSC,
section V-A 3).

Semantic codec: convolution, residual Swin Transformer block, convolution, pixel shuffle (HDA-DeepSC, section
III-A 1). Channel codec: fully connected per token (section III-A 4), then the filter of `spectrum.py`.
Untrained, it is SoftCast (Jakubczak and Katabi, SIGCOMM 2010) with LLSE decoding on 8 × 8 blocks and across
them. The values of a token are in order of their variance: a smaller budget sends fewer of them.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import nn

from ... import weights
from ...nn.swin import ResidualSwinBlock
from ...nn.transform import BLOCK, WIDTH, BlockTransform, pad
from .spectrum import TokenSpectrum

# Real values a token at most: CBR 64 / 2 / 192 = 1/6.
VALUES = 64
# SNR that stands for "not known" [dB]: the gains are then SoftCast's.
HIGHEST_SNR_DB = 40.0
# Name of the codec's weights.
WEIGHTS = "deepjscc"


class DeepJscc(nn.Module):
    """Image (B, 3, H, W) in [0, 1] ↔ values (B, 64, ⌈H/8⌉, ⌈W/8⌉).

    Args:
        encoder_layers, decoder_layers: Swin layers of the two residual blocks.
        ratio: width of the layers' perceptrons over the width of a token.
    """

    def __init__(self, encoder_layers: int = 2, decoder_layers: int = 4, ratio: int = 2) -> None:
        super().__init__()
        self.transform = BlockTransform()
        self.encoder = ResidualSwinBlock(WIDTH, encoder_layers, ratio=ratio)
        self.decoder = ResidualSwinBlock(WIDTH, decoder_layers, ratio=ratio)
        self.channel_encoder = nn.Conv2d(WIDTH, VALUES, 1)
        self.channel_decoder = nn.Conv2d(VALUES, WIDTH, 1)
        self.spectrum = TokenSpectrum(VALUES)
        # Tells the encoder SNR and budget.
        self.link = nn.Linear(2, WIDTH)
        # Tells the decoder what it may rely on.
        self.trust = nn.Conv2d(VALUES, WIDTH, 1)
        # RMS of each coefficient, for the networks' inputs.
        self.register_buffer("deviation", torch.ones(WIDTH))

    @torch.no_grad()
    def initialise(self, images: torch.Tensor) -> None:
        """Set the linear path from sample images (N, 3, S, S) in [0, 1]: SoftCast with their statistics."""
        coefficients = self.transform(images)
        power = coefficients.square().mean((0, 2, 3))
        self.deviation.copy_(power.sqrt())
        order = power.argsort(descending=True)[:VALUES]
        for layer in (self.channel_encoder, self.channel_decoder):
            layer.weight.zero_()
            layer.bias.zero_()
        self.channel_encoder.weight[torch.arange(VALUES), order, 0, 0] = self.deviation[order]
        self.channel_decoder.weight[order, torch.arange(VALUES), 0, 0] = 1 / self.deviation[order]
        self.spectrum.fit(coefficients[:, order])

    def gains(self, tokens: tuple[int, int], snr_db: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
        """Gains of the transmit filter, (B, 64, *tokens); both ends derive them from what the transmitter
        counted on.
        """
        return self.spectrum.gains(*tokens, snr_db, count)

    def value_spectrum(
        self, tokens: tuple[int, int], snr_db: torch.Tensor, count: torch.Tensor
    ) -> torch.Tensor:
        """Prior power of the values at the DCT frequencies of their maps, (B, 64, *tokens)."""
        return self.spectrum.power(*tokens) * self.gains(tokens, snr_db, count).square()

    def encode(self, images: torch.Tensor, snr_db: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
        """Images → values, eqs. (1) and (3) of HDA-DeepSC; any scale.

        Args:
            images: (B, 3, H, W), any H and W.
            snr_db: (B,) SNR that the transmitter counts on, at most HIGHEST_SNR_DB.
            count: (B,) values a token; those from `count` on are 0.
        """
        coefficients = _exact(self.transform, pad(images, BLOCK)) / self.deviation[:, None, None]
        told = self.link(torch.stack([snr_db / 20 - 0.5, count / VALUES - 0.5], 1))[..., None, None]
        tokens = coefficients + self.encoder.residual(coefficients + told).float()
        maps = _exact(self.channel_encoder, tokens)
        return self.spectrum.transmit(maps, self.gains(maps.shape[-2:], snr_db, count))

    def decode(
        self, values: torch.Tensor, variance: torch.Tensor, snr_db: torch.Tensor, count: torch.Tensor
    ) -> torch.Tensor:
        """Received values → images (B, 3, 8h, 8w), not clamped; eqs. (8) and (12) of HDA-DeepSC.

        Args:
            values: (B, 64, h, w), unbiased estimates of what was sent.
            variance: of the error of each, same shape; inf where lost or not sent.
            snr_db, count: what the encoder was told.
        """
        gains = self.gains(values.shape[-2:], snr_db, count)
        maps, reliability = self.spectrum.receive(values, variance, gains)
        tokens = _exact(self.channel_decoder, maps)
        tokens = tokens + self.decoder.residual(tokens + self.trust(reliability)).float()
        return _exact(self.transform.inverse, tokens * self.deviation[:, None, None])


@lru_cache(maxsize=4)
def load_model(name: str = WEIGHTS) -> DeepJscc:
    """The network with its shipped weights. Raises HscError when they are missing or damaged."""
    model = DeepJscc()
    model.load_state_dict(weights.load(name))
    return model.eval()


def _exact(function, features: torch.Tensor) -> torch.Tensor:
    """The linear path in float32, whatever precision the networks train in: its rounding would be seen above
    40 dB.
    """
    with torch.autocast(features.device.type, enabled=False):
        return function(features.float())
