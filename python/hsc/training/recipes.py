"""What is trained: one `Recipe` per set of weights. Sizes, seeds and learning rates are here; the loop is in `loop.py`."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import nn

from ..errors import HscError
from ..nn.conv_vae import ConvVae
from ..nn.vae import Vae
from ..nn.vqvae import VqVae

SYMBOLS = (4, 8, 16, 32, 64, 128)  # M of the SR, swept in the paper's figures 2 and 3
NCR_RANKS = (2, 4, 8, 12, 16, 20, 24, 28)


@dataclass(frozen=True)
class Fading:
    """Channel during training: kind as in `channel.py`, mean SNR uniform in [low, high] dB."""

    kind: str
    snr_low_db: float
    snr_high_db: float


@dataclass(frozen=True)
class Recipe:
    """One training run.

    Attributes:
        name: name of the weights that come out.
        model: "vae", "vqvae", "photo-vae" or "ncr".
        symbols: M for the digit models; latent channels of the photograph model.
        data: "mnist" or "photos".
        steps, batch, learning_rate: Adam, cosine schedule after a short warm-up.
        regulariser: weight of the model's own loss (KL or codebook) against the squared error summed over the image.
        start: weights to start from; none for random (or KLT) initialisation.
        samples: number of training images used; 0 for all. Few-shot recipes use few.
        fading: channel between encoder and decoder; None for the ideal one.
        rank: CR rank k of an NCR adapter pair.
        crop: side of the training crops of photographs.
    """

    name: str
    model: str
    symbols: int
    data: str = "mnist"
    steps: int = 6000
    batch: int = 256
    learning_rate: float = 1e-3
    regulariser: float = 0.005
    start: str = ""
    samples: int = 0
    fading: Fading | None = None
    rank: int = 0
    crop: int = 128
    seed: int = 1


def build(recipe: Recipe) -> nn.Module:
    """The untrained network of a recipe."""
    if recipe.model == "vae":
        return Vae(recipe.symbols)
    if recipe.model == "vqvae":
        return VqVae(recipe.symbols)
    return ConvVae(recipe.symbols)


def _recipes() -> dict[str, Recipe]:
    ideal = [Recipe(f"hsc-mnist-vae-m{m}", "vae", m) for m in SYMBOLS]
    quantised = [Recipe(f"hsc-mnist-vqvae-m{m}", "vqvae", m, regulariser=1.0) for m in SYMBOLS]
    photo = Recipe("hsc-photo-vae", "photo-vae", 32, "photos", steps=20_000, batch=16, learning_rate=7e-4, regulariser=1e-3)
    return {recipe.name: recipe for recipe in (*ideal, *quantised, photo)}


RECIPES = _recipes()


def recipe(name: str, **changes: object) -> Recipe:
    """A recipe by name, with fields replaced by `changes`. Raises HscError for an unknown name."""
    if name not in RECIPES:
        raise HscError(f"unknown recipe '{name}': choose one of {', '.join(RECIPES)}")
    return replace(RECIPES[name], **changes)
