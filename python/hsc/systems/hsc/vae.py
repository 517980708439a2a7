"""The fully connected VAE of HSC (arXiv 2507.17196, section IV-A) for 28 × 28 grey images."""

from __future__ import annotations

import torch
from torch import nn

from .channel_io import ValueChannel, power_normalise, shrink

# Of a digit, 28 × 28.
PIXELS = 784
# Sizes of the encoder's layers, before the heads: section IV-A.
ENCODER_WIDTHS = (512, 256, 128, 64)
# "Four fully connected layers, reversing the scale": their output sizes.
DECODER_WIDTHS = (128, 256, 512, PIXELS)


def _stack(sizes: tuple[int, ...]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in zip(sizes[:-1], sizes[1:], strict=True):
        linear = nn.Linear(inputs, outputs)
        nn.init.kaiming_normal_(linear.weight, nonlinearity="relu")
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers)


class DigitDecoder(nn.Module):
    """SR values (B, 2M) → generated image (B, 1, 28, 28) in [0, 1]: eq. (6)."""

    def __init__(self, symbols: int) -> None:
        super().__init__()
        stack = _stack((2 * symbols, *DECODER_WIDTHS))
        self.layers = nn.Sequential(*stack[:-1], nn.Sigmoid())

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return self.layers(values).unflatten(1, (1, 28, 28))


class Vae(nn.Module):
    """Variational autoencoder whose latent is M complex channel symbols, i.e. 2M reals.

    Args:
        symbols: M, complex channel uses of the SR.
    """

    def __init__(self, symbols: int) -> None:
        super().__init__()
        self.symbols = symbols
        self.trunk = _stack((PIXELS, *ENCODER_WIDTHS))
        self.mean = nn.Linear(ENCODER_WIDTHS[-1], 2 * symbols)
        self.log_variance = nn.Linear(ENCODER_WIDTHS[-1], 2 * symbols)
        # Little noise at first: learning starts much faster.
        nn.init.constant_(self.log_variance.bias, -4.0)
        self.decoder = DigitDecoder(symbols)

    def posterior(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(B, 1, 28, 28) in [0, 1] → mean and log-variance, each (B, 2M)."""
        features = self.trunk(images.flatten(1))
        return self.mean(features), self.log_variance(features).clamp(-12, 6)

    def encode(self, images: torch.Tensor, sample: bool = False) -> torch.Tensor:
        """(B, 1, 28, 28) → SR values (B, 2M) of unit mean square, eq. (1); the posterior's mean unless
        `sample`.
        """
        mean, log_variance = self.posterior(images)
        return power_normalise(reparameterise(mean, log_variance) if sample else mean)

    def decode(self, values: torch.Tensor) -> torch.Tensor:
        """SR values (B, 2M) → generated images (B, 1, 28, 28)."""
        return self.decoder(values)

    def forward(
        self, images: torch.Tensor, channel: ValueChannel | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Generated images through `channel` (None: ideal), and the regulariser: the KL divergence to N(0,
        1), (B,) nats.
        """
        mean, log_variance = self.posterior(images)
        values = power_normalise(reparameterise(mean, log_variance) if self.training else mean)
        if channel is not None:
            values = shrink(*channel(values))
        return self.decode(values), kl_divergence(mean, log_variance).sum(1)


def reparameterise(mean: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
    """mean + sigma * epsilon, epsilon ~ N(0, 1) (Kingma and Welling, Auto-Encoding Variational Bayes, section
    2.4).
    """
    return mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)


def kl_divergence(mean: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
    """KL(N(mean, variance) || N(0, 1)) per element, in nats (Kingma and Welling, appendix B)."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)
