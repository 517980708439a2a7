"""The semantic map s as a picture."""

from __future__ import annotations

import numpy as np
import torch

from .base_network import TOKEN

# Colours of the classes: those of CamVid (Brostow et al., Pattern Recognition Letters 2009): sky, building,
# pole, road, pavement, tree, sign symbol, fence, car, pedestrian, bicyclist, unlabelled.
PALETTE = np.array(
    [
        (128, 128, 128),
        (128, 0, 0),
        (192, 192, 128),
        (128, 64, 128),
        (60, 40, 222),
        (128, 128, 0),
        (192, 128, 128),
        (64, 64, 128),
        (64, 0, 128),
        (64, 64, 0),
        (0, 128, 192),
        (0, 0, 0),
    ],
    np.uint8,
)


def picture(s: torch.Tensor, shape: tuple[int, int, int]) -> np.ndarray:
    """s, log-probabilities (1, 12, H/8, W/8) of padded sides, of an image (H, W, C) → the likeliest class of
    every token in its colour, uint8 (H, W, 3).
    """
    labels = s[0].argmax(0).numpy()
    colours = PALETTE[labels].repeat(TOKEN, 0).repeat(TOKEN, 1)
    return np.ascontiguousarray(colours[: shape[0], : shape[1]])
