"""Training of BResNet and SumNet: L_BResNet + L_SumNet (DS²C², section III), x′ from the base's weights as
they are, blocks of symbols lost on the way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from pytorch_msssim import ssim
from torch import nn

from ...channel import erase_blocks
from ...images import datasets
from ...nn.precision import mixed
from ...nn.transform import pad
from ...perceptual import Lpips
from ...training.export import ship
from ...training.loop import Method, Run, accelerator, batches, fit, planes
from . import base_prior, bits
from .base_network import WEIGHTS as BASE
from .binarizer import binarise
from .interleaver import block_of
from .residual_network import MULTIPLE, ResidualNetwork
from .residual_recipes import Erasures, Terms

# Crops that the short paths are fitted to, and their side.
FIT_CROPS, FIT_SIZE = 256, 128
# Blocks that an image is sent in: a Kodak image at 0.25 bits per pixel in blocks of 1056 to 40 bytes.
BLOCKS = (12, 24, 48, 96, 192, 307)
# Taps of VGG16 that L_VGG compares, as LPIPS does: the first ones, which see detail and cost least.
_VGG_TAPS = 3
# Images of a batch that VGG judges, one in so many: it costs four times the network.
_VGG_SHARE = 8
# Keeps the logarithm of a perfect image's MSE finite, and flat crops from ruling: that of 50 dB.
_LEAST_MSE = 1e-5
# Pace of the short paths, which are good from the start.
_SHORT, _SHORT_PACE = ("components.", "estimate."), 0.1
METHOD = Method(
    clip=1.0,
    betas=(0.9, 0.99),
    average=0.998,
    pace=lambda name: _SHORT_PACE if name.startswith(_SHORT) else 1.0,
)
# Blocks of the paper's channel [bytes], and the share that it loses in table I.
_PAPER_BLOCK, _PAPER_SHARE = 1056, 0.16

# Images (B, 3, H, W), sides multiples of 32, and a fineness → x′.
Prior = Callable[[torch.Tensor, int], torch.Tensor]


def prior_of(run: Run, device: torch.device) -> Prior:
    """x′ as the base layer makes it. Raises HscError when its weights are not there."""
    return base_prior.load(run.weights(BASE), device).refined


def lost_symbols(shape: torch.Size, erasures: Erasures) -> torch.Tensor:
    """Which symbols of a batch (B, C, h, w) are lost, bool: whole blocks, through the interleaver."""
    blocks = BLOCKS[int(torch.randint(len(BLOCKS), ()))]
    share = torch.empty(shape[0], 1).uniform_(erasures.least, erasures.most)
    return (torch.rand(shape[0], blocks) < share)[:, _block_of(*shape[1:], blocks)]


@lru_cache(maxsize=16)
def _block_of(channels: int, height: int, width: int, blocks: int) -> torch.Tensor:
    return torch.tensor(block_of(channels, height, width, blocks))


def cross(symbols: torch.Tensor, erasures: Erasures) -> tuple[torch.Tensor, torch.Tensor]:
    """Symbols ±1 (B, C, h, w) → what a receiver makes of those that come, and `known`, as of
    `ResidualNetwork.synthesise`.
    """
    everything = torch.ones_like(symbols)
    if torch.rand(()) < erasures.calm:
        return symbols, everything
    came = (~lost_symbols(symbols.shape, erasures)).to(symbols)
    if torch.rand(()) < erasures.untold:
        return came * symbols - (1 - came), everything
    return came * symbols, came


@dataclass(frozen=True)
class Distance:
    """L_d of eq. (4), and the PSNR, of images (B, 3, S, S).

    Attributes:
        terms: of the moment.
        vgg: the distance of features, needed where its weight is not 0.
    """

    terms: Terms
    vgg: nn.Module | None

    def __call__(self, found: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
        """Scalar."""
        terms, total = self.terms, found.new_zeros(())
        if terms.l1:
            total = total + terms.l1 * (found - images).abs().mean()
        if terms.ssim:
            total = total + terms.ssim * (1 - ssim(found, images, data_range=1.0))
        if terms.vgg:
            some = slice(int(torch.randint(min(_VGG_SHARE, len(found)), ())), None, _VGG_SHARE)
            with mixed(images.device):
                total = total + terms.vgg * self.vgg(found[some], images[some]).mean()
        if terms.psnr:
            squared = (found - images).square().mean((1, 2, 3))
            total = total + terms.psnr * torch.log10(squared + _LEAST_MSE).mean()
        return total


def loss(
    network: ResidualNetwork,
    images: torch.Tensor,
    prior: torch.Tensor,
    distance: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    erasures: Erasures,
    drawn: bool,
) -> tuple[torch.Tensor, torch.Tensor]:
    """L_BResNet + L_SumNet and the MSE of x̂ for images and x′ (B, 3, S, S). `drawn`: symbols are random, as
    in `binarise`. The network is in bfloat16 where that is faster; squared errors are not.
    """
    with mixed(images.device):
        symbols = binarise(network.analyse(images, prior), drawn)
        sums, combined = network.receive(*cross(symbols, erasures), prior)
    value = distance(sums, images) + distance(combined, images)
    return value, (combined - images).square().mean()


def train(run: Run, start: dict[str, torch.Tensor] | None) -> dict[str, float]:
    """Train, export and measure. Returns the figures on the card."""
    recipe, device = run.recipe, accelerator().device
    network, prior, source = recipe.build(), prior_of(run, device), batches(run)
    if start is not None:
        network.load_state_dict(start)
    else:
        begin(network, run, prior)
    vgg = Lpips("vgg", _VGG_TAPS).to(device) if recipe.terms.at(0).vgg else None

    def of_batch(model: ResidualNetwork, fraction: float) -> tuple[torch.Tensor, torch.Tensor]:
        images = next(source)
        fineness = recipe.finenesses[int(torch.randint(len(recipe.finenesses), ()))]
        distance = Distance(recipe.terms.at(fraction), vgg)
        known = prior(images, fineness).contiguous(memory_format=torch.channels_last)
        return loss(model, images, known, distance, recipe.erasures, fraction < recipe.signs_from)

    network, steps = fit(network.to(memory_format=torch.channels_last), of_batch, run, METHOD)
    photos = datasets.kodak(run.path)
    if recipe.data == "street":
        photos = [image for image, _ in datasets.street("test", run.path)]
    name = {"street": "street"}.get(recipe.data, "kodak")
    return ship(run, network, steps, lambda: figures(network, prior, photos, recipe.finenesses, name))


def begin(network: ResidualNetwork, run: Run, prior: Prior) -> None:
    """Fit the short paths to crops, an equal share at every fineness."""
    crops = planes(run.photos().crops(np.random.default_rng(run.recipe.seed), FIT_CROPS, FIT_SIZE))
    parts = crops.chunk(len(run.recipe.finenesses))
    priors = [prior(*each) for each in zip(parts, run.recipe.finenesses, strict=True)]
    network.initialise(crops, torch.cat(priors))


@torch.no_grad()
def figures(
    network: ResidualNetwork,
    prior: Prior,
    photos: list[np.ndarray],
    finenesses: tuple[int, ...],
    images: str = "kodak",
) -> dict[str, float]:
    """Mean PSNR [dB] of x′ and x̂ over photographs, uint8 (H, W, 3), by fineness: without erasures, and with
    those of table I, where the receiver is told of them and where it is not. The base comes without errors.
    """
    found = {}
    for fineness in finenesses:
        rows = [_quality(network, prior, photo, fineness, seed) for seed, photo in enumerate(photos)]
        names = ("x′", "no erasures", "16 % erased, told", "16 % erased, not told")
        for name, value in zip(names, np.mean(rows, 0), strict=True):
            found[f"{images}, fineness {fineness}, {name}: PSNR [dB]"] = float(value)
    return found


def _quality(
    network: ResidualNetwork, prior: Prior, photo: np.ndarray, fineness: int, seed: int
) -> list[float]:
    image = planes(photo[None])
    padded = pad(image, MULTIPLE)
    known = prior(padded, fineness)
    symbols = binarise(network.analyse(padded, known), training=False)[0].to(torch.int8).numpy()
    received = [known]
    for share, told in ((0.0, True), (_PAPER_SHARE, True), (_PAPER_SHARE, False)):
        stream = bits.interleave(bits.pack(symbols), symbols.shape, _PAPER_BLOCK)
        data, came = erase_blocks(stream, share, _PAPER_BLOCK, np.random.default_rng(seed))
        unpacked = bits.deinterleave(data, came, symbols.shape, _PAPER_BLOCK, told)
        received.append(
            network.receive(*(torch.from_numpy(each)[None].float() for each in unpacked), known)[1]
        )
    height, width = image.shape[-2:]
    return [_psnr_db(each[..., :height, :width], image) for each in received]


def _psnr_db(found: torch.Tensor, image: torch.Tensor) -> float:
    return -10 * torch.log10((found.clamp(0, 1) - image).square().mean()).item()
