"""Training of the learned image codec: bits and squared error at random levels of the quantiser, and the
entropy tables, which follow from statistics.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from ... import weights
from ...coding.stored_tables import LARGEST_INDEX, pack_tables
from ...images import datasets
from ...metrics import psnr_db
from ...training.export import export
from ...training.loop import Method, Run, batches, fit, planes
from .lic import compress, positions, reconstruct
from .lic_coding import (
    HYPERS,
    LARGEST_HYPER,
    LATENTS,
    LEVELS,
    LOWEST_OCTAVE,
    MIDDLE,
    OCTAVE,
    PARTS,
    ROWS,
    ROWS_PER_OCTAVE,
    Coder,
    Reader,
    bits_of,
    decode,
    dequantise,
    logistic_bits,
    quantise,
    table_rows,
)
from .lic_integer import LIMIT, UNIT, packed, rounded, unpack
from .lic_network import FINEST_STEP, LicNetwork, ready, variance

# Crops that the linear start and the tables are fitted to.
FIT_CROPS = 192
# Their side [pixels].
FIT_SIZE = 256
# Levels that are trained: about 0.1 to 1 bit per pixel.
TRAINED = (22, 42)
# Squared error per pixel that a bit per pixel is worth [step²]. At high rates it is 2 ln 2 / 12 = 0.116; at
# low ones, where most symbols are 0, a bit buys less.
WORTH = 0.15
# Observations that an entropy table begins with, of a logistic density. Not tuned.
_BEFOREHAND = 50.0
# The linear path, which is good from the start, and its pace relative to that of the prior, which begins with
# nothing. Not tuned.
_LINEAR, _LINEAR_PACE = ("transform.", "merge.", "split."), 0.1
# The same of the Swin blocks, of which one begins with weights that fit nearly. Not tuned.
_SWIN, _SWIN_PACE = ("encoder.", "decoder."), 0.4
# What is taken from the weights of LRISC: their decoder is told the variance of every coefficient.
_FROM_LRISC = ("transform.", "decoder.", "reliability.", "deviation")
# How large the last weights of the prior are at the start, relative to the usual: means are about 0
# and scales those of the data. Not tuned.
_TIMID = 0.1
# Deviation of z at the start: it is rounded to something, and costs little.
_HYPER_DEVIATION = 0.7
# Levels of the figures on the card.
FIGURE_LEVELS = (26, 32, 38)
# Beginnings of the names of what is stored as float16 and not as int8, because it carries y itself.
EXACT = (*_LINEAR, "reliability", "gains")


def _pace(name: str) -> float:
    if name.startswith(_LINEAR):
        return _LINEAR_PACE
    return _SWIN_PACE if name.startswith(_SWIN) else 1.0


METHOD = Method(
    clip=5.0,
    betas=(0.9, 0.99),
    average=0.999,
    pace=_pace,
)


@dataclass(frozen=True)
class Coded:
    """y of a batch as the coder sees it: bits of each image, (B,); in steps ŷ; its means; the symbols and
    log2 of their scales [1/64 octave], (B, LATENTS, h, w) each; ẑ.
    """

    bits: torch.Tensor
    y: torch.Tensor
    mean: torch.Tensor
    symbols: torch.Tensor
    log_scale: torch.Tensor
    z: torch.Tensor


def code(network: LicNetwork, y: torch.Tensor, level: torch.Tensor) -> Coded:
    """Code y in steps (B, LATENTS, h, w) at levels (B,). Symbols are rounded as on the air, gradients pass
    straight through; bits are those of values with uniform noise instead.
    """
    z = network.summarise(y)
    bits = logistic_bits(_noisy(z), network.hyper_octave[:, None, None]).sum((1, 2, 3))
    z = rounded(z).clamp(-LARGEST_HYPER, LARGEST_HYPER)
    features = network.prior.features(z)
    fine = (y * UNIT).clamp(-LIMIT, LIMIT)
    known, symbols = torch.zeros_like(y), torch.zeros_like(y)
    means, scales = torch.zeros_like(y), torch.zeros_like(y)
    for part in PARTS:
        mask = part.mask(*y.shape[2:]).to(y.device)
        mean, log_scale = network.prior.predict(features, known, level)
        own = quantise(fine, mean)
        known = torch.where(mask, dequantise(own, mean), known)
        means = torch.where(mask, mean, means)
        scales = torch.where(mask, log_scale, scales)
        symbols = torch.where(mask, own, symbols)
    bits = bits + bits_of(_noisy((fine - means) / UNIT), scales).sum((1, 2, 3))
    return Coded(bits, known / UNIT, means / UNIT, symbols, scales, z)


def send(
    network: LicNetwork, images: torch.Tensor, level: torch.Tensor, erased: float = 0.0
) -> tuple[torch.Tensor, Coded]:
    """Images (B, 3, H, W), sides multiples of 32 → as they are decoded when a share of the symbols of y is
    erased, independently; and what was coded.
    """
    coded = code(network, network.analyse(images, level), level)
    there = torch.rand_like(coded.y) >= erased
    y = torch.where(there, coded.y, coded.mean)
    return network.synthesise(y, variance(coded.symbols, coded.log_scale, there), level), coded


def loss(network: LicNetwork, images: torch.Tensor, erased: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Bits per pixel and squared error in what a bit is worth, mean over a batch (B, 3, S, S); the MSE."""
    level = torch.randint(TRAINED[0], TRAINED[1] + 1, (len(images),), device=images.device)
    received, coded = send(network, images, level, erased)
    squared = (received - images).square().sum(1).mean((1, 2))
    worth = WORTH * (FINEST_STEP * torch.exp2(level / OCTAVE)).square()
    pixels = images.shape[-2] * images.shape[-1]
    return (coded.bits / pixels + squared / worth).mean(), squared.mean() / 3


def _noisy(values: torch.Tensor) -> torch.Tensor:
    return values + torch.rand_like(values) - 0.5


@torch.no_grad()
def begin(network: LicNetwork, start: dict[str, torch.Tensor], images: torch.Tensor) -> None:
    """The linear start: transform and decoder of other weights, the KLT of images (N, 3, S, S), and scales as
    these have them.
    """
    taken = {key: value for key, value in start.items() if key.startswith(_FROM_LRISC)}
    network.load_state_dict({**network.state_dict(), **taken})
    blocks = functional.unfold(network.transform(images), 2, stride=2).transpose(1, 2).flatten(0, 1).double()
    _, vectors = torch.linalg.eigh(blocks.T @ blocks / len(blocks))
    kernel = vectors.flip(1)[:, :LATENTS].T.float().reshape(network.merge.weight.shape)
    network.merge.weight.copy_(kernel)
    network.split.weight.copy_(kernel)
    y = network.analyse(images, torch.full((len(images),), MIDDLE))
    last = network.prior.joint[-1]
    last.weight.mul_(_TIMID)
    last.bias[LATENTS:].copy_(y.square().mean((0, 2, 3)).sqrt().log2())
    last, z = network.summary[-1], network.summarise(y)
    mean, deviation = z.mean((0, 2, 3)), z.std((0, 2, 3)) / _HYPER_DEVIATION
    last.weight.div_(deviation[:, None, None, None])
    last.bias.sub_(mean).div_(deviation)
    network.hyper_octave.fill_(float(np.log2(_HYPER_DEVIATION)))


@torch.no_grad()
def fit_tables(network: LicNetwork, images: torch.Tensor) -> None:
    """Fit the entropy tables to images (N, 3, S, S), at levels all over the range."""
    size = 2 * LARGEST_INDEX + 2
    latents = np.stack([_logistic(LOWEST_OCTAVE + row / ROWS_PER_OCTAVE) for row in range(ROWS)])
    hypers = np.tile(_logistic(0.0), (LEVELS // OCTAVE * HYPERS, 1))
    torch.manual_seed(len(images))
    for part in images.split(8):
        level = torch.randint(LEVELS, (len(part),), device=part.device)
        coded = code(network, network.analyse(part, level), level)
        _count(latents, table_rows(coded.log_scale), coded.symbols)
        octave = level.div(OCTAVE, rounding_mode="floor")[:, None, None, None]
        row = octave * HYPERS + torch.arange(HYPERS, device=part.device)[:, None, None]
        _count(hypers, row.expand_as(coded.z), coded.z)
    network.latent_tables.copy_(torch.from_numpy(pack_tables(latents)))
    network.hyper_tables.copy_(torch.from_numpy(pack_tables(hypers)).reshape(-1, HYPERS, size))


def _logistic(octaves: float) -> np.ndarray:
    """Counts of −40 … 40 and of what is beyond that a table begins with."""
    index = torch.arange(-LARGEST_INDEX, LARGEST_INDEX + 1, dtype=torch.float64)
    inside = torch.exp2(-logistic_bits(index, torch.tensor(octaves, dtype=torch.float64))).numpy()
    return _BEFOREHAND * np.append(inside, max(1 - inside.sum(), 1e-9))


def _count(counts: np.ndarray, row: torch.Tensor, values: torch.Tensor) -> None:
    """Add what was seen to counts (R, 82)."""
    size = counts.shape[1]
    index = (values.round() + LARGEST_INDEX).long()
    index = torch.where((index >= 0) & (index < size - 1), index, size - 1)
    counts += (
        torch.bincount((row * size + index).flatten(), minlength=counts.size).numpy().reshape(counts.shape)
    )


@torch.no_grad()
def photo_figures(state: dict[str, torch.Tensor], photos: list[np.ndarray]) -> dict[str, float]:
    """PSNR [dB] and bits per pixel on the air, means over photographs, uint8 (H, W, 3), at some levels."""
    network, coder = ready(state)
    figures = {}
    for level in FIGURE_LEVELS:
        found = [_rate_and_quality(network, coder, photo, level) for photo in photos]
        bits, psnr = (float(np.mean(column)) for column in zip(*found, strict=True))
        figures |= {f"kodak, level {level}: bits per pixel": bits, f"kodak, level {level}: PSNR [dB]": psnr}
    return figures


def _rate_and_quality(
    network: LicNetwork, coder: Coder, photo: np.ndarray, level: int
) -> tuple[float, float]:
    data = compress(network, coder, photo, level)
    latents = decode(coder, Reader(data, len(data)), positions(photo.shape), level)
    decoded = reconstruct(network, latents, level, photo.shape)
    return 8 * len(data) / (photo.shape[0] * photo.shape[1]), psnr_db(photo, decoded)


def train(run: Run, start: dict[str, torch.Tensor] | None) -> dict[str, float]:
    """Train, fit the tables, export and measure. Returns the figures on the card."""
    network, recipe = run.recipe.build(), run.recipe
    crops = run.photos().crops(np.random.default_rng(recipe.seed), FIT_CROPS, FIT_SIZE)
    if start is None:
        begin(network, run.weights("lrisc"), planes(crops))
    else:
        unpack(network, start)
    source = batches(run)

    def of_batch(model: LicNetwork, _: float) -> tuple[torch.Tensor, torch.Tensor]:
        return loss(model, next(source), recipe.erased)

    network, steps = fit(network, of_batch, run, METHOD)
    fit_tables(network, planes(crops))
    state = packed(network)
    export(run, state, steps, {}, exact=EXACT)
    figures = photo_figures(weights.load(recipe.name, run.out), datasets.kodak(run.path))
    export(run, state, steps, figures, exact=EXACT)
    return figures
