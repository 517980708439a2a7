"""Training of DeepJSCC: mean PSNR over random SNR, fading, losses and budgets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ...channel import gain, torch_normal
from ...images import datasets
from ...training.export import ship
from ...training.loop import Run, fit_images, planes
from . import constellation
from .network import HIGHEST_SNR_DB, VALUES, DeepJscc
from .recipes import Jscc

# Levels of a random batch: 64-QAM mostly, 16-QAM, 4096-QAM.
TRAINED_LEVELS = (8, 8, 8, 4, 64)
# Crops from which the linear path is set.
SAMPLES = 256
# Values a token of a random image: CBR 1/6, 1/8, 1/12, 1/16, 1/24, 1/32, 1/48; 21: 1/6 of a grey image.
COUNTS = (64, 64, 48, 32, 32, 24, 21, 16, 16, 12, 8)
# Share of transmitters that do not know the SNR. Chosen by trial.
UNTOLD = 0.25
# Decay of the average of the weights that is shipped.
AVERAGE = 0.999
# The linear path, which is good from the start.
LINEAR = ("transform.", "channel_encoder.", "channel_decoder.")


@dataclass(frozen=True)
class Hazards:
    """Shares of images whose link fades (Rician), loses values, or has a gain of its own for every value, as
    OFDM carriers have.
    """

    faded: float = 0.3
    lossy: float = 0.2
    selective: float = 0.3


@dataclass(frozen=True)
class Links:
    """One random link for each image of a batch: mean SNR [dB], the SNR its transmitter counts on, values a
    token; each (B,).
    """

    snr_db: torch.Tensor
    told_db: torch.Tensor
    count: torch.Tensor


def draw_links(batch: int, recipe: Jscc, device: torch.device) -> Links:
    """Mean SNR uniform over the recipe's range; some transmitters do not know it."""
    low, high = recipe.fading.snr_low_db, recipe.fading.snr_high_db
    snr_db = low + (high - low) * torch.rand(batch, device=device)
    told = torch.where(torch.rand(batch, device=device) < UNTOLD, HIGHEST_SNR_DB, snr_db)
    # A rotation mixes as many values as are sent: with a constellation, one budget for the batch.
    drawn = torch.randint(len(COUNTS), (1 if recipe.quantised else batch,), device=device)
    count = torch.tensor(COUNTS, device=device)[drawn].expand(batch)
    return Links(snr_db, told, count)


def cross(values: torch.Tensor, links: Links, hazards: Hazards) -> tuple[torch.Tensor, torch.Tensor]:
    """Values (B, k, h, w) of any power → received values and their noise variance, inf where lost or not
    sent.
    """
    shape, device = values.shape, values.device

    def share(part: float) -> torch.Tensor:
        return (torch.rand(shape[0], 1, 1, 1, device=device) < part).float()

    sent = (torch.arange(shape[1], device=device) < links.count[:, None])[..., None, None].expand(shape)
    power = values.square().mean((1, 2, 3), keepdim=True) * shape[1] / links.count[:, None, None, None]
    fade = gain("rician", (shape[0], 1, 1, 1), torch_normal(device)).abs().square().clamp_min(0.05)
    variance = (
        power
        * 10 ** (-links.snr_db / 10)[:, None, None, None]
        / torch.where(share(hazards.faded) > 0, fade, 1)
    )
    variance = variance * torch.exp(0.7 * torch.randn(shape, device=device) * share(hazards.selective))
    received = values + variance.sqrt() * torch.randn(shape, device=device)
    lost = torch.rand(shape, device=device) < 0.3 * torch.rand(shape[0], 1, 1, 1, device=device) * share(
        hazards.lossy
    )
    there = sent & ~lost
    return torch.where(there, received, 0), torch.where(there, variance, torch.inf)


def cross_levels(
    values: torch.Tensor, links: Links, hazards: Hazards, levels: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """`cross` for values (B, 64, h, w) with every value sent as one of `levels`; gradients pass straight
    through.
    """
    with torch.autocast(values.device.type, enabled=False):
        mixed = constellation.mix(values.float(), int(links.count[0]))
        rms = constellation.scale(mixed)
        sent = constellation.soft_decide(mixed / (rms * constellation.quantiser(levels).step), levels)
        return constellation.receive(*cross(sent, links, hazards), levels, rms, VALUES)


def send(
    model: DeepJscc, images: torch.Tensor, links: Links, hazards: Hazards, levels: int = 0
) -> torch.Tensor:
    """Images (B, 3, H, W) as they arrive, (B, 3, ≥H, ≥W); `levels` 0: without a constellation."""
    values = model.encode(images, links.told_db, links.count)
    received, variance = (
        cross_levels(values, links, hazards, levels) if levels else cross(values, links, hazards)
    )
    return model.decode(received, variance, links.told_db, links.count)


def loss(model: DeepJscc, images: torch.Tensor, recipe: Jscc) -> tuple[torch.Tensor, torch.Tensor]:
    """Minus the mean PSNR [10 dB] of a batch, images (B, 3, S, S), and the MSE per pixel.

    PSNR, the logarithm of the MSE, so that an image at 20 dB counts as much as one at 0 dB.
    """
    levels = TRAINED_LEVELS[int(torch.randint(len(TRAINED_LEVELS), ()))] if recipe.quantised else 0
    received = send(model, images, draw_links(len(images), recipe, images.device), Hazards(), levels)
    squared = (received - images).square().mean((1, 2, 3))
    return torch.log10(squared + 1e-6).mean(), squared.mean()


@torch.no_grad()
def photo_figures(
    model: DeepJscc, photos: list[np.ndarray], levels: int = 0, seed: int = 1
) -> dict[str, float]:
    """Mean PSNR [dB] over photographs, uint8 (H, W, 3), AWGN, CBR 1/6."""
    torch.manual_seed(seed)
    figures = {}
    for snr_db in (0.0, 5.0, 10.0, 15.0, 20.0):
        links = Links(torch.tensor([snr_db]), torch.tensor([snr_db]), torch.tensor([VALUES]))
        psnr = []
        for photo in photos:
            image = planes(photo[None])
            received = send(model, image, links, Hazards(0, 0, 0), levels)[
                ..., : photo.shape[0], : photo.shape[1]
            ]
            psnr.append(-10 * torch.log10((received.clamp(0, 1) - image).square().mean()).item())
        figures[f"kodak, AWGN {snr_db:g} dB: PSNR [dB]"] = float(np.mean(psnr))
    return figures


def train(run: Run, start: dict[str, torch.Tensor] | None) -> dict[str, float]:
    """Train, export and measure; `start` None: the linear start. Returns the figures on the card."""
    model, recipe = run.recipe.build(), run.recipe
    if start is None:
        model.initialise(planes(run.photos().crops(np.random.default_rng(recipe.seed), SAMPLES, recipe.crop)))
    else:
        model.load_state_dict(start)
    model, steps = fit_images(model, loss, run, LINEAR, AVERAGE)
    levels = TRAINED_LEVELS[0] if recipe.quantised else 0
    return ship(run, model, steps, lambda: photo_figures(model, datasets.kodak(run.path), levels))
