"""What every denoiser of DeepJSCC's received values has: how it is run, handed on and trained."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from ....errors import HscError
from ..network import VALUES, DeepJscc

# SNRs at which `remains` is measured [dB], evenly spaced.
SNRS_DB = (0.0, 5.0, 10.0, 15.0, 20.0)


@dataclass(frozen=True)
class NoisyValues:
    """Values to train on, and the images they stand for. Batches (B, …).

    Attributes:
        images: (B, 3, S, S) in [0, 1].
        values: v⁽⁰⁾ (B, 64, h, w), unit mean power over the channels sent, 0 in the others.
        spectrum: their prior spectrum, same shape; 0 for channels that are not sent.
        noise: ε (B, 64, h, w), unit variance where sent.
        variance: σ² (B,).
        scale: RMS of the codec's own values (B, 1, 1, 1).
        told, count: what the codec was told, (B,) each.
    """

    images: torch.Tensor
    values: torch.Tensor
    spectrum: torch.Tensor
    noise: torch.Tensor
    variance: torch.Tensor
    scale: torch.Tensor
    told: torch.Tensor
    count: torch.Tensor

    @property
    def sent(self) -> torch.Tensor:
        """Channels that are sent, bool (B, 64, 1, 1)."""
        return self.spectrum.amax((2, 3), keepdim=True) > 0

    @property
    def noisy(self) -> torch.Tensor:
        """v⁽⁰⁾ + σ ε, eq. (30)."""
        return self.values + self.variance.sqrt()[:, None, None, None] * self.noise


class Denoiser(nn.Module, ABC):
    """Received values to better ones. They are maps (B, 64, h, w) of unit mean power over the channels sent.

    Args:
        network: what it has learned.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        # Share of the noise variance that is left on each channel: what `calibrate` measures, where it does.
        self.register_buffer("remains", torch.ones(len(SNRS_DB), VALUES))

    @abstractmethod
    def forward(
        self, values: torch.Tensor, variance: torch.Tensor, spectrum: torch.Tensor, steps: int
    ) -> torch.Tensor:
        """Received values → estimates of what was sent, same shape.

        Args:
            values: (B, 64, h, w), with white noise.
            variance: of the noise, (B,).
            spectrum: prior spectrum of the values over the maps' DCT, (B, 64, h, w), 0 where nothing is sent.
            steps: how many to take; 1 for what takes no steps.
        """

    @abstractmethod
    def hand_on(
        self, estimates: torch.Tensor, variance: torch.Tensor, spectrum: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Estimates → values (B, 64, h, w) for a decoder that begins with linear MMSE, and their noise
        variance (B, 64 or 1, 1, 1). `variance` and `spectrum` as of `forward`.
        """

    def loss(self, drawn: NoisyValues, codec: DeepJscc) -> tuple[torch.Tensor, torch.Tensor]:
        """What training makes small, and a mean squared error to watch, both scalar.

        Raises HscError for a denoiser that has no training.
        """
        raise HscError(f"{type(self).__name__} has nothing to train: it is used as it is")

    @torch.no_grad()
    def calibrate(self, draw: Callable[[float], NoisyValues]) -> None:
        """After training: measure what it has to know of itself, on values drawn at an SNR [dB]."""
        return
