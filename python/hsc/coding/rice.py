"""Golomb-Rice coding of rows of integers, whole arrays at a time (Rice, JPL publication 79-22).

Every row has its own parameter p; the rows stand one after another in one array. The unary parts of all
values come first and the p-bit remainders after them, so that encoder and decoder are vectorised; a row of
zeros costs nothing but its parameter. Everything is integers: no machine decodes differently.
"""

from __future__ import annotations

import numpy as np

# Largest parameter.
_LARGEST = 14
# In the place of a parameter: the row is zeros.
ALL_ZERO = 15


def encode(values: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Integers, |value| ≤ 2²⁰, in rows of `lengths` → parameter of each row, 0…15, and the coded bits, uint8
    0/1.
    """
    folded, lengths = _fold(values), np.asarray(lengths, np.int64)
    parameters = _best_parameters(folded, lengths)
    widths = np.repeat(parameters, lengths)
    folded, widths = folded[widths != ALL_ZERO], widths[widths != ALL_ZERO]
    if not len(folded):
        return parameters, np.zeros(0, np.uint8)
    ends = np.cumsum((folded >> widths) + 1)
    unary = np.zeros(ends[-1], np.uint8)
    unary[ends - 1] = 1
    return parameters, np.concatenate([unary, _pack(folded, widths)])


def decode(bits: np.ndarray, parameters: np.ndarray, lengths: np.ndarray) -> np.ndarray | None:
    """Inverse of `encode`; None when the bits cannot be a code of these rows. Trailing bits are ignored."""
    widths = np.repeat(np.asarray(parameters, np.int64), lengths)
    coded = widths != ALL_ZERO
    values, widths = np.zeros(len(widths), np.int64), widths[coded]
    ends = np.flatnonzero(bits)[: len(widths)]
    if len(ends) < len(widths):
        return None
    start = ends[-1] + 1 if len(ends) else 0
    if start + widths.sum() > len(bits):
        return None
    quotients = np.diff(ends, prepend=-1) - 1
    values[coded] = _unfold((quotients << widths) | _unpack(bits[start:], widths))
    return values


def _fold(values: np.ndarray) -> np.ndarray:
    values = values.astype(np.int64)
    return np.where(values < 0, -2 * values - 1, 2 * values)


def _unfold(values: np.ndarray) -> np.ndarray:
    return np.where(values & 1, -(values >> 1) - 1, values >> 1)


def _best_parameters(folded: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """For each row the p with the fewest bits; ALL_ZERO for rows of zeros and empty rows."""
    found = np.full(len(lengths), ALL_ZERO, np.int64)
    filled = np.flatnonzero(lengths)
    if not len(filled):
        return found
    starts = (np.cumsum(lengths) - lengths)[filled]
    largest = min(int(folded.max()).bit_length(), _LARGEST)
    bits = np.array([np.add.reduceat(folded >> p, starts) + p * lengths[filled] for p in range(largest + 1)])
    found[filled] = np.where(np.maximum.reduceat(folded, starts) > 0, bits.argmin(0), ALL_ZERO)
    return found


def _pack(values: np.ndarray, widths: np.ndarray) -> np.ndarray:
    starts = np.cumsum(widths) - widths
    bits = np.zeros(int(widths.sum()), np.uint8)
    for place in range(int(widths.max(initial=0))):
        chosen = widths > place
        bits[starts[chosen] + place] = (values[chosen] >> (widths[chosen] - 1 - place)) & 1
    return bits


def _unpack(bits: np.ndarray, widths: np.ndarray) -> np.ndarray:
    starts = np.cumsum(widths) - widths
    values = np.zeros(len(widths), np.int64)
    for place in range(int(widths.max(initial=0))):
        chosen = widths > place
        values[chosen] |= bits[starts[chosen] + place].astype(np.int64) << (widths[chosen] - 1 - place)
    return values
