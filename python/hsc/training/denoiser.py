"""Training of the denoisers of DeepJSCC: the same values, the same noise levels and the same time for DnCNN and for DiffSDNet."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from .. import data, weights
from ..nn.deepjscc import HIGHEST_SNR_DB, VALUES, DeepJscc
from ..nn.denoisers import Denoiser, equivalent_noise
from ..nn.diffusion import diffuse, kept, start
from ..nn.spectrum import dct2
from . import loop
from .deepjscc import UNTOLD
from .export import export
from .recipes import Recipe, build

MODELS = ("dncnn", "diffsdnet")
CODEC = "deepjscc"
COUNTS = (64, 64, 64, 64, 32, 16)
AT_START = 0.4  # share of training images at their start step t̃; the others are further down
MEASURED_CROPS, MEASURED_STEPS = 24, 10


@torch.no_grad()
def draw_values(codec: DeepJscc, images: torch.Tensor, recipe: Recipe) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Values to denoise and noise variances for images (B, 3, S, S).

    Returns:
        v⁽⁰⁾ (B, 64, h, w) of unit mean power over the values sent; their prior spectrum, same shape; σ² (B,).
    """
    batch, device = len(images), images.device
    low, high = recipe.fading.snr_low_db, recipe.fading.snr_high_db
    snr_db = low + (high - low) * torch.rand(batch, device=device)
    told = torch.where(torch.rand(batch, device=device) < UNTOLD, HIGHEST_SNR_DB, snr_db)
    count = torch.tensor(COUNTS, device=device)[torch.randint(len(COUNTS), (batch,), device=device)]
    values, spectrum = unit_values(codec, images, told, count)
    return values, spectrum, 10 ** (-snr_db / 10)


@torch.no_grad()
def unit_values(codec: DeepJscc, images: torch.Tensor, told: torch.Tensor, count: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The codec's values and their prior spectrum, both scaled to unit mean power over the channels sent."""
    values = codec.encode(images, told, count)
    spectrum = codec.value_spectrum(values.shape[-2:], told, count)
    share = (count / VALUES)[:, None, None, None]
    return values / (values.square().mean((1, 2, 3), keepdim=True) / share).sqrt(), spectrum / (
        spectrum.mean((1, 2, 3), keepdim=True) / share
    )


def dncnn_loss(model: nn.Module, images: torch.Tensor, recipe: Recipe, codec: DeepJscc) -> tuple[torch.Tensor, torch.Tensor]:
    """Squared error of the noise that DnCNN finds (Zhang et al., eq. 1), as the image feels it; and that per value."""
    values, spectrum, variance = draw_values(codec, images, recipe)
    noise = variance.sqrt()[:, None, None, None] * torch.randn_like(values) * _sent(spectrum)
    error = (model.network(values + noise).float() - noise) * _sent(spectrum)
    return felt(error, spectrum, variance, codec) * VALUES, error.square().mean()


def diffusion_loss(model: nn.Module, images: torch.Tensor, recipe: Recipe, codec: DeepJscc) -> tuple[torch.Tensor, torch.Tensor]:
    """Eq. (29) as the image feels it; and the mean per value. t: t̃ of a random SNR, or uniform below it."""
    values, spectrum, variance = draw_values(codec, images, recipe)
    t = start(variance)
    t = torch.where(torch.rand_like(t) < AT_START, t, t * torch.rand_like(t))
    sent = _sent(spectrum)
    noise = torch.randn_like(values) * sent
    error = (model.network(diffuse(values, t, noise), t, spectrum) - noise) * sent
    return felt(error, spectrum, (1 - kept(t)) / kept(t), codec) * VALUES, error.square().mean()


def felt(error: torch.Tensor, spectrum: torch.Tensor, variance: torch.Tensor, codec: DeepJscc) -> torch.Tensor:
    """Mean square of the error of values (B, 64, h, w), weighted at every frequency by what it does to the image.

    The receiver divides by the gain g: the weight is 1/g² = λ / spectrum, less where the noise is above the signal. The best estimate
    is the same for any weights; a small network spends itself where they are large.
    """
    power = codec.spectrum.power(*error.shape[-2:])
    weight = power / (spectrum + variance[:, None, None, None])
    return (dct2(error).square() * weight / weight.mean((1, 2, 3), keepdim=True)).mean()


def _sent(spectrum: torch.Tensor) -> torch.Tensor:
    """(B, 64, 1, 1), 1 for channels with any power."""
    return (spectrum.amax((2, 3), keepdim=True) > 0).float()


@torch.no_grad()
def measure(model: Denoiser, codec: DeepJscc, images: torch.Tensor, seed: int = 1) -> None:
    """Fill the table of the noise that remains, on images (N, 3, S, S)."""
    torch.manual_seed(seed)
    for i, snr_db in enumerate(model.SNRS_DB):
        for j, kind in enumerate(model.kinds):
            error = torch.zeros(VALUES)
            for part in images.split(4):
                told, variance = torch.full((len(part),), snr_db), torch.full((len(part),), 10 ** (-snr_db / 10))
                values, spectrum = unit_values(codec, part, told, torch.full((len(part),), VALUES))
                noisy = values + variance.sqrt()[:, None, None, None] * torch.randn_like(values)
                cleaned = model.clean(noisy, variance, spectrum, kind, MEASURED_STEPS)
                error += (cleaned - values).square().mean((2, 3)).sum(0) / len(images)
            equivalent = equivalent_noise(error[None, :, None, None], spectrum[:1])[0, :, 0, 0]
            model.remains[j, i] = (equivalent / variance[0]).clamp(1e-3, 1)


def train(chosen: Recipe, out: Path, start_state: dict[str, torch.Tensor] | None, how: dict) -> dict[str, float]:
    """Train a denoiser for the weights of `deepjscc` in `out`, else the shipped ones; export and measure. Returns the card's figures."""
    codec = DeepJscc()
    codec.load_state_dict(weights.load(CODEC, out if (out / f"{CODEC}.safetensors").is_file() else weights.FOLDER))
    codec.to("cuda" if torch.cuda.is_available() else "cpu").eval().requires_grad_(False)
    objective = partial(dncnn_loss if chosen.model == "dncnn" else diffusion_loss, codec=codec)
    model, done = loop.train(chosen, out, start=start_state, model=build(chosen), loss_function=objective, **how)
    crops = data.photos(how["path"], how["cache"]).crops(np.random.default_rng(chosen.seed), MEASURED_CROPS, chosen.crop)
    measure(model, codec.cpu(), torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 255)
    figures = {
        f"training photographs, {kind}, {snr:g} dB: share of the noise that remains": model.remains[j, i].mean().item()
        for j, kind in enumerate(model.kinds)
        for i, snr in enumerate(model.SNRS_DB)
    }
    export(chosen, model.state_dict(), done, figures, out)
    return figures
