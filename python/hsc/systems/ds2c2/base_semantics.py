"""What SegNet is trained for: labels of street scenes, or, where images have none, clusters of a classifier's
features (AlexNet, its second layer), which are found once from training photographs.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from ...perceptual import Lpips
from .base_network import CLASSES, TOKEN

# Features that the centres are found from, and rounds. Chosen by trial.
_SAMPLES, _ROUNDS = 8_000, 12
# Slices of AlexNet up to its features at H/8.
_SLICES = 2


class Clusters(nn.Module):
    """The class of every token of an image: the centre that its features are nearest to.

    Args:
        images: float (N, 3, S, S) that the centres are found from.
    """

    def __init__(self, images: torch.Tensor) -> None:
        """Raises HscError when the classifier's weights are not installed."""
        super().__init__()
        self.alex = Lpips("alex", _SLICES)
        known = torch.cat([self._features(part).movedim(1, -1).flatten(0, 2) for part in images.split(4)])
        generator = torch.Generator().manual_seed(1)
        known = known[torch.randperm(len(known), generator=generator)[:_SAMPLES]]
        centres = known[:CLASSES].clone()
        for _ in range(_ROUNDS):
            nearest = (known @ centres.T).argmax(1)
            sums = torch.zeros_like(centres).index_add_(0, nearest, known)
            centres = torch.where(sums.any(1, keepdim=True), functional.normalize(sums, dim=1), centres)
        self.register_buffer("centres", centres)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) → int64 (B, H/8, W/8)."""
        return torch.einsum("bchw,kc->bkhw", self._features(images), self.centres).argmax(1)

    @torch.no_grad()
    def _features(self, images: torch.Tensor) -> torch.Tensor:
        """(B, 192, H/8, W/8), of length 1 at every token."""
        found = (2 * images - 1 - self.alex.shift) / self.alex.scale
        for part in self.alex.slices:
            found = part(found)
        size = [side // TOKEN for side in images.shape[-2:]]
        return functional.normalize(functional.interpolate(found, size, mode="bilinear"), dim=1)


def token_labels(labels: np.ndarray) -> np.ndarray:
    """Labels of pixels, integers (…, H, W) below 12, sides multiples of 8 → the most frequent of each token,
    int64 (…, H/8, W/8).
    """
    *before, height, width = labels.shape
    split = labels.reshape(*before, height // TOKEN, TOKEN, width // TOKEN, TOKEN)
    counts = np.stack([(split == label).sum((-3, -1)) for label in range(CLASSES)])
    return counts.argmax(0)


def street_crops(
    scenes: list[tuple[np.ndarray, np.ndarray]], rng: np.random.Generator, count: int, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Random crops of street scenes, mirrored at random: uint8 (count, size, size, 3), and labels of their
    tokens, int64 (count, size / 8, size / 8).
    """
    images = np.empty((count, size, size, 3), np.uint8)
    labels = np.empty((count, size, size), np.uint8)
    for slot in range(count):
        image, label = scenes[rng.integers(len(scenes))]
        top, left = (int(rng.integers(side - size + 1)) for side in label.shape)
        window = np.s_[top : top + size, left : left + size]
        step = int(rng.choice((-1, 1)))
        images[slot], labels[slot] = image[window][:, ::step], label[window][:, ::step]
    return images, token_labels(labels)
