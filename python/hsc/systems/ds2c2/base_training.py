"""Training of the base layer: tables that follow from statistics, then losses (1) to (4) of DS²C²
(arXiv 2409.03243).
"""

from __future__ import annotations

import numpy as np
import torch

from ...images import datasets
from ...coding.activity import GROUPS
from ...nn.transform import MIDDLE, BlockTransform
from ...training.export import export
from ...training.loop import Run, planes
from . import base_activity, base_fit
from .base import BaseCodec, Fineness, fineness_of
from .base_network import CHANNELS, MEANS, MULTIPLE, STEPS, BaseNetwork
from .base_contexts import CLASSES

# Crops that tables are fitted to, and their side.
FIT_CROPS, FIT_SIZE = 300, 256
# Times that contexts and tables are fitted, each to what the encoder chooses with those before. Measured: the
# second saves 6 to 9 %, the third 1 %.
FIT_TIMES = 3
# Share of a step that a magnitude needs over a whole number to be that number: of the first quantiser, which
# knows no probabilities. Chosen by trial.
_DEADZONE = 0.67


@torch.no_grad()
def fit_tables(network: BaseNetwork, images: torch.Tensor) -> None:
    """Fit contexts, entropy tables and activity to images (N, 3, S, S), S a multiple of 32."""
    c = torch.cat([network.compress(part) for part in images.split(16)])
    network.deviation.copy_(c.square().mean((0, 2, 3)).sqrt().clamp_min(1e-4))
    for index, step in enumerate(STEPS):
        wanted = (c / step).numpy()
        chosen = (np.sign(wanted) * np.floor(np.abs(wanted) + 1 - _DEADZONE)).astype(np.int64)
        for time in range(FIT_TIMES):
            if time:
                chosen = _chosen(fineness_of(network, index), c)
            contexts = base_fit.fit_contexts(chosen, MEANS)
            network.mean[index], network.scale[index] = map(torch.from_numpy, (contexts.mean, contexts.scale))
            network.bias[index] = torch.from_numpy(contexts.bias)
            network.own_mean[index] = torch.from_numpy(contexts.own_mean)
            network.own_scale[index] = torch.from_numpy(contexts.own_scale)
            counts = base_fit.count(contexts, MEANS, chosen)
            network.tables[index] = torch.from_numpy(base_fit.tables(counts, CLASSES)).int()
        detail = base_activity.fit(chosen, _detail_power(network, images, chosen, step), MEANS)
        network.detail[index] = torch.from_numpy(detail.weights)
        network.detail_bias[index] = torch.from_numpy(detail.bias)
        network.detail_rows[index] = torch.from_numpy(detail.rows)


def _chosen(fineness: Fineness, c: torch.Tensor) -> np.ndarray:
    return np.concatenate([fineness.choose(part) for part in c.split(64)])


def _detail_power(network: BaseNetwork, images: torch.Tensor, c: np.ndarray, step: float) -> np.ndarray:
    """Mean square of what c′ lacks in the 8 × 8 DCT, luma and colour by token, (N, 2, S/8, S/8)."""
    transform, found = BlockTransform().requires_grad_(False), []
    for part, own in zip(images.split(16), torch.from_numpy(c).split(16), strict=True):
        power = transform(part - network.expand(own.float() * step) + MIDDLE).square()
        found.append(torch.stack([group.mean(1) for group in power.split(GROUPS, 1)], 1))
    return torch.cat(found).numpy()


@torch.no_grad()
def photo_figures(network: BaseNetwork, photos: list[np.ndarray]) -> dict[str, float]:
    """Mean bits per pixel and PSNR [dB] of c′ and x′ over photographs, uint8 (H, W, 3), by fineness."""
    codec, found = BaseCodec(network), {}
    for fineness in range(len(STEPS)):
        rows = [_quality(codec, photo, fineness) for photo in photos]
        for name, value in zip(("bits per pixel", "PSNR of c′ [dB]", "PSNR of x′ [dB]"), np.mean(rows, 0)):
            found[f"kodak, fineness {fineness}: {name}"] = float(value)
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
