"""The networks of the learned image codec `lic`: transforms of blocks and of Swin Transformers (as Zhu, Yang
and Cohen, "Transformer-based transform coding", ICLR 2022, at small width) around the entropy model of
`lic_coding.py`; one network for all rates by gain units (Cui et al., CVPR 2021).

    x ─▶ DCT ─▶ Swin ─▶ merge 2 × 2 ─▶ y / Δ ─┬─▶ hyper encoder ─▶ z ─▶ (digital)
                                              └─▶ symbols about the means of the prior ─▶ (digital)
    ŷ · Δ ─▶ split 2 × 2 ─▶ Swin ─▶ inverse DCT ─▶ x̂

Linear at the start: merge and split are the KLT of 2 × 2 blocks, the encoder's Swin block adds nothing, and
the decoder's comes with weights that mend missing and noisy coefficients.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import nn

from ... import weights
from ...coding.stored_tables import LARGEST_INDEX, unpack_tables
from ...nn.swin import ResidualSwinBlock
from ...nn.transform import WIDTH, BlockTransform
from . import lic_coding
from .lic_coding import HYPERS, LATENTS, LEVELS, OCTAVE, ROWS, Coder, Prior
from .lic_integer import UNIT, unpack

# Quantiser step of level 0, in units of the orthonormal transform of pixels in [0, 1].
FINEST_STEP = 4 / 255
# Sides of images are padded to multiples of a position of z [pixels].
MULTIPLE = 32
# Pixels of a position of y.
POSITION = 16
# Levels at which the gains of the channels are learnt; between them they are interpolated.
GAIN_LEVELS = (16, 32, 48)
# Width of the hyper encoder.
_SUMMARY = 96
# Mean squared error of a symbol that is not 0 [step²].
_UNIFORM = 1 / 12


class LicNetwork(nn.Module):
    """Transforms, hyper encoder, prior, and the tables that both ends share.

    Attributes:
        deviation: float (120,), RMS of each DCT coefficient.
        latent_tables: int32 (44, 82), of the symbols of y by scale, as stored.
        hyper_tables: int32 (6, 32, 82), of ẑ by octave of the quantiser step and channel, as stored.
    """

    def __init__(self) -> None:
        super().__init__()
        self.transform = BlockTransform()
        self.encoder = ResidualSwinBlock(WIDTH, 2, ratio=2)
        self.decoder = ResidualSwinBlock(WIDTH)
        self.fineness = nn.Linear(1, WIDTH)
        self.reliability = nn.Conv2d(WIDTH, WIDTH, 1)
        self.merge = nn.Conv2d(WIDTH, LATENTS, 2, 2, bias=False)
        self.split = nn.ConvTranspose2d(LATENTS, WIDTH, 2, 2, bias=False)
        # log2 of what a channel is divided by beside the step.
        self.gains = nn.Parameter(torch.zeros(len(GAIN_LEVELS), LATENTS))
        self.summary = nn.Sequential(
            nn.Conv2d(2 * LATENTS, _SUMMARY, 1), nn.ReLU(),
            nn.Conv2d(_SUMMARY, _SUMMARY, 4, 2, 1), nn.ReLU(),
            nn.Conv2d(_SUMMARY, HYPERS, 3, padding=1),
        )  # fmt: skip
        self.prior = Prior()
        # log2 of the deviation of each channel of z, in training.
        self.hyper_octave = nn.Parameter(torch.zeros(HYPERS))
        for layer in (self.fineness, self.reliability):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        symbols = 2 * LARGEST_INDEX + 2
        self.register_buffer("deviation", torch.ones(WIDTH))
        self.register_buffer("latent_tables", torch.zeros(ROWS, symbols, dtype=torch.int32))
        self.register_buffer(
            "hyper_tables", torch.zeros(LEVELS // OCTAVE, HYPERS, symbols, dtype=torch.int32)
        )

    def steps(self, level: torch.Tensor) -> torch.Tensor:
        """Quantiser steps of each channel at levels (B,), (B, LATENTS, 1, 1)."""
        level = level.to(self.gains.dtype)
        place = ((level - GAIN_LEVELS[0]) / (GAIN_LEVELS[1] - GAIN_LEVELS[0])).clamp(0, len(GAIN_LEVELS) - 1)
        near = (1 - (place[:, None] - torch.arange(len(GAIN_LEVELS)).to(level)).abs()).clamp_min(0)
        octaves = (level / OCTAVE)[:, None] + near @ self.gains
        return FINEST_STEP * torch.exp2(octaves)[..., None, None]

    def analyse(self, images: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        """Images (B, 3, H, W), sides multiples of 32 → y in steps, (B, LATENTS, H/16, W/16)."""
        coefficients = self.transform(images)
        unit = self.deviation[:, None, None]
        told = self.fineness(_told(level.to(images.dtype))[:, None])[..., None, None]
        tokens = coefficients + unit * self.encoder.residual(coefficients / unit + told)
        return self.merge(tokens) / self.steps(level)

    def summarise(self, y: torch.Tensor) -> torch.Tensor:
        """Hyper encoder: y in steps → z (B, HYPERS, h/2, w/2), before rounding."""
        return self.summary(torch.cat([y, y.abs()], 1))

    def synthesise(self, y: torch.Tensor, variance: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        """ŷ and the variance of its error, in steps, (B, LATENTS, h, w) → images (B, 3, 16h, 16w), not
        clamped.
        """
        steps, unit = self.steps(level), self.deviation[:, None, None]
        tokens = self.split(y * steps)
        spread = nn.functional.conv_transpose2d(variance * steps**2, self.split.weight.square(), stride=2)
        known = (spread / unit.square()).clamp_min(1e-6).log2() / 4
        return self.transform.inverse(
            tokens + unit * self.decoder.residual(tokens / unit + self.reliability(known))
        )


def _told(level: torch.Tensor) -> torch.Tensor:
    """What the encoder is told of the level, −1 … 1."""
    return level / LEVELS * 2 - 1


def variance(symbols: torch.Tensor, log_scale: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Variance of the error of ŷ [step²], roughly: of a rounded value; of one that was rounded to 0, of which
    its scale [1/64 octave] tells more; and of one that never came.
    """
    power = torch.exp2((log_scale / UNIT).clamp(-10, 10) * 2)
    near_zero = power / (1 + power / _UNIFORM)
    return torch.where(known, torch.where(symbols == 0, near_zero, _UNIFORM), power)


@lru_cache(maxsize=2)
def load(name: str) -> tuple[LicNetwork, Coder]:
    """The network with its shipped weights, and its entropy model. Raises HscError when they are missing or
    damaged.
    """
    return ready(weights.load(name))


def ready(state: dict[str, torch.Tensor]) -> tuple[LicNetwork, Coder]:
    """The network of a state, for use, and its entropy model."""
    network = LicNetwork()
    unpack(network, state)
    network.eval().requires_grad_(False)
    exact = Prior()
    exact.load_state_dict(network.prior.state_dict())
    exact.double().requires_grad_(False)
    tables = (network.latent_tables, network.hyper_tables.flatten(0, 1))
    return network, lic_coding.Coder(exact, *map(unpack_tables, tables))
