"""What both ends know of the residual's latents and probabilities."""

from __future__ import annotations

import numpy as np

from . import base, dispersed
from .base_network import CELL, MEANS, TOKEN
from .detail_network import DetailNetwork
from .parameters import CHANNELS, RATES


def latent_shape(level: int, shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """Shape (C, h, w) of the latent of an image (H, W, C), by the level of its residual."""
    return (CHANNELS[level], *tokens(shape))


def tokens(shape: tuple[int, int, int]) -> tuple[int, int]:
    """Tokens down and across an image (H, W, C)."""
    height, width = (CELL // TOKEN * side for side in base.cells(shape))
    return height, width


def weights_of(level: int) -> str:
    """Name of the weights of a binary residual, by its level."""
    return f"ds2c2-residual-{RATES[level]}"


def scales(network: DetailNetwork, c: np.ndarray, fineness: int) -> np.ndarray:
    """Of `dispersed.scales`, from c alone."""
    return dispersed.scales(network.scale_weight[fineness].numpy(), c, MEANS)
