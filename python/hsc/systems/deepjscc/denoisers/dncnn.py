"""DnCNN (Zhang et al., IEEE Trans. Image Process. 2017): one step, and not told the noise's level."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from ..network import VALUES, DeepJscc
from .denoiser import SNRS_DB, Denoiser, NoisyValues

# Least share of the noise that is taken to be left, so that a decoder never trusts a value wholly.
_LEAST_SHARE = 1e-3


class DnCnnNetwork(nn.Module):
    """Convolutions, batch norm, ReLU, that find the noise.

    Published for one or three channels. Noise of 64 channels hardly gets through ReLUs (in a trial of 15
    minutes nothing was learned), so a linear convolution runs beside them, and the layers are 8 of 96
    features instead of 17 of 64.
    """

    def __init__(self, layers: int = 8, width: int = 96) -> None:
        super().__init__()
        inner = [
            part
            for _ in range(layers - 2)
            for part in (nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
        ]
        self.layers = nn.Sequential(
            nn.Conv2d(VALUES, width, 3, padding=1), nn.ReLU(), *inner, nn.Conv2d(width, VALUES, 3, padding=1)
        )
        self.linear = nn.Conv2d(VALUES, VALUES, 3, padding=1)
        for last in (self.layers[-1], self.linear):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(self, noisy: torch.Tensor) -> torch.Tensor:
        """Noisy values (B, 64, h, w) → the noise in them, same shape."""
        return self.linear(noisy) + self.layers(noisy)


class DnCnn(Denoiser):
    """Its estimates go on as received values with less noise: how much less was measured after training."""

    def __init__(self) -> None:
        super().__init__(DnCnnNetwork())

    def forward(
        self, values: torch.Tensor, variance: torch.Tensor, spectrum: torch.Tensor, steps: int
    ) -> torch.Tensor:
        """As `Denoiser.forward`; only `values` count."""
        return values - self.network(values).float()

    def hand_on(
        self, estimates: torch.Tensor, variance: torch.Tensor, spectrum: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """As `Denoiser.hand_on`: the share that is left is interpolated between the SNRs of the table."""
        snr_db = -10 * torch.log10(variance.clamp_min(1e-12))
        place = ((snr_db - SNRS_DB[0]) / (SNRS_DB[1] - SNRS_DB[0])).clamp(0, len(SNRS_DB) - 1)
        below = place.long().clamp_max(len(SNRS_DB) - 2)
        share = torch.lerp(self.remains[below], self.remains[below + 1], (place - below)[:, None])
        return estimates, (share * variance[:, None])[..., None, None]

    def loss(self, drawn: NoisyValues, codec: DeepJscc) -> tuple[torch.Tensor, torch.Tensor]:
        """Squared error of the noise that is found (Zhang et al., eq. 1), summed over the values of a token;
        and that per value.
        """
        error = (self.network(drawn.noisy).float() - (drawn.noisy - drawn.values)) * drawn.sent
        return error.square().mean() * VALUES, error.square().mean()

    @torch.no_grad()
    def calibrate(self, draw: Callable[[float], NoisyValues]) -> None:
        """Fill the table of the noise that remains."""
        for i, snr_db in enumerate(SNRS_DB):
            drawn = draw(snr_db)
            found = self(drawn.noisy, drawn.variance, drawn.spectrum, 1)
            error = (found - drawn.values).square().mean((2, 3))
            sent = drawn.sent[..., 0, 0].float()
            left = (error * sent).sum(0) / sent.sum(0).clamp_min(1) / drawn.variance[0]
            self.remains[i] = left.clamp(_LEAST_SHARE, 1)
