"""A region of interest in a picture: its pixels, and the lines around it."""

from __future__ import annotations

import numpy as np

# Side of the blocks that a region is made of [pixels].
BLOCK = 8
# Blocks of a region that are looked at for its outline, down and across.
_MOST_BLOCKS = 128
# The outline, which shows on every picture: colour and width [pixels] of its lines, the upper one last.
PENS = (("#1b1e20", 2), ("#fdd835", 1))


def inside(region: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Pixels of an image of `size` (H, W) in a region of its blocks, bool (⌈H/8⌉, ⌈W/8⌉) → bool (H, W)."""
    return region.repeat(BLOCK, 0).repeat(BLOCK, 1)[: size[0], : size[1]]


def outline(region: np.ndarray, size: tuple[int, int], most: int = _MOST_BLOCKS) -> np.ndarray:
    """Lines around a region of an image of `size` (H, W), bool (h, w), from x₀, y₀ to x₁, y₁: int (n, 4)
    [pixels]. Of a map with more than `most` blocks a side only every second, third … one is looked at.
    """
    step = -(-max(region.shape) // most)
    padded = np.pad(region[::step, ::step].astype(np.int8), 1)
    lines = []
    for across in (padded, padded.T):
        edges = np.pad(np.diff(across, axis=0) != 0, ((0, 0), (1, 1)))
        turns = np.diff(edges.astype(np.int8), axis=1)  # 1 where a line begins, −1 behind its end
        (row, begin), (_, end) = np.nonzero(turns == 1), np.nonzero(turns == -1)
        lines.append(np.stack([begin - 1, row, end - 1, row], 1))
    found = BLOCK * step * np.concatenate([lines[0], lines[1][:, [1, 0, 3, 2]]])
    return np.minimum(found, size[::-1] * 2)  # the last blocks may stick out
