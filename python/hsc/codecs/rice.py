"""Golomb-Rice coding of rows of integers, whole arrays at a time (Rice, JPL publication 79-22).

Every row has its own parameter p. The unary parts of all values come first and the p-bit remainders after them, so that encoder
and decoder are vectorised; a row of zeros costs nothing but its parameter. Everything is integers: no machine decodes differently.
"""

from __future__ import annotations

import numpy as np

PARAMETER_BITS = 4
_LARGEST = 14
ALL_ZERO = 15


def encode(rows: list[np.ndarray]) -> tuple[list[int], np.ndarray]:
    """Integer rows of any lengths, |value| < 2²⁰ -> parameter of each row (4 bits each), and the coded bits, uint8 0/1."""
    folded = [_fold(row) for row in rows]
    parameters = [_best_parameter(row) for row in folded]
    coded = [(row, np.full(len(row), p)) for row, p in zip(folded, parameters, strict=True) if p != ALL_ZERO]
    if not coded:
        return parameters, np.zeros(0, np.uint8)
    values, widths = np.concatenate([row for row, _ in coded]), np.concatenate([width for _, width in coded])
    ends = np.cumsum((values >> widths) + 1)
    unary = np.zeros(ends[-1], np.uint8)
    unary[ends - 1] = 1
    return parameters, np.concatenate([unary, _pack(values, widths)])


def decode(bits: np.ndarray, parameters: list[int], lengths: list[int]) -> list[np.ndarray] | None:
    """Inverse of `encode`; None when the bits cannot be a code of these rows. Trailing bits are ignored."""
    pairs = zip(lengths, parameters, strict=True)
    widths = np.concatenate([np.full(0 if p == ALL_ZERO else length, p, np.int64) for length, p in pairs] or [np.zeros(0, np.int64)])
    ends = np.flatnonzero(bits)[: len(widths)]
    if len(ends) < len(widths):
        return None
    start = ends[-1] + 1 if len(ends) else 0
    if start + widths.sum() > len(bits):
        return None
    quotients = np.diff(ends, prepend=-1) - 1
    values = _unfold((quotients << widths) | _unpack(bits[start:], widths))
    rows, used = [], 0
    for length, p in zip(lengths, parameters, strict=True):
        count = 0 if p == ALL_ZERO else length
        rows.append(values[used : used + count] if count else np.zeros(length, np.int64))
        used += count
    return rows


def _fold(values: np.ndarray) -> np.ndarray:
    values = values.astype(np.int64)
    return np.where(values < 0, -2 * values - 1, 2 * values)


def _unfold(values: np.ndarray) -> np.ndarray:
    return np.where(values & 1, -(values >> 1) - 1, values >> 1)


def _best_parameter(folded: np.ndarray) -> int:
    if not folded.any():
        return ALL_ZERO
    # The best p lies next to log2 of the mean: three candidates are enough.
    middle = min(int(np.log2(folded.mean() + 1)), _LARGEST)
    candidates = range(max(0, middle - 2), min(_LARGEST, middle + 1) + 1)
    return min(candidates, key=lambda p: int((folded >> p).sum()) + p * len(folded))


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
