"""A still from quantised 8 x 8 DCT coefficients: one quantiser step, one entropy table for each frequency and
colour.

    CRC-16 | step, 1 byte | table of each band, 4 bits | entropy code

Colours go through a DCT of length 3, whose first output is brightness. The tables are two-sided geometric
distributions worked out in integers, so that every machine has the same.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.fft import dct, dctn, idct, idctn

from ..errors import HscError
from ..phy.crc import crc16
from .budget import TooFew
from .entropy import ESCAPE_BITS, TOTAL, EntropyTables

# Side of a block [pixels].
_BLOCK = 8
# Quantiser steps; code q stands for the step 2^(q/12).
_STEPS = 128
# Entropy tables; a table's number takes 4 bits.
_TABLES = 16
# Largest magnitude that a table holds; larger ones are escaped.
_LARGEST = 63
# CRC-16 and step [bytes].
_HEADER = 3
# Bytes by which `_length` is above the ideal length, for the words that the coder ends with.
_CODER_BYTES = 4


def fit(image: np.ndarray, n_bytes: int) -> bytes:
    """uint8 (H, W, C) → the finest step that takes at most `n_bytes`. Raises `budget.TooFew` when the
    coarsest needs more.
    """
    bands = _forward(image)
    # bisection for the smallest code that fits; the length of the code is nearly the ideal one
    low, high = -1, _STEPS - 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _length(bands, middle) <= n_bytes else (middle, high)
    for code in range(high, _STEPS):
        data = _encode(bands, code)
        if len(data) <= n_bytes:
            return data
    raise TooFew(f"{n_bytes} bytes do not hold this image as DCT coefficients", len(data))


def decode(data: bytes, shape: tuple[int, int, int]) -> np.ndarray:
    """Bytes of `fit` → uint8 (H, W, C) of `shape`. Raises HscError for anything else."""
    count, size = _layout(shape)
    rows = -(-count // 2)
    if len(data) < _HEADER + rows or crc16(data[2:]) != int.from_bytes(data[:2], "big") or data[2] >= _STEPS:
        raise HscError("the DCT base did not arrive whole: use a more robust MCS or send it again")
    packed = np.frombuffer(data[_HEADER : _HEADER + rows], np.uint8)
    numbers = np.stack([packed >> 4, packed & 15], 1).ravel()[:count].astype(np.int64)
    values = _tables().decode(data[_HEADER + rows :], np.repeat(numbers, size))
    levels = values.reshape(count, size).astype(np.int64)
    levels[:: _BLOCK**2] = np.cumsum(levels[:: _BLOCK**2], axis=1)
    return _inverse(levels * _step(data[2]), shape)


def _encode(bands: np.ndarray, code: int) -> bytes:
    levels, numbers = _quantised(bands, code)
    even = np.pad(numbers, (0, len(numbers) % 2)).astype(np.uint8)
    coded = _tables().encode(levels.ravel(), np.repeat(numbers, levels.shape[1]))
    body = bytes([code]) + (even[::2] << 4 | even[1::2]).tobytes() + coded
    return crc16(body).to_bytes(2, "big") + body


def _length(bands: np.ndarray, code: int) -> int:
    """Bytes that `_encode` takes, nearly."""
    levels, numbers = _quantised(bands, code)
    bits = _tables().bits(levels.ravel(), np.repeat(numbers, levels.shape[1]))
    return _HEADER + -(-len(numbers) // 2) + int(bits / 8) + _CODER_BYTES


def _quantised(bands: np.ndarray, code: int) -> tuple[np.ndarray, np.ndarray]:
    """Levels of each band, DC as differences, int64 (bands, n); and the table that takes fewest bits for
    each, (bands,).
    """
    levels = np.rint(bands / _step(code)).astype(np.int64)
    levels[:: _BLOCK**2] = np.diff(levels[:: _BLOCK**2], axis=1, prepend=0)
    magnitude = np.minimum(np.abs(levels), _LARGEST + 1)
    seen = range(min(magnitude.max(), _LARGEST) + 1)
    counts = np.stack([np.count_nonzero(magnitude == k, axis=1) for k in seen], 1)
    probabilities = _tables().probabilities[:, _LARGEST : _LARGEST + counts.shape[1]]
    escaped = levels.shape[1] - counts.sum(1)
    of_escape = ESCAPE_BITS - np.log2(_tables().probabilities[:, -1] / TOTAL)
    cost = -np.log2(probabilities / TOTAL) @ counts.T + np.outer(of_escape, escaped)
    return levels, cost.argmin(0)


def _step(code: int) -> float:
    return float(2.0 ** (code / 12))


@lru_cache(maxsize=1)
def _tables() -> EntropyTables:
    """Two-sided geometric distributions of rising spread: P(k) ∝ r^|k|, mean magnitudes about 0.002 to 40."""
    rows = []
    for number in range(_TABLES):
        # r / (1 - r) = 2^number / 512
        top, bottom = 2**number, 2**number + 512
        side = [(top**k << 64) // bottom**k for k in range(_LARGEST + 2)]
        escape = 2 * side[_LARGEST + 1] * bottom // (bottom - top)
        weights = [*side[_LARGEST:0:-1], *side[: _LARGEST + 1], escape]
        row = [1 + w * (TOTAL - len(weights)) // sum(weights) for w in weights]
        row[_LARGEST] += TOTAL - sum(row)
        rows.append(row)
    return EntropyTables(np.array(rows), np.full(_TABLES, -_LARGEST))


def _layout(shape: tuple[int, int, int]) -> tuple[int, int]:
    """Bands, and coefficients in each, of an image (H, W, C)."""
    return shape[2] * _BLOCK**2, -(-shape[0] // _BLOCK) * -(-shape[1] // _BLOCK)


def _forward(image: np.ndarray) -> np.ndarray:
    """uint8 (H, W, C) → orthonormal coefficients about mid-grey, float64 (bands, blocks): colours, then
    frequencies row by row.
    """
    height, width, channels = image.shape
    padded = np.pad(image, ((0, -height % _BLOCK), (0, -width % _BLOCK), (0, 0)), "edge")
    planes = dct(padded.astype(np.float64) - 128, axis=2, norm="ortho").transpose(2, 0, 1)
    blocks = planes.reshape(channels, -1, _BLOCK, planes.shape[2] // _BLOCK, _BLOCK)
    return dctn(blocks, axes=(2, 4), norm="ortho").transpose(0, 2, 4, 1, 3).reshape(channels * _BLOCK**2, -1)


def _inverse(bands: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Inverse of `_forward`, rounded: uint8 of `shape`."""
    height, width, channels = shape
    down, across = -(-height // _BLOCK), -(-width // _BLOCK)
    blocks = bands.reshape(channels, _BLOCK, _BLOCK, down, across).transpose(0, 3, 1, 4, 2)
    planes = idctn(blocks, axes=(2, 4), norm="ortho").reshape(channels, down * _BLOCK, across * _BLOCK)
    image = idct(planes.transpose(1, 2, 0), axis=2, norm="ortho")[:height, :width] + 128
    return np.rint(image.clip(0, 255)).astype(np.uint8)
