"""Training of the base layer: tables that follow from statistics, then what stands behind c by losses (1) to
(4) of DS²C² (arXiv 2409.03243).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from pytorch_msssim import ssim
from torch import nn
from torch.nn import functional

from ... import weights
from ...images import datasets
from ...perceptual import Lpips
from ...training.export import export
from ...training.loop import Method, Run, accelerator, fit, planes
from . import base_fit
from .base import BaseCodec, Fineness, fineness_of
from .base_adversary import Adversary
from .base_network import CLASSES, MEANS, STEPS, TOKEN, TRAINED_STEPS, BaseNetwork
from .base_recipes import BaseTraining
from .base_semantics import Clusters, street_crops, token_labels

# Crops that tables are fitted to, and their side.
FIT_CROPS, FIT_SIZE = 120, 256
# Crops that the classes of SegNet are found from.
CLUSTER_CROPS = 24
# Times that contexts and tables are fitted. Measured: the second saves 12 % of the bits, the third 1 %.
FIT_TIMES = 3
# Share of a step that a magnitude needs over a whole number to be that number: of the first quantiser, which
# knows no probabilities. Chosen by trial.
_DEADZONE = 0.67
# Weight of L1 beside 1 of L_SSIM: DSSLIC's (the paper's [5]).
L1_WEIGHT = 20.0
# Weight of the cross-entropy of s. It is there to keep s meaningful; L_d rules. Chosen by trial.
SEMANTIC_WEIGHT = 0.02
# Taps of VGG16 in L_VGG, and images of a batch that it judges, one in so many: it costs several times the
# networks.
VGG_TAPS, VGG_SHARE = 3, 4
# Pace of the inverse DCT, which is good from the start.
_LINEAR_PACE = 0.1
# Beginnings of the names of what is stored as float16 and not as int8, because it carries the image itself.
EXACT = ("synthesis", "deviation")


def _pace(name: str) -> float:
    return _LINEAR_PACE if name.startswith("base.synthesis") else 1.0


_FIGURES = ("bits per pixel", "PSNR of c′ [dB]", "PSNR of x′ [dB]")
METHOD = Method(clip=1.0, betas=(0.9, 0.99), average=0.998, pace=_pace)


class Rgan(nn.Module):
    """What is trained: the base layer's networks, and DiscNet where it takes part."""

    def __init__(self, base: BaseNetwork, adversarial: bool) -> None:
        super().__init__()
        self.base = base
        self.adversary = Adversary() if adversarial else None


@torch.no_grad()
def fit_tables(network: BaseNetwork, images: torch.Tensor, times: int = FIT_TIMES) -> None:
    """Fit contexts and entropy tables to images (N, 3, S, S), S a multiple of 32, so many times,
    each to what the encoder chooses with those before.
    """
    device = network.deviation.device
    c = torch.cat([network.compress(part.to(device)).cpu() for part in images.split(16)])
    network.deviation.copy_(c.square().mean((0, 2, 3)).sqrt().clamp_min(1e-4))
    for index, step in enumerate(STEPS):
        wanted = (c / step).numpy()
        chosen = (np.sign(wanted) * np.floor(np.abs(wanted) + 1 - _DEADZONE)).astype(np.int64)
        for time in range(times):
            if time:
                chosen = _chosen(fineness_of(network, index), c)
            contexts = base_fit.fit_contexts(chosen, MEANS)
            network.mean[index], network.scale[index] = map(torch.from_numpy, (contexts.mean, contexts.scale))
            network.bias[index] = torch.from_numpy(contexts.bias)
            network.own_mean[index] = torch.from_numpy(contexts.own_mean)
            network.own_scale[index] = torch.from_numpy(contexts.own_scale)
            counts = base_fit.count(contexts, MEANS, chosen)
            network.tables[index] = torch.from_numpy(base_fit.tables(counts)).int()


def _chosen(fineness: Fineness, c: torch.Tensor) -> np.ndarray:
    return np.concatenate([fineness.choose(part)[0] for part in c.split(64)])


@torch.no_grad()
def photo_figures(network: BaseNetwork, photos: list[np.ndarray], name: str) -> dict[str, float]:
    """Mean bits per pixel and PSNR [dB] of c′ and x′ over photographs, uint8 (H, W, 3), by fineness."""
    codec, found = BaseCodec(network), {}
    for fineness in range(len(STEPS)):
        rows = [_quality(codec, photo, fineness) for photo in photos]
        for what, value in zip(_FIGURES, np.mean(rows, 0), strict=True):
            found[f"{name}, fineness {fineness}: {what}"] = float(value)
    return found


def _quality(codec: BaseCodec, photo: np.ndarray, fineness: int) -> list[float]:
    code = codec.encode(photo, fineness)
    made = codec.synthesise(code.c, fineness, photo.shape)
    height, width = photo.shape[:2]
    squared = [
        (each[..., :height, :width].clamp(0, 1) - planes(photo[None])).square().mean()
        for each in (made.expanded, made.refined)
    ]
    return [8 * len(code.data) / (height * width), *(-10 * torch.log10(each).item() for each in squared)]


@torch.no_grad()
def send(network: BaseNetwork, images: torch.Tensor, index: int) -> torch.Tensor:
    """Images (B, 3, S, S) → c as it is decoded, at a fineness."""
    chosen, _ = fineness_of(network, index).choose(network.compress(images).cpu())
    return torch.from_numpy(chosen).to(images) * STEPS[index]


def distance(vgg: Callable, weight: float, made: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    """L_d = L_1 + L_SSIM + L_VGG, eq. (4), with weights: images (B, 3, S, S) → scalar."""
    found = L1_WEIGHT * (made - images).abs().mean() + 1 - ssim(made, images, data_range=1.0)
    if not weight:
        return found
    some = slice(int(torch.randint(min(VGG_SHARE, len(made)), ())), None, VGG_SHARE)
    return found + weight * vgg(made[some], images[some]).mean()


def loss(
    model: Rgan, vgg: Callable, images: torch.Tensor, labels: torch.Tensor, recipe: BaseTraining
) -> tuple[torch.Tensor, torch.Tensor]:
    """Eq. (1) of a batch at a random fineness, and the MSE of x′: images (B, 3, S, S), labels of their tokens
    int64 (B, S/8, S/8). The cross-entropy of s is added, which the paper does not have: its SegNet is trained
    elsewhere.
    """
    index = int(torch.randint(len(STEPS), ()))
    expanded = model.base.expand(send(model.base, images, index))
    s = model.base.segment(expanded)
    refined = model.base.refine(s, expanded, TRAINED_STEPS)
    # c′ counts too: it is x′ after no step, and what SegNet and every step see.
    # VGG judges one of them at a time, for as much as all: it costs more than everything else.
    every = (expanded, *refined)
    weight = len(every) * recipe.perceptual * functional.one_hot(torch.randint(len(every), ()), len(every))
    total = sum(distance(vgg, float(w), made, images) for w, made in zip(weight, every, strict=True))
    total = total + SEMANTIC_WEIGHT * functional.nll_loss(s, labels)
    if model.adversary is not None:
        total = total + recipe.adversarial * model.adversary.generator_loss(s, expanded, refined)
        total = total + model.adversary.loss(s, expanded, refined, images)
    return total, (refined[-1] - images).square().mean()


@dataclass(frozen=True)
class Photographs:
    """Training photographs; classes are clusters of features."""

    photos: datasets.Photos
    clusters: Clusters

    def draw(self, rng: np.random.Generator, count: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Random crops, (count, 3, size, size), and the classes of their tokens."""
        images = planes(self.photos.crops(rng, count, size))
        return images, self.clusters(images)


@dataclass(frozen=True)
class Street:
    """Street scenes with their labels."""

    scenes: list[tuple[np.ndarray, np.ndarray]]

    def draw(self, rng: np.random.Generator, count: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
        """As `Photographs.draw`."""
        images, labels = street_crops(self.scenes, rng, count, size)
        return planes(images), torch.from_numpy(labels)


def source(run: Run) -> Photographs | Street:
    """Where a recipe's images and classes come from; `samples` of them, or all. The classes of photographs
    are found from all that there are, so that few-shot recipes have the same.
    """
    recipe = run.recipe
    if recipe.data == "street":
        return Street(datasets.street("train", run.path)[: recipe.samples or None])
    every = datasets.photos(run.path, run.out / "photos")
    clusters = Clusters(planes(every.crops(np.random.default_rng(1), CLUSTER_CROPS, FIT_SIZE)))
    return Photographs(run.photos(), clusters)


def train(run: Run, start: dict[str, torch.Tensor] | None) -> dict[str, float]:
    """Fit the tables, train, export and measure. Returns the figures on the card."""
    recipe, device = run.recipe, accelerator().device
    images, base = source(run), recipe.build()
    if start:
        base.load_state_dict(start)
    if not run.checkpoint.is_file():  # which has tables
        fit_tables(base, images.draw(np.random.default_rng(recipe.seed), FIT_CROPS, FIT_SIZE)[0])
    vgg = Lpips("vgg", VGG_TAPS).to(device)
    # Not the recipe's seed: a run that goes on must not begin with the same images again.
    rng = np.random.default_rng()

    def of_batch(model: Rgan, _: float) -> tuple[torch.Tensor, torch.Tensor]:
        crops, labels = images.draw(rng, recipe.batch, recipe.crop)
        return loss(model, vgg, crops.to(device), labels.to(device), recipe)

    model = Rgan(base, recipe.adversarial > 0).to(memory_format=torch.channels_last)
    model, steps = fit(model, of_batch, run, METHOD)
    export(run, model.base.state_dict(), steps, {}, exact=EXACT)
    base.load_state_dict(weights.load(recipe.name, run.out))
    figures = street_figures(base, run) if recipe.data == "street" else kodak_figures(base, run)
    export(run, base.state_dict(), steps, figures, exact=EXACT)
    return figures


def kodak_figures(network: BaseNetwork, run: Run) -> dict[str, float]:
    """Figures of every third Kodak photograph."""
    return photo_figures(network, datasets.kodak(run.path)[::3], "kodak")


def street_figures(network: BaseNetwork, run: Run) -> dict[str, float]:
    """Figures of the street scenes for testing, and the share of tokens whose class is right."""
    scenes, codec, right = datasets.street("test", run.path), BaseCodec(network), []
    found = photo_figures(network, [image for image, _ in scenes], "street")
    for image, labels in scenes:
        made = codec.synthesise(codec.encode(image, 1).c, 1, image.shape)
        height, width = (side // TOKEN for side in labels.shape)
        wanted = token_labels(labels[: TOKEN * height, : TOKEN * width])
        right.append((made.semantic[0, :, :height, :width].argmax(0).numpy() == wanted)[wanted < CLASSES - 1])
    found["street, fineness 1: tokens of the right class"] = float(np.concatenate(right).mean())
    return found
