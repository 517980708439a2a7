"""The hyper-latent y of LRISC as bytes.

Row by row of y, luma before colour: the table of a value follows from rows of the same cell that came before,
so that it is known at both ends. Tables by fineness, in this order: the mean of luma (1); the mean of colour,
by the sign of luma's (3); each other row of luma, by how much the rows before it hold (3 each); each other
row of colour, by the sign of luma's there and by how much all rows before it hold (9 each).
"""

from __future__ import annotations

import numpy as np
import torch

from ...coding import activity
from ...coding.entropy import AnsCoder, EntropyTables, check_end, opened, packed
from ...coding.stored_tables import counts, pack_tables, smoothed
from .hyper import MEANS

# Rows of each of the two groups, the mean among them.
_ROWS = activity.LATENTS // 2
# Classes of what the rows before hold, and signs.
_FULL, _SIGNS = 3, 3
_LUMA = 1 + _SIGNS
_COLOUR = _LUMA + (_ROWS - 1) * _FULL
TABLES = _COLOUR + (_ROWS - 1) * _SIGNS * _FULL
# Share of an entropy table's counts that goes to the values on either side: nearly all values of a coarse y
# are 0, and a larger share would cost a bit in every tenth.
_SPREAD = 0.003
# What a table has besides its own counts: so many of those of the row, and this of every value.
_SHARED, _LEAST_COUNT = 4.0, 0.02


def differences(y: torch.Tensor) -> torch.Tensor:
    """y int64 (32, h, w) → what is coded: the means of cells as differences to the cell on the left, in the
    first column to the one above.
    """
    coded = y.clone()
    for row in MEANS:
        coded[row, :, 1:] = y[row, :, 1:] - y[row, :, :-1]
        coded[row, 1:, 0] = y[row, 1:, 0] - y[row, :-1, 0]
    return coded


def sums(coded: torch.Tensor) -> torch.Tensor:
    """Inverse of `differences`."""
    y = coded.clone()
    for row in MEANS:
        y[row, :, 0] = coded[row, :, 0].cumsum(0)
        y[row] = torch.cat([y[row, :, :1], coded[row, :, 1:]], 1).cumsum(1)
    return y


def tables_of(coded: np.ndarray, row: int) -> np.ndarray:
    """Table of each value of a row, int64 (n,), from the rows of int64 (32, n) before it."""
    colour, place = divmod(row, _ROWS)
    if not place:
        return 1 + _sign(coded[0]) if colour else np.zeros(coded.shape[1], np.int64)
    before = np.abs(coded[colour * _ROWS + 1 : row]).sum(0)
    if not colour:
        return _LUMA + (place - 1) * _FULL + before.clip(max=_FULL - 1)
    luma = np.abs(coded[1:_ROWS]).sum(0)
    full = (before + luma // 2).clip(max=_FULL - 1)
    return _COLOUR + ((place - 1) * _SIGNS + _sign(coded[place])) * _FULL + full


def _sign(values: np.ndarray) -> np.ndarray:
    return np.sign(values) + 1


def encode(y: torch.Tensor, tables: EntropyTables) -> bytes:
    """y int64 (32, h, w) → its code. Raises HscError for values beyond 16 bits."""
    coded, coder = differences(y).flatten(1).numpy(), AnsCoder()
    for row in reversed(range(len(coded))):
        tables.push(coder, coded[row], tables_of(coded, row))
    return packed(coder)


def decode(code: bytes, size: tuple[int, int], tables: EntropyTables) -> torch.Tensor:
    """Inverse of `encode`; `size`: cells down and across. Raises HscError for bytes that are no such code."""
    coder, coded = opened(code), np.zeros((activity.LATENTS, size[0] * size[1]), np.int64)
    for row in range(len(coded)):
        coded[row] = tables.pop(coder, tables_of(coded, row))
    check_end(coder)
    return sums(torch.from_numpy(coded).reshape(-1, *size))


def fit(samples: torch.Tensor) -> torch.Tensor:
    """Tables int32 (184, 82) as weights files hold them, that suit samples of y, int64 (N, 32, h, w)."""
    coded = torch.stack([differences(each) for each in samples]).movedim(1, 0).flatten(1)
    found = np.zeros((TABLES, len(counts(coded[:0]))))
    for row, values in enumerate(coded):
        table = torch.from_numpy(tables_of(coded.numpy(), row))
        whole = counts(values)
        for each in _of_row(row):
            found[each] = counts(values[table == each]) + _SHARED * whole / whole.sum()
    return torch.from_numpy(pack_tables(smoothed(found, _SPREAD) + _LEAST_COUNT)).int()


def _of_row(row: int) -> range:
    """Tables that a row may have."""
    colour, place = divmod(row, _ROWS)
    if not place:
        return range(1, _LUMA) if colour else range(1)
    size = _SIGNS * _FULL if colour else _FULL
    first = (_COLOUR if colour else _LUMA) + (place - 1) * size
    return range(first, first + size)
