"""Training of the denoisers of DeepJSCC: the same values and the same noise levels for all, and a loss of its
own for each.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import torch

from ...images import datasets
from ...training.export import ship
from ...training.loop import Run, accelerator, fit_images, planes
from .denoisers.denoiser import Denoiser, NoisyValues
from .network import HIGHEST_SNR_DB, VALUES, WEIGHTS, DeepJscc
from .recipes import ValueDenoiser
from .training import UNTOLD

# Values a token of a random image: CBR 1/6 in two of three, 1/12, 1/24.
COUNTS = (64, 64, 64, 64, 32, 16)
# Training crops on which a denoiser is calibrated.
MEASURED_CROPS = 48


@torch.no_grad()
def draw(codec: DeepJscc, images: torch.Tensor, recipe: ValueDenoiser) -> NoisyValues:
    """The codec's values of images (B, 3, S, S), each at a random SNR of the recipe's range, and noise."""
    batch, device = len(images), images.device
    low, high = recipe.fading.snr_low_db, recipe.fading.snr_high_db
    snr_db = low + (high - low) * torch.rand(batch, device=device)
    told = torch.where(torch.rand(batch, device=device) < UNTOLD, HIGHEST_SNR_DB, snr_db)
    count = torch.tensor(COUNTS, device=device)[torch.randint(len(COUNTS), (batch,), device=device)]
    share = (count / VALUES)[:, None, None, None]
    values = codec.encode(images, told, count)
    scale = (values.square().mean((1, 2, 3), keepdim=True) / share).sqrt().clamp_min(1e-9)
    spectrum = codec.value_spectrum(values.shape[-2:], told, count)
    spectrum = spectrum / (spectrum.mean((1, 2, 3), keepdim=True) / share)
    noise = torch.randn_like(values) * (spectrum.amax((2, 3), keepdim=True) > 0)
    return NoisyValues(images, values / scale, spectrum, noise, 10 ** (-snr_db / 10), scale, told, count)


def loss(
    model: Denoiser, images: torch.Tensor, recipe: ValueDenoiser, codec: DeepJscc
) -> tuple[torch.Tensor, torch.Tensor]:
    """The denoiser's own loss on the codec's values of images (B, 3, S, S)."""
    return model.loss(draw(codec, images, recipe), codec)


@torch.no_grad()
def calibrate(model: Denoiser, codec: DeepJscc, run: Run, seed: int = 1) -> None:
    """Let the denoiser measure what it has to know of itself, on training crops."""

    def drawn(snr_db: float) -> NoisyValues:
        crops = run.photos().crops(np.random.default_rng(run.recipe.seed), MEASURED_CROPS, run.recipe.crop)
        fading = replace(run.recipe.fading, snr_low_db=snr_db, snr_high_db=snr_db)
        return draw(codec, planes(crops), replace(run.recipe, fading=fading))

    torch.manual_seed(seed)
    model.calibrate(drawn)


@torch.no_grad()
def photo_figures(
    model: Denoiser, codec: DeepJscc, photos: list[np.ndarray], snr_db: float = 0.0, seed: int = 1
) -> dict[str, float]:
    """Mean PSNR [dB] over photographs, uint8 (H, W, 3), AWGN, CBR 1/6, with and without the denoiser at 10
    steps.
    """
    torch.manual_seed(seed)
    told, count = torch.tensor([snr_db]), torch.tensor([VALUES])
    psnr = {"without": [], "with": []}
    for photo in photos:
        image = planes(photo[None])
        values = codec.encode(image, told, count)
        scale, variance = values.square().mean().sqrt(), 10 ** (-told / 10)
        spectrum = codec.value_spectrum(values.shape[-2:], told, count)
        spectrum = spectrum / spectrum.mean()
        noisy = values / scale + variance.sqrt() * torch.randn_like(values)
        cleaned = model.hand_on(model(noisy, variance, spectrum, 10), variance, spectrum)
        for name, (received, noise) in {"without": (noisy, variance), "with": cleaned}.items():
            decoded = codec.decode(received * scale, (noise * scale**2).expand_as(values), told, count)
            error = decoded[..., : photo.shape[0], : photo.shape[1]].clamp(0, 1) - image
            psnr[name].append(-10 * torch.log10(error.square().mean()).item())
    return {
        f"kodak, AWGN {snr_db:g} dB, {name} denoiser: PSNR [dB]": float(np.mean(found))
        for name, found in psnr.items()
    }


def train(run: Run, start_state: dict[str, torch.Tensor] | None) -> dict[str, float]:
    """Train a denoiser for the weights of `deepjscc` in the run's folder, else the shipped ones; export and
    measure.

    Returns the figures on the card.
    """
    model, codec = run.recipe.build(), DeepJscc()
    codec.load_state_dict(run.weights(WEIGHTS))
    codec.to(accelerator().device).eval().requires_grad_(False)
    if start_state is not None:
        model.load_state_dict(start_state)
    model, steps = fit_images(model, partial(loss, codec=codec), run)
    codec.cpu()
    calibrate(model, codec, run)
    return ship(run, model, steps, lambda: photo_figures(model, codec, datasets.kodak(run.path)))
