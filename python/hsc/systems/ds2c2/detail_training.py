"""Training of the dispersed coding: tables that follow from statistics, and the receiver's network over a
spectrum of lost chunks.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch

from ...images import datasets
from ...nn.precision import mixed
from ...training.export import ship
from ...training.loop import Method, Run, accelerator, batches, fit, planes
from . import detail_fit, dispersed, interleaver
from .detail_network import DetailNetwork
from .dispersed import Model

# Crops that tables are fitted to, and their side.
FIT_CROPS, FIT_SIZE = 120, 192
# One in so many of them is quantised for the tables of symbols: of one cell there are 384 symbols.
_FIT_EVERY = 4
# Steps of the quantiser in training: 0.1 to 1 bit per pixel of photographs.
_COARSEST, _FINEST = 62, 34
# Share of images that lose nothing, and the largest share of chunks that the others lose.
_WHOLE, _MOST_LOST = 0.4, 0.3
# Chunks of an image in training. A crop has fewer than a photograph.
_CHUNKS = (8, 128)
# Of the card's figures: shares of chunks lost, bits per pixel of the detail, and bytes of a chunk.
_LOSSES, _BITS_PER_PIXEL, _BLOCK_BYTES = (0.0, 0.16), 0.14, 40
# One in so many of the photographs is measured.
_PHOTO_EVERY = 3
# Pace of the linear path, which is good from the start.
_LINEAR_PACE = 0.1
METHOD = Method(
    clip=5.0,
    betas=(0.9, 0.99),
    average=0.999,
    pace=lambda name: _LINEAR_PACE if name.startswith("transform.") else 1.0,
)


class Prior(Protocol):
    """The base as the detail needs it.

    Attributes:
        means: channels of c that are the mean of a plane.
        finenesses: how many there are.
    """

    means: tuple[int, ...]
    finenesses: int

    def code(self, images: torch.Tensor, fineness: int) -> np.ndarray:
        """Images (B, 3, H, W), sides multiples of 32 → c, int64 (B, C, H/16, W/16)."""

    def synthesise(self, c: np.ndarray, fineness: int) -> torch.Tensor:
        """c → x′ (B, 3, H, W)."""


def send(
    network: DetailNetwork, model: Model, prior: Prior, images: torch.Tensor, fineness: int, step: int
) -> torch.Tensor:
    """Images (B, 3, H, W) → x̂ as they arrive, with the losses of training; `step` of the quantiser."""
    with torch.autocast(images.device.type, enabled=False):  # as on the air
        c = prior.code(images.cpu(), fineness)
        synthesised = prior.synthesise(c, fineness).to(images.device)
        z = dispersed.analyse(images - synthesised).cpu().numpy()
    weight = network.scale_weight[fineness].cpu().numpy()
    found = [
        _crossed(own, dispersed.scales(weight, each, prior.means), step, model)
        for own, each in zip(z, c, strict=True)
    ]
    z, variance = (
        torch.from_numpy(np.stack(each)).float().to(images.device) for each in zip(*found, strict=True)
    )
    return network(z, variance, synthesised)


def _crossed(z: np.ndarray, scale: np.ndarray, step: int, model: Model) -> tuple[np.ndarray, np.ndarray]:
    """z (CHANNELS, h, w) → ẑ and its variance, with a random share of chunks lost."""
    rows = dispersed.table_rows(scale, step)
    symbols = dispersed.quantise(z, scale, step, model)
    lost = dispersed.absent(rows)
    if torch.rand(()) >= _WHOLE:
        chunks = int(torch.randint(*_CHUNKS, ()))
        gone = torch.rand(chunks).numpy() < _MOST_LOST * float(torch.rand(()))
        lost = lost | gone[interleaver.block_of(*z.shape, chunks)]
    return dispersed.estimate(symbols, lost, rows, step, model)


def loss(
    network: DetailNetwork, model: Model, prior: Prior, images: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Minus the mean PSNR [10 dB] of a batch, images (B, 3, S, S), and the MSE per pixel."""
    fineness = int(torch.randint(prior.finenesses, ()))
    step = int(torch.randint(_FINEST, _COARSEST + 1, ()))
    squared = (send(network, model, prior, images, fineness, step) - images).square().mean((1, 2, 3))
    return torch.log10(squared + 1e-6).mean(), squared.mean()


@torch.no_grad()
def fit_tables(network: DetailNetwork, prior: Prior, images: torch.Tensor) -> None:
    """Fit weights of the scales and tables of the symbols to images (N, 3, S, S), S a multiple of 32."""
    samples = []
    for fineness in range(prior.finenesses):
        c = prior.code(images, fineness)
        z = dispersed.analyse(images - prior.synthesise(c, fineness)).numpy()
        found = np.stack([dispersed.features(each, prior.means) for each in c], 1)
        magnitudes = np.abs(z).swapaxes(0, 1).reshape(z.shape[1], -1)
        weight = detail_fit.fit_weights(magnitudes, found.reshape(len(found), -1))
        network.scale_weight[fineness] = torch.from_numpy(weight)
        some = list(zip(z, c, strict=True))[::_FIT_EVERY]
        samples += [(own, dispersed.scales(weight, each, prior.means)) for own, each in some]
    network.adopt(detail_fit.fit_model(samples))


@torch.no_grad()
def photo_figures(network: DetailNetwork, prior: Prior, photos: list[np.ndarray]) -> dict[str, float]:
    """Mean PSNR [dB] over photographs, uint8 (H, W, 3), without packets, c's bits not counted."""
    figures, model = {}, network.model()
    for fineness in range(prior.finenesses):
        for share in _LOSSES:
            psnr = [photo_psnr(network, model, prior, photo, fineness, share) for photo in photos]
            name = f"kodak, every third, fineness {fineness}, {share:.0%} of detail lost: PSNR [dB]"
            figures[name] = float(np.mean(psnr))
    return figures


@torch.no_grad()
def photo_psnr(
    network: DetailNetwork, model: Model, prior: Prior, photo: np.ndarray, fineness: int, share: float
) -> float:
    """PSNR [dB] of a photograph whose detail crosses with a share of chunks lost."""
    image = planes(photo[None])
    height, width = (side // 32 * 32 for side in image.shape[-2:])
    image = image[..., :height, :width]
    c = prior.code(image, fineness)
    synthesised = prior.synthesise(c, fineness)
    z = dispersed.analyse(image - synthesised)[0].numpy()
    scale = dispersed.scales(network.scale_weight[fineness].numpy(), c[0], prior.means)
    blocks = max(int(_BITS_PER_PIXEL * height * width / 8 / _BLOCK_BYTES), 1)
    coded = dispersed.encode(z, scale, blocks, _BLOCK_BYTES, model)
    lost = np.random.default_rng(1).permutation(blocks) < round(share * blocks)
    received = np.repeat(~lost, _BLOCK_BYTES)
    detail = dispersed.decode(coded.data, received, scale, coded.step, _BLOCK_BYTES, model)
    arrived = (torch.from_numpy(each)[None] for each in (detail.z, detail.variance))
    mended = network(*arrived, synthesised).clamp(0, 1)
    return -10 * torch.log10((mended - image).square().mean()).item()


@torch.no_grad()
def begin(network: DetailNetwork, start: dict[str, torch.Tensor], prior: Prior, run: Run) -> None:
    """Make an untrained network ready: weights that fit, or the linear start; and its tables."""
    crops = planes(run.photos().crops(np.random.default_rng(run.recipe.seed), FIT_CROPS, FIT_SIZE))
    own = network.state_dict()
    fitting = {k: v for k, v in start.items() if k in own and v.shape == own[k].shape}
    network.load_state_dict(fitting, strict=False)
    if "deviation" not in fitting:
        network.deviation.copy_(network.transform(crops).square().mean((0, 2, 3)).sqrt())
    fit_tables(network, prior, crops)


def train(run: Run, start: dict[str, torch.Tensor], prior: Prior) -> dict[str, float]:
    """Fit the tables, train behind them, export and measure. Returns the figures on the card."""
    network = run.recipe.build()
    begin(network, start, prior, run)
    model, source, device = network.model(), batches(run), accelerator().device

    def of_batch(network: DetailNetwork, _: float) -> tuple[torch.Tensor, torch.Tensor]:
        with mixed(device):
            return loss(network, model, prior, next(source))

    network, steps = fit(network.to(memory_format=torch.channels_last), of_batch, run, METHOD)
    return ship(
        run, network, steps, lambda: photo_figures(network, prior, datasets.kodak(run.path)[::_PHOTO_EVERY])
    )
