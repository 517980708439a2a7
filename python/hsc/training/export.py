"""From a trained model to shipped weights: rounding, the figures on held-out data, the card."""

from __future__ import annotations

import dataclasses
import datetime
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from .. import data, weights
from ..nn.conv_vae import ConvVae
from .loop import value_channel
from .recipes import Fading, Recipe

_DATA = {"mnist": "MNIST, {} training digits", "photos": "photographs of photos/train, random crops"}
TEST_FADING = Fading("rayleigh", 0.0, 20.0)


@torch.inference_mode()
def update_prior(model: ConvVae, crops: np.ndarray) -> None:
    """Set the prior variance of each latent channel to its mean square over crops, uint8 (N, S, S, 3)."""
    total = torch.zeros(model.channels)
    for part in np.array_split(crops, max(1, len(crops) // 16)):
        total += model.encode(_planes(part)).square().sum((0, 2, 3))
    count = len(crops) * (crops.shape[1] // 16) * (crops.shape[2] // 16)
    model.prior_variance.copy_(total / count)


@torch.inference_mode()
def digit_figures(model: nn.Module, digits: np.ndarray, seed: int = 1) -> dict[str, float]:
    """MSE of SC on test digits, uint8 (N, 28, 28): over the ideal channel, and over block Rayleigh of 0-20 dB mean SNR."""
    images = torch.from_numpy(digits.copy())[:, None].float() / 255
    torch.manual_seed(seed)
    ideal = functional.mse_loss(model(images)[0], images)
    faded = functional.mse_loss(model(images, value_channel(TEST_FADING, len(images), images.device))[0], images)
    return {"mnist test, ideal channel: MSE": float(ideal), "mnist test, Rayleigh 0-20 dB: MSE": float(faded)}


@torch.inference_mode()
def photo_figures(model: ConvVae, photos: list[np.ndarray], seed: int = 1) -> dict[str, float]:
    """Mean PSNR [dB] of SC over photographs: ideal channel, AWGN 10 dB."""
    torch.manual_seed(seed)
    psnr = {"ideal channel": [], "AWGN 10 dB": []}
    for photo in photos:
        image = _planes(photo[None])
        channel = value_channel(Fading("awgn", 10.0, 10.0), 1, image.device)
        for name, generated in (("ideal channel", model(image)[0]), ("AWGN 10 dB", model(image, channel)[0])):
            psnr[name].append(-10 * torch.log10(functional.mse_loss(generated.clamp(0, 1), image)).item())
    return {f"kodak, {name}: PSNR [dB]": float(np.mean(values)) for name, values in psnr.items()}


def export(recipe: Recipe, state: dict[str, torch.Tensor], steps: int, figures: dict[str, float], folder: Path) -> Path:
    """Write weights and card into `folder`."""
    about = {
        "recipe": {key: value for key, value in dataclasses.asdict(recipe).items() if value not in (None, "", 0)},
        "data": _DATA[recipe.data].format(recipe.samples or 60_000),
        "seed": recipe.seed,
        "steps": steps,
        "date": datetime.date.today().isoformat(),
        "figures": figures,
    }
    return weights.save(recipe.name, state, about, folder=folder)


def finish(recipe: Recipe, model: nn.Module, steps: int, path: str | Path | None, folder: Path) -> dict[str, float]:
    """Export a digit or photograph model and measure what was exported; the figures go into the card and are returned."""
    if isinstance(model, ConvVae):
        crops = data.photos(path).crops(np.random.default_rng(recipe.seed), 256, 128)
        update_prior(model, crops)
    export(recipe, model.state_dict(), steps, {}, folder)
    model.load_state_dict(weights.load(recipe.name, folder))
    figures = photo_figures(model, data.kodak(path)) if isinstance(model, ConvVae) else digit_figures(model, data.mnist("test", path))
    export(recipe, model.state_dict(), steps, figures, folder)
    return figures


def _planes(images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).float() / 255
