"""Training of HSC's semantic coders, for digits and for photographs: squared error and a regulariser, over
fading or none.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from ...channel import torch_normal, transmit
from ...images import datasets
from ...training.export import ship
from ...training.loop import Run, fit_images, planes
from ...training.recipe import Fading
from .conv_vae import ConvVae
from .recipes import DigitCoder, PhotoCoder

# Channel of the figures on the cards.
TEST_FADING = Fading("rayleigh", 0.0, 20.0)
# Crops that the KLT is made of: 64 blocks each, 43 for each of its 768 dimensions.
KLT_CROPS = 512
# Crops that the latent's priors are measured on.
PRIOR_CROPS = 256
# Their side [pixels].
PRIOR_SIZE = 128


def value_channel(
    fading: Fading, batch: int, device: torch.device
) -> Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]:
    """Real values (B, n) of unit power through `fading`, two values a symbol; one channel gain and one mean
    SNR per row.
    """
    span = fading.snr_high_db - fading.snr_low_db
    snr_db = fading.snr_low_db + span * torch.rand(batch, 1, device=device)

    def channel(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        symbols = torch.view_as_complex(values.float().unflatten(1, (-1, 2)).contiguous()) * 0.5**0.5
        received, variance = transmit(symbols, snr_db, fading.kind, torch_normal(device))
        return torch.view_as_real(received).flatten(1) * 2**0.5, variance

    return channel


def loss(
    model: nn.Module, images: torch.Tensor, recipe: DigitCoder | PhotoCoder
) -> tuple[torch.Tensor, torch.Tensor]:
    """Negative variational lower bound per image for a Gaussian likelihood, up to constants; and the MSE per
    pixel.
    """
    channel = value_channel(recipe.fading, len(images), images.device) if recipe.fading else None
    generated, regulariser = model(images, channel)
    squared = (generated.float() - images).square().flatten(1).sum(1)
    return (squared + recipe.regulariser * regulariser).mean(), squared.mean() / images[0].numel()


@torch.inference_mode()
def update_prior(model: ConvVae, crops: np.ndarray) -> None:
    """Set each latent channel's prior variance to its mean square over crops, uint8 (N, S, S, 3), and its
    correlation of neighbours.
    """
    squares, products = torch.zeros(model.channels), torch.zeros(model.channels)
    count = 0
    for part in np.array_split(crops, max(1, len(crops) // 16)):
        latent = model.encode(planes(part))
        down, right = latent[:, :, 1:] * latent[:, :, :-1], latent[..., 1:] * latent[..., :-1]
        squares += latent.square().mean((2, 3)).sum(0)
        products += (down.mean((2, 3)) + right.mean((2, 3))).sum(0) / 2
        count += len(part)
    model.prior_variance.copy_(squares / count)
    model.neighbour_correlation.copy_((products / squares).clamp(0, 1))


@torch.inference_mode()
def digit_figures(model: nn.Module, images: torch.Tensor, seed: int = 1) -> dict[str, float]:
    """MSE of SC on test digits (N, 1, 28, 28): over the ideal channel, and over block Rayleigh of 0-20 dB
    mean SNR.
    """
    torch.manual_seed(seed)
    ideal = functional.mse_loss(model(images)[0], images)
    faded = functional.mse_loss(
        model(images, value_channel(TEST_FADING, len(images), images.device))[0], images
    )
    return {"mnist test, ideal channel: MSE": float(ideal), "mnist test, Rayleigh 0-20 dB: MSE": float(faded)}


@torch.inference_mode()
def photo_figures(model: ConvVae, photos: list[np.ndarray], seed: int = 1) -> dict[str, float]:
    """Mean PSNR [dB] of SC over photographs: ideal channel, AWGN 10 dB."""
    torch.manual_seed(seed)
    psnr = {"ideal channel": [], "AWGN 10 dB": []}
    for photo in photos:
        image = planes(photo[None])
        channel = value_channel(Fading("awgn", 10.0, 10.0), 1, image.device)
        for name, generated in (("ideal channel", model(image)[0]), ("AWGN 10 dB", model(image, channel)[0])):
            psnr[name].append(-10 * torch.log10(functional.mse_loss(generated.clamp(0, 1), image)).item())
    return {f"kodak, {name}: PSNR [dB]": float(np.mean(values)) for name, values in psnr.items()}


def held_out_digits(run: Run) -> torch.Tensor:
    """MNIST's test digits, float32 (10000, 1, 28, 28) in [0, 1]. Raises HscError when missing."""
    return planes(datasets.mnist("test", run.path)[..., None])


def train_digits(run: Run, start: dict[str, torch.Tensor] | None) -> dict[str, float]:
    """Train, export and measure a coder of digits; `start` None: random weights. Returns the figures on the
    card.
    """
    model = run.recipe.build()
    if start is not None:
        model.load_state_dict(start)
    model, steps = fit_images(model, loss, run)
    return ship(run, model, steps, lambda: digit_figures(model, held_out_digits(run)))


def train_photos(run: Run, start: dict[str, torch.Tensor] | None) -> dict[str, float]:
    """The same for photographs; `start` None: the KLT."""
    model, rng = run.recipe.build(), np.random.default_rng(run.recipe.seed)
    if start is not None:
        model.load_state_dict(start)
    else:
        model.initialise_klt(run.photos().crops(rng, KLT_CROPS, run.recipe.crop))
    model, steps = fit_images(model, loss, run)
    update_prior(model, run.photos().crops(rng, PRIOR_CROPS, PRIOR_SIZE))
    return ship(run, model, steps, lambda: photo_figures(model, datasets.kodak(run.path)))
