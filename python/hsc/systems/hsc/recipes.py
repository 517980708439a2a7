"""What is trained of HSC: VAE and VQ-VAE for digits, the VAE for photographs, their few-shot versions, and
NCR adapters.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import nn

from ...training.loop import Run
from ...training.recipe import Fading, Recipe
from .adapters import AdaptedVae
from .conv_vae import ConvVae
from .options import SYMBOLS
from .vae import Vae
from .vqvae import VqVae

# M of the few-shot networks and their NCR adapters.
TUNED_SYMBOLS = (8, 64)
# k of the CR that there are adapters for: those of our figure 4.
NCR_RANKS = (2, 4, 8, 12, 16, 20, 24)


@dataclass(frozen=True, kw_only=True)
class DigitCoder(Recipe):
    """A semantic coder of digits.

    Attributes:
        network: "vae" or "vqvae".
        symbols: M, complex channel uses of the SR.
        regulariser: weight of the KL or codebook loss against the squared error summed over the image.
        fading: channel between encoder and decoder; None for the ideal one.
    """

    network: Literal["vae", "vqvae"] = "vae"
    symbols: int
    regulariser: float = 0.005
    fading: Fading | None = None

    def build(self) -> nn.Module:
        """The untrained network."""
        return VqVae(self.symbols) if self.network == "vqvae" else Vae(self.symbols)

    def train(self, run: Run, start: dict[str, torch.Tensor] | None) -> dict[str, float]:
        """As `Recipe.train`; from random weights where there is no start."""
        from . import vae_training

        return vae_training.train_digits(run, start)


@dataclass(frozen=True, kw_only=True)
class PhotoCoder(Recipe):
    """The semantic coder of photographs.

    Attributes:
        channels: of the latent.
        regulariser, fading: as of `DigitCoder`.
    """

    channels: int = 32
    regulariser: float = 1e-3
    fading: Fading | None = None

    def build(self) -> ConvVae:
        """The untrained network."""
        return ConvVae(self.channels)

    def train(self, run: Run, start: dict[str, torch.Tensor] | None) -> dict[str, float]:
        """As `Recipe.train`; from the KLT of training crops where there is no start."""
        from . import vae_training

        return vae_training.train_photos(run, start)


@dataclass(frozen=True, kw_only=True)
class NcrAdapters(Recipe):
    """Noise-robust adapters for one rank of the CR, eq. (23).

    Attributes:
        symbols: M of the VAE that they adapt.
        rank: k of the CR.
        fading: of SR and CR.
    """

    symbols: int
    rank: int
    fading: Fading

    def build(self) -> AdaptedVae:
        """The untrained network."""
        return AdaptedVae(Vae(self.symbols))

    def train(self, run: Run, start: dict[str, torch.Tensor] | None) -> dict[str, float]:
        """As `Recipe.train`; `start` is the VAE."""
        from . import ncr_training

        return ncr_training.train(run, start)


def _recipes() -> tuple[Recipe, ...]:
    ideal = [
        DigitCoder(
            name=f"hsc-mnist-vae-m{m}", data="mnist", symbols=m, steps=30_000, batch=128, learning_rate=1e-3
        )
        for m in SYMBOLS
    ]
    quantised = [
        replace(each, name=f"hsc-mnist-vqvae-m{each.symbols}", network="vqvae", regulariser=1.0)
        for each in ideal
    ]
    # Few-shot fine-tuning, eq. (22): Rayleigh, mean SNR 0-5 dB, few samples, squared error only. NCR, eq.
    # (23): the SNRs of the tests.
    few_shot = [
        replace(
            each,
            name=f"{each.name}-few-shot",
            start=each.name,
            samples=16384,
            steps=6000,
            learning_rate=3e-4,
            regulariser=0.0,
            fading=Fading("rayleigh", 0.0, 5.0),
        )
        for each in ideal
        if each.symbols in TUNED_SYMBOLS
    ]
    adapters = [
        NcrAdapters(
            name=f"{each.start}-ncr-k{k}",
            data="mnist",
            symbols=each.symbols,
            rank=k,
            start=each.name,
            samples=16384,
            steps=2000,
            batch=128,
            learning_rate=1e-3,
            fading=Fading("rayleigh", 0.0, 20.0),
        )
        for each in few_shot
        for k in NCR_RANKS
    ]
    photo = PhotoCoder(name="hsc-photo-vae", data="photos", steps=20_000, batch=16, learning_rate=7e-4)
    # A block of Rayleigh fading with a known gain is AWGN at another SNR; the photograph model sees the SNRs
    # of ordinary links.
    photo_few_shot = replace(
        photo,
        name="hsc-photo-vae-few-shot",
        start=photo.name,
        steps=3000,
        learning_rate=3e-4,
        regulariser=0.0,
        fading=Fading("awgn", 0.0, 15.0),
    )
    return (*ideal, *quantised, *few_shot, *adapters, photo, photo_few_shot)


RECIPES = _recipes()
