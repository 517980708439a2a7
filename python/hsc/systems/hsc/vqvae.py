"""The VQ-VAE variant of HSC: the VAE's layers with one head, and a trainable codebook (section IV-B)."""

from __future__ import annotations

import torch
from torch import nn

from .channel_io import ValueChannel, power_normalise, shrink
from .vae import ENCODER_WIDTHS, PIXELS, DigitDecoder, _stack

# Weight of the commitment loss: β of van den Oord et al., section 3.2.
COMMITMENT = 0.25


class VqVae(nn.Module):
    """VQ-VAE (van den Oord et al., Neural Discrete Representation Learning) whose codewords are channel
    symbols.

    Each pair of reals, i.e. each complex symbol, is replaced by the nearest of `codewords` points: a learned
    constellation.
    """

    def __init__(self, symbols: int, codewords: int = 256) -> None:
        super().__init__()
        self.symbols = symbols
        self.trunk = _stack((PIXELS, *ENCODER_WIDTHS))
        self.head = nn.Linear(ENCODER_WIDTHS[-1], 2 * symbols)
        self.codebook = nn.Parameter(torch.randn(codewords, 2))
        self.decoder = DigitDecoder(symbols)

    def quantise(self, features: torch.Tensor) -> torch.Tensor:
        """(B, 2M) → (B, 2M), every pair replaced by its nearest codeword."""
        pairs = features.reshape(-1, 2)
        return self.codebook[torch.cdist(pairs, self.codebook).argmin(1)].reshape(features.shape)

    def encode(self, images: torch.Tensor, sample: bool = False) -> torch.Tensor:
        """(B, 1, 28, 28) → SR values (B, 2M) of unit mean square. `sample` is ignored: nothing is random
        here.
        """
        return power_normalise(self.quantise(self.head(self.trunk(images.flatten(1)))))

    def decode(self, values: torch.Tensor) -> torch.Tensor:
        """SR values (B, 2M) → generated images (B, 1, 28, 28)."""
        return self.decoder(values)

    def forward(
        self, images: torch.Tensor, channel: ValueChannel | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Generated images through `channel` (None: ideal), and the regulariser (B,): codebook and commitment
        loss.
        """
        features = self.head(self.trunk(images.flatten(1)))
        nearest = self.quantise(features)
        codebook_loss = (nearest - features.detach()).square().sum(1)
        commitment_loss = (nearest.detach() - features).square().sum(1)
        values = power_normalise(features + (nearest - features).detach())  # straight-through gradient
        if channel is not None:
            values = shrink(*channel(values))
        return self.decode(values), codebook_loss + COMMITMENT * commitment_loss
