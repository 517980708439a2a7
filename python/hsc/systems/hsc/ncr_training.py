"""NCR fine-tuning (arXiv 2507.17196, eq. 23): adapters that make the recomposed image good when the CR may
not arrive.

The CR is protected by LDPC and CRC, so a fading channel loses it rather than bending it: it arrives when its
block's SNR is above the threshold of 16QAM 1/2. Its quantisation is left out: the projection is exact.
"""

from __future__ import annotations

import torch
from torch import nn

from ...channel import gain, torch_normal
from ...phy.mcs import TABLE
from ...training.export import ship
from ...training.loop import Run, fit_images
from .recipes import NcrAdapters
from .vae_training import held_out_digits, value_channel

# Of the CR: section IV-A.
MCS = TABLE["16QAM-1/2"]


@torch.no_grad()
def projections(images: torch.Tensor, generated: torch.Tensor, rank: int) -> torch.Tensor:
    """AᵀA, (B, 28, 28), of the `rank` leading eigenvectors of the error matrices, eqs. (14) and (20). Images
    (B, 1, 28, 28).
    """
    difference = (images - generated)[:, 0].float()
    vectors = torch.linalg.eigh(difference @ difference.transpose(1, 2)).eigenvectors[
        ..., images.shape[-2] - rank :
    ]
    return vectors @ vectors.transpose(1, 2)


def recompose_batch(generated: torch.Tensor, images: torch.Tensor, projection: torch.Tensor) -> torch.Tensor:
    """Eq. (8) with an unquantised CR: Ĝ + AᵀA (X − Ĝ), (B, 1, 28, 28)."""
    return generated + (projection @ (images - generated)[:, 0])[:, None]


def received_images(model: nn.Module, images: torch.Tensor, recipe: NcrAdapters) -> torch.Tensor:
    """Recomposed images (B, 1, 28, 28) after SR and CR each went through their own fading block, the CR at
    the same mean SNR.
    """
    values = model.encode(images)
    projection = projections(images, model.decode(values), recipe.rank)
    channel = value_channel(recipe.fading, len(images), images.device)
    generated = model(images, channel)[0].float()
    span = recipe.fading.snr_high_db - recipe.fading.snr_low_db
    snr_db = recipe.fading.snr_low_db + span * torch.rand(len(images), device=images.device)
    fade = gain(recipe.fading.kind, tuple(snr_db.shape), torch_normal(images.device)).abs().square()
    arrived = 10 * torch.log10(fade.clamp_min(1e-9)) + snr_db >= MCS.threshold_db
    return torch.where(
        arrived[:, None, None, None], recompose_batch(generated, images, projection), generated
    )


def loss(model: nn.Module, images: torch.Tensor, recipe: NcrAdapters) -> tuple[torch.Tensor, torch.Tensor]:
    """Eq. (23): squared error of the recomposed image, summed over pixels; and the MSE per pixel."""
    with torch.autocast(images.device.type, enabled=False):
        squared = (received_images(model, images, recipe) - images).square().flatten(1).sum(1)
    return squared.mean(), squared.mean() / images[0].numel()


@torch.inference_mode()
def figures(model: nn.Module, digits: torch.Tensor, recipe: NcrAdapters, seed: int = 1) -> float:
    """MSE of recomposed test digits (N, 1, 28, 28) over fading, at one seed for comparisons."""
    torch.manual_seed(seed)
    return float((received_images(model, digits, recipe).clamp(0, 1) - digits).square().mean())


def train(run: Run, start: dict[str, torch.Tensor]) -> dict[str, float]:
    """Train adapters for the VAE `start`, export and measure, with and without them. Returns the figures on
    the card.
    """
    model, digits = run.recipe.build(), held_out_digits(run)
    model.vae.load_state_dict(start)
    text = f"mnist test, Rayleigh 0-20 dB, recomposed at k = {run.recipe.rank}: MSE"
    without = {f"{text} without adapters": figures(model, digits, run.recipe)}
    model, steps = fit_images(model, loss, run)
    return ship(run, model.adapters, steps, lambda: without | {text: figures(model, digits, run.recipe)})
