"""Training of DeepJSCC: mean PSNR over random SNR, fading, losses and budgets."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from .. import data, weights
from ..channel import gain, torch_normal
from ..nn.deepjscc import HIGHEST_SNR_DB, VALUES, DeepJscc
from . import loop
from .export import export
from .recipes import Recipe, build

MODELS = ("deepjscc",)
SAMPLES = 256  # crops from which the linear path is set
COUNTS = (64, 64, 64, 32, 16, 21)  # values a token: CBR 1/6, 1/12, 1/24; 1/6 of a grey image
FADED, LOSSY, SELECTIVE, UNTOLD = 0.3, 0.2, 0.3, 0.25  # shares of training images with that kind of link


@dataclass(frozen=True)
class Links:
    """One random link for each image of a batch: mean SNR [dB], the SNR its transmitter counts on, values a token; each (B,)."""

    snr_db: torch.Tensor
    told_db: torch.Tensor
    count: torch.Tensor


def draw_links(batch: int, recipe: Recipe, device: torch.device) -> Links:
    """Mean SNR uniform over the recipe's range; some transmitters do not know it."""
    low, high = recipe.fading.snr_low_db, recipe.fading.snr_high_db
    snr_db = low + (high - low) * torch.rand(batch, device=device)
    told = torch.where(torch.rand(batch, device=device) < UNTOLD, HIGHEST_SNR_DB, snr_db)
    count = torch.tensor(COUNTS, device=device)[torch.randint(len(COUNTS), (batch,), device=device)]
    return Links(snr_db, told, count)


def cross(values: torch.Tensor, links: Links) -> tuple[torch.Tensor, torch.Tensor]:
    """Values (B, 64, h, w) of any power → received values and their noise variance, inf where lost or not sent.

    Some links are Rician (r = 1), some have a gain of their own for every value, as OFDM carriers have, some lose values.
    """
    shape, device = values.shape, values.device

    def share(part: float) -> torch.Tensor:
        return (torch.rand(shape[0], 1, 1, 1, device=device) < part).float()

    sent = (torch.arange(VALUES, device=device) < links.count[:, None])[..., None, None].expand(shape)
    power = values.square().mean((1, 2, 3), keepdim=True) * VALUES / links.count[:, None, None, None]
    fade = gain("rician", (shape[0], 1, 1, 1), torch_normal(device)).abs().square().clamp_min(0.05)
    variance = power * 10 ** (-links.snr_db / 10)[:, None, None, None] / torch.where(share(FADED) > 0, fade, 1)
    variance = variance * torch.exp(0.7 * torch.randn(shape, device=device) * share(SELECTIVE))
    received = values + variance.sqrt() * torch.randn(shape, device=device)
    lost = torch.rand(shape, device=device) < 0.3 * torch.rand(shape[0], 1, 1, 1, device=device) * share(LOSSY)
    there = sent & ~lost
    return torch.where(there, received, 0), torch.where(there, variance, torch.inf)


def loss(model: DeepJscc, images: torch.Tensor, recipe: Recipe) -> tuple[torch.Tensor, torch.Tensor]:
    """Minus the mean PSNR [10 dB] of a batch, images (B, 3, S, S), and the MSE per pixel.

    PSNR, the logarithm of the MSE, so that an image at 20 dB counts as much as one at 0 dB.
    """
    links = draw_links(len(images), recipe, images.device)
    values = model.encode(images, links.told_db, links.count)
    received = model.decode(*cross(values, links), links.told_db, links.count)
    squared = (received - images).square().mean((1, 2, 3))
    return torch.log10(squared + 1e-6).mean(), squared.mean()


@torch.no_grad()
def photo_figures(
    model: DeepJscc, photos: list[np.ndarray], snrs_db: tuple[float, ...] = (0.0, 10.0, 20.0), seed: int = 1
) -> dict[str, float]:
    """Mean PSNR [dB] over photographs, uint8 (H, W, 3), AWGN, CBR 1/6."""
    torch.manual_seed(seed)
    return {f"kodak, AWGN {snr:g} dB: PSNR [dB]": float(np.mean([_psnr(model, photo, snr) for photo in photos])) for snr in snrs_db}


def _psnr(model: DeepJscc, photo: np.ndarray, snr_db: float) -> float:
    image = torch.from_numpy(photo.copy()).permute(2, 0, 1)[None].float() / 255
    snr, count = torch.tensor([snr_db]), torch.tensor([VALUES])
    values = model.encode(image, snr, count)
    variance = values.square().mean() * 10 ** (-snr_db / 10)
    received = model.decode(values + variance.sqrt() * torch.randn_like(values), variance.expand_as(values), snr, count)
    mse = (received[..., : image.shape[2], : image.shape[3]].clamp(0, 1) - image).square().mean()
    return -10 * torch.log10(mse).item()


def train(chosen: Recipe, out: Path, start: dict[str, torch.Tensor] | None, how: dict) -> dict[str, float]:
    """Train, export and measure; `how` are the further arguments of `loop.train`. Returns the figures on the card."""
    model = build(chosen)
    if start is None:
        crops = data.photos(how["path"], how["cache"]).crops(np.random.default_rng(chosen.seed), SAMPLES, chosen.crop)
        model.initialise(torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 255)
    model, done = loop.train(chosen, out, start=start, model=model, loss_function=loss, **how)
    export(chosen, model.state_dict(), done, {}, out)
    model.load_state_dict(weights.load(chosen.name, out))
    figures = photo_figures(model, data.kodak(how["path"]))
    export(chosen, model.state_dict(), done, figures, out)
    return figures
