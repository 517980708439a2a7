"""The mean of every cell of z, sent as waves over the whole image: its DCT, as SoftCast has it.

Means of cells of 32 × 32 pixels are alike far beyond a cell, whatever p(z | y) says of them one by one: as
waves they cost less power, and noise on them is a slow shade rather than squares. Their variances are those
of a table over octaves of frequency, which is part of the weights: nothing of it is sent.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch

from ...coding.activity import OCTAVE
from ...nn.transform import dct_matrix

# Most cells along the side of a map that is transformed at once (2048 pixels): a longer one is cut.
LONGEST = 64
# Levels of frequency: 0, and octaves of k / N from below 1/32 to above 1/2.
LEVELS = 7
_FINEST = 32
# A level of which the training images show nothing has this much more power than the next [1/64 octave].
_STEEP = 2 * OCTAVE


@lru_cache(maxsize=64)
@torch.inference_mode(False)
def _dct(size: int) -> torch.Tensor:
    return torch.from_numpy(dct_matrix(size)).float()


def waves(maps: torch.Tensor, inverse: bool = False, squared: bool = False) -> torch.Tensor:
    """Orthonormal DCT-II of maps (…, h, w) in both directions, in pieces of at most 64, or its inverse.

    `squared`: with the squares of its numbers, as variances of independent errors go.
    """
    parts = []
    for rows in maps.split(LONGEST, -2):
        parts.append(torch.cat([_waves(part, inverse, squared) for part in rows.split(LONGEST, -1)], -1))
    return torch.cat(parts, -2)


def _waves(part: torch.Tensor, inverse: bool, squared: bool) -> torch.Tensor:
    down, across = (_dct(side).to(part.device) for side in part.shape[-2:])
    if squared:
        down, across = down.square(), across.square()
    return down.T @ part @ across if inverse else down @ part @ across.T


def levels(size: int) -> list[int]:
    """Level of every frequency along a side of so many cells, in integers."""
    return [
        0 if k == 0 else 1 + (k * _FINEST // piece).bit_length()
        for piece in _pieces(size)
        for k in range(piece)
    ]


def _pieces(size: int) -> list[int]:
    return [min(LONGEST, size - first) for first in range(0, size, LONGEST)]


def _growth(size: int) -> list[int]:
    """What the power of frequency 0 grows with the length of the piece [1/64 octave], 0 elsewhere."""
    return [
        round(OCTAVE * math.log2(piece)) if k == 0 else 0 for piece in _pieces(size) for k in range(piece)
    ]


def log_variances(table: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Table int64 (C, 7, 7) → log2 of the variance of each wave, int64 (C, height, width) [1/64 octave]."""
    rows, columns = torch.tensor(levels(height)), torch.tensor(levels(width))
    grown = torch.tensor(_growth(height))[:, None] + torch.tensor(_growth(width))
    return table[:, rows[:, None], columns] + grown


def fit(maps: list[torch.Tensor]) -> torch.Tensor:
    """Maps of means (C, h, w) of whole images → the table that suits them, int32 (C, 7, 7)."""
    channels = len(maps[0])
    total, count = torch.zeros(channels, LEVELS, LEVELS), torch.zeros(LEVELS, LEVELS)
    for each in maps:
        height, width = each.shape[-2:]
        rows, columns = torch.tensor(levels(height)), torch.tensor(levels(width))
        grown = torch.tensor(_growth(height))[:, None] + torch.tensor(_growth(width))
        power = waves(each).square() * (-grown / OCTAVE).exp2()
        place = (rows[:, None] * LEVELS + columns).flatten()
        total.flatten(1).index_add_(1, place, power.flatten(1))
        count.flatten().index_add_(0, place, torch.ones(place.numel()))
    table = (total / count.clamp_min(1)).clamp_min(1e-9).log2() * OCTAVE
    return _filled(table, count > 0).round().int()


def _filled(table: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    """Levels that were not seen, from the next higher frequency that was."""
    table, seen = table.clone(), seen.clone()
    for row in range(LEVELS - 1, -1, -1):
        for column in range(LEVELS - 1, -1, -1):
            if seen[row, column]:
                continue
            beside = [(row, column + 1), (row + 1, column), (row - 1, column), (row, column - 1)]
            known = [at for at in beside if max(at) < LEVELS and min(at) >= 0 and seen[at]]
            if known:
                table[:, row, column] = table[:, known[0][0], known[0][1]] + _STEEP
                seen[row, column] = True
    return table
