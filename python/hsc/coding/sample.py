"""A sample of an image that stands for the whole of it where a rate or a gain is to be known quickly."""

from __future__ import annotations

import math

import numpy as np

# From one row of blocks to the next the chosen ones move on by so many, so that no column is without.
_SHIFT = 3


def some_blocks(image: np.ndarray, side: int, one_in: int, fewest: int) -> np.ndarray | None:
    """One in so many square blocks of an image uint8 (H, W, C), laid side by side in a rectangle uint8
    (h, w, C) that is nearly a square; None where there are fewer than `fewest`. `side`: of a block [pixels].
    """
    rows, columns = (length // side for length in image.shape[:2])
    row, column = np.nonzero((np.arange(columns) + _SHIFT * np.arange(rows)[:, None]) % one_in == 0)
    if len(row) < fewest:
        return None
    across = round(math.sqrt(len(row)))
    blocks = image[: rows * side, : columns * side].reshape(rows, side, columns, side, -1)
    chosen = blocks.swapaxes(1, 2)[row, column][: len(row) // across * across]
    laid = chosen.reshape(-1, across, *chosen.shape[1:]).swapaxes(1, 2)
    return np.ascontiguousarray(laid).reshape(-1, across * side, image.shape[2])
