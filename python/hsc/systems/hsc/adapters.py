"""NCR: shallow autoencoders beside a frozen semantic codec (arXiv 2507.17196, section III-B, eq. 23)."""

from __future__ import annotations

import torch
from torch import nn

from .channel_io import ValueChannel, power_normalise, shrink
from .vae import PIXELS, Vae

# Width between the two layers of the decoder's adapter: section IV-A.
HIDDEN = 256


class Adapters(nn.Module):
    """The two adapters for one CR rank: M' → M'/2 → M' on the SR's values, 784 → 256 → 784 on the generated
    image.

    Both are added to what they adapt and start at zero, so that an untrained pair changes nothing (the paper
    does not say how its adapters start; without the skip, training has to learn the identity through a
    bottleneck first).
    """

    def __init__(self, symbols: int) -> None:
        super().__init__()
        values = 2 * symbols
        self.encoder = nn.Sequential(
            nn.Linear(values, values // 2), nn.ReLU(), nn.Linear(values // 2, values)
        )
        self.decoder = nn.Sequential(nn.Linear(PIXELS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, PIXELS))
        for last in (self.encoder[-1], self.decoder[-1]):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def adapt_values(self, values: torch.Tensor) -> torch.Tensor:
        """SR values (B, M') → adapted, unit mean square."""
        return power_normalise(values + self.encoder(values))

    def adapt_images(self, images: torch.Tensor) -> torch.Tensor:
        """Generated images (B, 1, 28, 28) → adapted, in [0, 1]."""
        flat = images.flatten(1)
        return (flat + self.decoder(flat)).clamp(0, 1).reshape(images.shape)


class AdaptedVae(nn.Module):
    """A frozen VAE with its adapters: the same `encode`, `decode` and `forward` as the VAE."""

    def __init__(self, vae: Vae) -> None:
        super().__init__()
        self.vae = vae.requires_grad_(False)
        self.adapters = Adapters(vae.symbols)

    def encode(self, images: torch.Tensor, sample: bool = False) -> torch.Tensor:
        """(B, 1, 28, 28) → adapted SR values (B, 2M)."""
        return self.adapters.adapt_values(self.vae.encode(images, sample))

    def decode(self, values: torch.Tensor) -> torch.Tensor:
        """SR values (B, 2M) → adapted generated images (B, 1, 28, 28)."""
        return self.adapters.adapt_images(self.vae.decode(values))

    def forward(
        self, images: torch.Tensor, channel: ValueChannel | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Generated images through `channel`, and a regulariser of zeros, (B,)."""
        values = self.encode(images)
        if channel is not None:
            values = shrink(*channel(values))
        return self.decode(values), torch.zeros(len(images))
