"""Training of the post-filter behind HEVC: least error at all qualities alike."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch

from ...coding import hevc
from ...coding.nnpf import FINEST, PostFilter, filtered, typical_error
from ...images import datasets
from ...images.datasets import Photos
from ...metrics import psnr_db
from ...nn.precision import mixed
from ...training.export import ship
from ...training.loop import Method, Progress, Run, accelerator, fit, planes

# Side of the pictures that HEVC codes [pixels]; batches are crops of them.
SIDE = 256
# Pictures in the pool: as many at the first step, and at most.
FIRST, MOST = 64, 4000
# Share of the pictures that are grey.
_GREY = 0.05
# Qualities of the figures on the card: QP 41, 34, 27 and 21.
_QUALITIES = (30, 51, 72, 90)
_REPORT_STEPS = 500
METHOD = Method(clip=5.0, betas=(0.9, 0.99), average=0.999)


@dataclass(frozen=True)
class Pair:
    """A picture, uint8 (256, 256, 3), what HEVC made of it, and at which quality."""

    original: np.ndarray
    decoded: np.ndarray
    quality: int


def pair(photos: Photos, rng: np.random.Generator) -> Pair:
    """A random crop at a random quality; now and then a grey one."""
    original, quality = photos.crops(rng, 1, SIDE)[0], int(rng.integers(FINEST + 1))
    if rng.random() < _GREY:
        grey = np.rint(original.mean(2, keepdims=True)).astype(np.uint8)
        decoded = hevc.decode(hevc.encode(grey, quality), grey.shape)
        return Pair(*(np.broadcast_to(each, original.shape) for each in (grey, decoded)), quality)
    return Pair(original, hevc.decode(hevc.encode(original, quality), original.shape), quality)


class Pool:
    """Pairs to draw batches from. While the network learns a second thread makes new ones, which first fill
    the pool and then take old ones' places.
    """

    def __init__(self, photos: Photos) -> None:
        self._photos, self._rng = photos, np.random.default_rng()
        self._pairs = [pair(photos, self._rng) for _ in range(FIRST)]
        self._thread = ThreadPoolExecutor(1)
        self._next = self._begin()

    def _begin(self) -> Future[Pair]:
        return self._thread.submit(pair, self._photos, np.random.default_rng(self._rng.integers(1 << 63)))

    def batch(self, size: int, crop: int, device: torch.device) -> tuple[torch.Tensor, ...]:
        """Originals and decoded pictures (B, 3, S, S) in [0, 1], and their qualities (B,)."""
        if self._next.done():
            if len(self._pairs) == MOST:
                self._pairs.pop(int(self._rng.integers(MOST)))
            self._pairs.append(self._next.result())
            self._next = self._begin()
        picked = [self._pairs[index] for index in self._rng.integers(len(self._pairs), size=size)]
        places = self._rng.integers(SIDE - crop + 1, size=(size, 2))
        turned = self._rng.integers(4, size=size)
        pictures = (
            np.stack(
                [
                    np.rot90(each[top : top + crop, left : left + crop], turns)
                    for each, (top, left), turns in zip(of, places, turned, strict=True)
                ]
            )
            for of in ([each.original for each in picked], [each.decoded for each in picked])
        )
        qualities = torch.tensor([float(each.quality) for each in picked], device=device)
        return *(planes(each, device) for each in pictures), qualities


def loss(
    network: PostFilter, originals: torch.Tensor, decoded: torch.Tensor, qualities: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss and mean MSE of a batch. The loss is relative to what HEVC leaves typically, so that every quality
    counts alike, as it does in PSNR.
    """
    mse = (network(decoded, qualities) - originals).square().mean((1, 2, 3))
    return (mse / typical_error(qualities).square()).mean(), mse.mean().detach()


@dataclass(frozen=True)
class Held:
    """Held-out photographs and what HEVC makes of them, by quality."""

    photos: list[np.ndarray]
    decoded: dict[int, list[np.ndarray]]

    @classmethod
    def make(cls, photos: list[np.ndarray]) -> Held:
        """At the qualities of the card."""
        coded = {q: [hevc.decode(hevc.encode(p, q), p.shape) for p in photos] for q in _QUALITIES}
        return cls(photos, coded)

    def figures(self, network: PostFilter) -> dict[str, float]:
        """Mean PSNR [dB] before and behind a network in evaluation mode."""
        found = {}
        for quality, decoded in self.decoded.items():
            after = [filtered(network, each, quality) for each in decoded]
            for name, images in (("decoded", decoded), ("filtered", after)):
                mean = np.mean([psnr_db(a, b) for a, b in zip(self.photos, images, strict=True)])
                found[f"kodak, every 4th, quality {quality}: PSNR {name} [dB]"] = float(mean)
        return found


def train(run: Run, start: dict[str, torch.Tensor] | None) -> dict[str, float]:
    """Train, export and measure. Returns the figures on the card."""
    network, device = run.recipe.build(), accelerator().device
    if start is not None:
        network.load_state_dict(start)
    pool, held = Pool(run.photos()), Held.make(datasets.kodak(run.path)[::4])

    def of_batch(model: PostFilter, _: float) -> tuple[torch.Tensor, torch.Tensor]:
        batch = pool.batch(run.recipe.batch, run.recipe.crop, device)
        with mixed(device):
            return loss(model, *batch)

    def report(at: Progress) -> None:
        run.report(at)
        if at.step % _REPORT_STEPS == 0:
            found = held.figures(at.model.eval())
            print(f"step {at.step}: " + ", ".join(f"{value:.3f}" for value in found.values()), flush=True)

    network = network.to(memory_format=torch.channels_last)
    network, steps = fit(network, of_batch, replace(run, report=report), METHOD)
    return ship(run, network, steps, lambda: held.figures(network))
