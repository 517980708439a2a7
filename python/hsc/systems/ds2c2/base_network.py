"""The networks of the base layer: DS²C² (arXiv 2409.03243), figure 1.

    x ─▶ CompNet ─▶ c (digital) ─▶ expand ─▶ c′ ─▶ SegNet ─▶ s
                                             └──▶ FineNet₁, FineNet₂, …(s, c′, x′_{j−1}) ─▶ x′_j = c′ + f_j

CompNet is the lowest coefficients of a block DCT, and not trained: a network beside it, whose gradients
passed straight through the quantiser, cost 65 % more bits for less quality (1 000 steps). At the start c′ is
its inverse, and x′ = c′. Nothing in the networks depends on the size of the image, and s never steers entropy
decoding: floating point differs between machines.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from ...coding.stored_tables import LARGEST_INDEX
from ...nn.transform import COLOUR, MIDDLE, dct_matrix, zigzag
from . import base_contexts

WEIGHTS = "ds2c2-base"
# Side of the cells that c has one position for [pixels], and of the multiples that images are padded to.
CELL, MULTIPLE = 16, 32
# Coefficients of a cell: luma and two colour differences, lowest frequencies first; whole antidiagonals of
# the DCT. Chosen by trial: with 16 + 4 + 4 even the unquantised c′ has but 25.8 dB (every third Kodak image),
# with these 30.5 dB; those that are always 0 cost nothing.
KEPT = (66, 15, 15)
CHANNELS = sum(KEPT)
# Channels that are the mean of their plane.
MEANS = (0, KEPT[0], KEPT[0] + KEPT[1])
# Classes of the semantic map: CamVid's (11 and "unlabelled").
CLASSES = 12
# Steps of the quantiser of c, by fineness: about 0.05, 0.08, 0.12, 0.18 and 0.25 bits per pixel of Kodak.
STEPS = (0.95, 0.68, 0.5, 0.37, 0.27)
# Steps of FineNet that are trained: the paper's (figure 1b). Further ones use the last network again.
TRAINED_STEPS = 2
# Side of the patches and tokens that FineNet and SegNet work on [pixels], and channels there. Chosen for what
# two processor cores can train and run.
PATCH, TOKEN = 4, 8
FINE, COARSE, SEMANTIC = 48, 96, 48
# Residual blocks at H/4 before and behind, and at H/8 between.
FINE_BLOCKS, COARSE_BLOCKS = 1, 5
# Pixels have about this standard deviation around mid-grey.
_PIXEL_DEVIATION = 0.25
# What 1 at the end of FineNet adds to a pixel: about an error of c′.
_ERROR = 0.05
_SLOPE = 0.1


def cell_basis() -> np.ndarray:
    """Kernels of the kept coefficients, float64 (CHANNELS, 3, 16, 16), orthonormal."""
    dct, order = dct_matrix(CELL), zigzag(CELL)
    kernels = []
    for plane, kept in enumerate(KEPT):
        waves = np.einsum("ky,kx->kyx", dct[order[:kept, 0]], dct[order[:kept, 1]])
        kernels.append(COLOUR[plane][None, :, None, None] * waves[:, None])
    return np.concatenate(kernels)


def _zero(layer: nn.Conv2d) -> nn.Conv2d:
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def _convolution(inputs: int, outputs: int, side: int = 3) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, side, padding=side // 2)


class ResidualBlock(nn.Module):
    """x + two 3 × 3 convolutions."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = _convolution(width, width), _convolution(width, width)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Features (B, width, h, w) → features."""
        return features + self.second(functional.leaky_relu(self.first(features), _SLOPE))


class FineNet(nn.Module):
    """f(s, c′, x′): what is added to c′."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = _convolution(2 * 3 * PATCH**2, FINE)
        self.before = nn.Sequential(*(ResidualBlock(FINE) for _ in range(FINE_BLOCKS)))
        self.down, self.told = nn.Conv2d(4 * FINE, COARSE, 1), nn.Conv2d(CLASSES, COARSE, 1)
        self.between = nn.Sequential(*(ResidualBlock(COARSE) for _ in range(COARSE_BLOCKS)))
        self.up = nn.Conv2d(COARSE, 4 * FINE, 1)
        self.behind = nn.Sequential(*(ResidualBlock(FINE) for _ in range(FINE_BLOCKS)))
        self.leave = _zero(_convolution(FINE, 3 * PATCH**2))

    def forward(self, s: torch.Tensor, expanded: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
        """s (B, 12, H/8, W/8), c′ and the x′ of the step before (B, 3, H, W) → f, same shape; 0 untrained."""
        pixels = torch.cat([expanded, before], 1).sub(MIDDLE).div(_PIXEL_DEVIATION)
        fine = self.before(self.enter(functional.pixel_unshuffle(pixels, PATCH)))
        coarse = self.down(functional.pixel_unshuffle(fine, 2)) + self.told(s.exp())
        fine = fine + functional.pixel_shuffle(self.up(self.between(coarse)), 2)
        return _ERROR * functional.pixel_shuffle(self.leave(self.behind(fine)), PATCH)


class SegNet(nn.Module):
    """s(c′): log-probabilities of classes."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _convolution(3 * TOKEN**2, SEMANTIC),
            *(ResidualBlock(SEMANTIC) for _ in range(2)),
            nn.LeakyReLU(_SLOPE),
            nn.Conv2d(SEMANTIC, CLASSES, 1),
        )

    def forward(self, expanded: torch.Tensor) -> torch.Tensor:
        """c′ (B, 3, H, W) → (B, 12, H/8, W/8)."""
        pixels = expanded.sub(MIDDLE).div(_PIXEL_DEVIATION)
        return self.layers(functional.pixel_unshuffle(pixels, TOKEN)).log_softmax(1)


class BaseNetwork(nn.Module):
    """CompNet, its inverse, SegNet and the recursive FineNet; and the integer tables that go with them.

    Attributes:
        analysis: float (CHANNELS, 3, 16, 16), kernels of CompNet; not stored.
        deviation: float (CHANNELS,), RMS of each channel of c, for the networks' inputs.
        mean, scale, bias, own_mean, own_scale: `base_contexts.Contexts` by fineness.
        tables: int32 (4, ROWS, 82), entropy tables as stored.
    """

    def __init__(self) -> None:
        super().__init__()
        kernels = torch.from_numpy(cell_basis()).float()
        self.register_buffer("analysis", kernels, persistent=False)
        self.synthesis = nn.Conv2d(CHANNELS, 3 * CELL**2, 1)
        with torch.no_grad():
            self.synthesis.weight.copy_(kernels.reshape(CHANNELS, -1).T[..., None, None])
            self.synthesis.bias.zero_()
        self.expansion = nn.Sequential(
            _convolution(CHANNELS, COARSE), nn.LeakyReLU(_SLOPE), _zero(_convolution(COARSE, CHANNELS))
        )
        self.segmentation = SegNet()
        self.fine = nn.ModuleList(FineNet() for _ in range(TRAINED_STEPS))
        self.register_buffer("deviation", torch.ones(CHANNELS))
        self._tables("mean", torch.int16, CHANNELS, CHANNELS, base_contexts.AROUND)
        self._tables("scale", torch.int16, CHANNELS, CHANNELS, base_contexts.AROUND)
        self._tables("bias", torch.int32, CHANNELS)
        self._tables("own_mean", torch.int16, CHANNELS, base_contexts.PASSES, base_contexts.OWN_MEAN)
        self._tables("own_scale", torch.int16, CHANNELS, base_contexts.PASSES, base_contexts.OWN_SCALE)
        self._tables("tables", torch.int32, base_contexts.ROWS, 2 * LARGEST_INDEX + 2)

    def _tables(self, name: str, dtype: torch.dtype, *shape: int) -> None:
        """Register integers that follow from statistics, one array for each fineness."""
        self.register_buffer(name, torch.zeros(len(STEPS), *shape, dtype=dtype))

    def compress(self, images: torch.Tensor) -> torch.Tensor:
        """CompNet: images (B, 3, H, W), sides multiples of 16 → c (B, CHANNELS, H/16, W/16) before rounding,
        the orthonormal DCT of pixels in [0, 1].
        """
        return functional.conv2d(images - MIDDLE, self.analysis, stride=CELL)

    def expand(self, c: torch.Tensor) -> torch.Tensor:
        """c (B, CHANNELS, h, w), quantised or not → c′ (B, 3, 16 h, 16 w), not clamped."""
        mended = c + self._unit() * self.expansion(c / self._unit())
        return functional.pixel_shuffle(self.synthesis(mended), CELL) + MIDDLE

    def segment(self, expanded: torch.Tensor) -> torch.Tensor:
        """SegNet: c′ (B, 3, H, W) → s, log-probabilities of classes (B, 12, H/8, W/8)."""
        return self.segmentation(expanded)

    def refine(self, s: torch.Tensor, expanded: torch.Tensor, steps: int = 2) -> list[torch.Tensor]:
        """x′_j = c′ + f_j(s, c′, x′_{j−1}), x′_0 = c′: [x′_1, …], (B, 3, H, W) each, not clamped. Steps
        beyond the second use the last network again; none gives an empty list.
        """
        found = [expanded]
        for step in range(steps):
            network = self.fine[min(step, TRAINED_STEPS - 1)]
            found.append(expanded + network(s, expanded, found[-1]))
        return found[1:]

    def _unit(self) -> torch.Tensor:
        return self.deviation[:, None, None]
