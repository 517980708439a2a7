"""Training of the denoisers of DeepJSCC: the same values, the same noise levels and the same time for DnCNN
and for DiffSDNet.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from ...images import datasets
from ...nn.diffusion import diffuse, kept, reverse, start
from ...training.export import ship
from ...training.loop import Run, accelerator, fit_images, planes
from .denoisers import SNRS_DB, Denoiser, as_received
from .network import HIGHEST_SNR_DB, VALUES, DeepJscc
from .recipes import ValueDenoiser
from .spectrum import dct2
from .training import UNTOLD

CODEC = "deepjscc"
COUNTS = (64, 64, 64, 64, 32, 16)
AT_START = 0.4  # share of training images at their start step t̃; the others are further down
MEASURED_CROPS = 48
SAMPLED_STEPS = (10, 20, 40)  # numbers of steps that DiffSDNet is tuned for
GRADIENTS = 2  # predictions of a run that gradients go through


@dataclass(frozen=True)
class Draw:
    """Values to denoise. Batches (B, …).

    Attributes:
        values: v⁽⁰⁾ (B, 64, h, w), unit mean power over the channels sent, 0 in the others.
        spectrum: their prior spectrum, same shape; 0 for channels that are not sent.
        noise: ε (B, 64, h, w), unit variance where sent.
        variance: σ² (B,).
        scale: RMS of the codec's own values (B, 1, 1, 1).
        told, count: what the codec was told, (B,) each.
    """

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


@torch.no_grad()
def draw(codec: DeepJscc, images: torch.Tensor, recipe: ValueDenoiser) -> Draw:
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
    return Draw(values / scale, spectrum, noise, 10 ** (-snr_db / 10), scale, told, count)


def dncnn_loss(
    model: Denoiser, images: torch.Tensor, recipe: ValueDenoiser, codec: DeepJscc
) -> tuple[torch.Tensor, torch.Tensor]:
    """Squared error of the noise that DnCNN finds (Zhang et al., eq. 1), summed over the values of a token;
    and that per value.
    """
    drawn = draw(codec, images, recipe)
    error = (model.network(drawn.noisy).float() - (drawn.noisy - drawn.values)) * drawn.sent
    return error.square().mean() * VALUES, error.square().mean()


@torch.no_grad()
def measure(
    model: Denoiser, codec: DeepJscc, images: torch.Tensor, recipe: ValueDenoiser, seed: int = 1
) -> None:
    """Fill DnCNN's table of the noise that remains, on images (N, 3, S, S)."""
    torch.manual_seed(seed)
    for i, snr_db in enumerate(SNRS_DB):
        drawn = draw(
            codec,
            images,
            replace(recipe, fading=replace(recipe.fading, snr_low_db=snr_db, snr_high_db=snr_db)),
        )
        error = (model(drawn.noisy, drawn.variance, drawn.spectrum, 1) - drawn.values).square().mean((2, 3))
        sent = drawn.sent[..., 0, 0].float()
        left = (error * sent).sum(0) / sent.sum(0).clamp_min(1) / drawn.variance[0]
        model.remains[i] = left.clamp(1e-3, 1)


def diffusion_loss(
    model: Denoiser, images: torch.Tensor, recipe: ValueDenoiser, codec: DeepJscc
) -> tuple[torch.Tensor, torch.Tensor]:
    """Eq. (29) as the image feels it; and the mean per value. t: t̃ of a random SNR, or uniform below it."""
    drawn = draw(codec, images, recipe)
    t = start(drawn.variance)
    t = torch.where(torch.rand_like(t) < AT_START, t, t * torch.rand_like(t))
    found = model.network(diffuse(drawn.values, t, drawn.noise), t, drawn.spectrum)
    error = (found - drawn.noise) * drawn.sent
    return felt(error, drawn.spectrum, (1 - kept(t)) / kept(t), codec) * VALUES, error.square().mean()


def sampling_loss(
    model: Denoiser, images: torch.Tensor, recipe: ValueDenoiser, codec: DeepJscc
) -> tuple[torch.Tensor, torch.Tensor]:
    """Minus the mean PSNR [10 dB] of images that went through the deterministic steps and the codec's
    decoder; and their MSE.

    A random number of steps; gradients go through the predictions of a few of them only.
    """
    drawn = draw(codec, images, recipe)
    steps = SAMPLED_STEPS[int(torch.randint(len(SAMPLED_STEPS), ()))]

    learning = iter((torch.randperm(steps) < GRADIENTS).tolist())

    def noise(v: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        with torch.set_grad_enabled(next(learning)):
            return model.network(v, t, drawn.spectrum)

    shape = (-1, 1, 1, 1)
    estimates = reverse(
        drawn.noisy / (1 + drawn.variance).sqrt().reshape(shape), start(drawn.variance), noise, steps
    )
    values = as_received(estimates, drawn.spectrum, drawn.variance.reshape(shape)) * drawn.scale
    variance = torch.where(
        drawn.sent, drawn.variance.reshape(shape) * drawn.scale.square(), torch.inf
    ).expand_as(values)
    squared = (codec.decode(values, variance, drawn.told, drawn.count) - images).square().mean((1, 2, 3))
    return torch.log10(squared + 1e-6).mean(), squared.mean()


LOSSES = {"dncnn": dncnn_loss, "ddpm": diffusion_loss, "diffsdnet": sampling_loss}


def felt(
    error: torch.Tensor, spectrum: torch.Tensor, variance: torch.Tensor, codec: DeepJscc
) -> torch.Tensor:
    """Mean square of the error of values (B, 64, h, w), weighted at every frequency by what it does to the
    image.

    The receiver divides by the gain g: the weight is 1/g² = λ / spectrum, less where the noise is above the
    signal. The best estimate is the same for any weights; a small network spends itself where they are large.
    """
    power = codec.spectrum.power(*error.shape[-2:])
    weight = power / (spectrum + variance[:, None, None, None])
    return (dct2(error).square() * weight / weight.mean((1, 2, 3), keepdim=True)).mean()


@torch.no_grad()
def photo_figures(
    model: Denoiser, codec: DeepJscc, photos: list[np.ndarray], snr_db: float = 0.0, seed: int = 1
) -> dict[str, float]:
    """Mean PSNR [dB] over photographs, uint8 (H, W, 3), AWGN, CBR 1/6, with and without the denoiser at 10
    steps.
    """
    torch.manual_seed(seed)
    told, count, psnr = torch.tensor([snr_db]), torch.tensor([VALUES]), {"without": [], "with": []}
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
    recipe, model, codec = run.recipe, run.recipe.build(), DeepJscc()
    codec.load_state_dict(run.weights(CODEC))
    codec.to(accelerator().device).eval().requires_grad_(False)
    if start_state is not None:
        model.load_state_dict(start_state)
    model, steps = fit_images(model, partial(LOSSES[recipe.kind], codec=codec), run)
    codec.cpu()
    if recipe.kind == "dncnn":
        crops = run.photos().crops(np.random.default_rng(recipe.seed), MEASURED_CROPS, recipe.crop)
        measure(model, codec, planes(crops), recipe)
    return ship(run, model, steps, lambda: photo_figures(model, codec, datasets.kodak(run.path)))
