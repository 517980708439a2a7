"""The linear start of the learned codecs: a fixed colour transform and the 8 × 8 DCT, as a convolution and
its inverse.

Initialised like this, a codec's analog path is SoftCast (Jakubczak and Katabi, SIGCOMM 2010) on 8 × 8 blocks
before any training.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional

# Side of a block [pixels].
BLOCK = 8
# Coefficients kept of 192: the paper's token width.
WIDTH = 120
# Mid-grey, which is taken away before the transform.
MIDDLE = 0.5
# Coefficients kept of luma and of the two colour differences, lowest frequencies first.
KEPT = (64, 28, 28)
# Orthonormal: sum, red − blue, green − (red + blue) / 2.
COLOUR = np.array([[1, 1, 1], [1, 0, -1], [-1, 2, -1]]) / np.sqrt([[3.0], [2.0], [6.0]])


def dct_matrix(size: int = BLOCK) -> np.ndarray:
    """Orthonormal DCT-II, float64 (size, size), rows = basis functions."""
    k, n = np.mgrid[:size, :size]
    return np.sqrt(np.where(k == 0, 1, 2) / size) * np.cos(np.pi * k * (2 * n + 1) / (2 * size))


def zigzag(size: int = BLOCK) -> np.ndarray:
    """Pairs (vertical, horizontal) of frequencies, lowest sum first, int (size², 2)."""
    pairs = np.stack(np.mgrid[:size, :size], -1).reshape(-1, 2)
    return pairs[np.lexsort((pairs[:, 0], pairs.sum(1)))]


def basis() -> np.ndarray:
    """Kernels of the 120 kept coefficients, float64 (120, 3, 8, 8), orthonormal: 64 of luma, 28 of each
    colour difference.
    """
    dct, order = dct_matrix(), zigzag()
    kernels = []
    for plane, kept in enumerate(KEPT):
        waves = np.einsum("ky,kx->kyx", dct[order[:kept, 0]], dct[order[:kept, 1]])
        kernels.append(COLOUR[plane][None, :, None, None] * waves[:, None])
    return np.concatenate(kernels)


class BlockTransform(nn.Module):
    """Image (B, 3, H, W) in [0, 1], sides multiples of 8 ↔ coefficients (B, 120, H/8, W/8). The kernels are
    trained further.
    """

    def __init__(self) -> None:
        super().__init__()
        kernels = torch.from_numpy(basis()).float()
        self.analysis = nn.Conv2d(3, WIDTH, BLOCK, BLOCK)
        self.synthesis = nn.Conv2d(WIDTH, 3 * BLOCK * BLOCK, 1)
        with torch.no_grad():
            self.analysis.weight.copy_(kernels)
            self.synthesis.weight.copy_(kernels.reshape(WIDTH, -1).T[..., None, None])
            self.analysis.bias.zero_()
            self.synthesis.bias.zero_()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images → coefficients."""
        return self.analysis(images - MIDDLE)

    def inverse(self, coefficients: torch.Tensor) -> torch.Tensor:
        """Coefficients → images, not clamped: 1 × 1 convolution and pixel shuffle."""
        return functional.pixel_shuffle(self.synthesis(coefficients), BLOCK) + MIDDLE


def beyond(images: torch.Tensor) -> torch.Tensor:
    """What the kept coefficients leave out, fine colour: images (B, 3, H, W), sides multiples of 8, → their
    part in the null space of the linear start's transform, same shape.
    """
    kernels = torch.from_numpy(basis()).to(images)
    kept = functional.conv2d(images, kernels, stride=BLOCK)
    return images - functional.conv_transpose2d(kept, kernels, stride=BLOCK)


def pad(images: torch.Tensor, multiple: int) -> torch.Tensor:
    """Extend (B, 3, H, W) below and to the right to multiples of `multiple`: by reflection, or by repetition
    where it is too small.
    """
    height, width = images.shape[-2:]
    bottom, right = -height % multiple, -width % multiple
    mode = "reflect" if bottom < height and right < width else "replicate"
    return functional.pad(images, (0, right, 0, bottom), mode=mode) if bottom or right else images
