"""The semantic map as bytes, where it is sent: DS²C² (arXiv 2409.03243), figure 1, s.

Labels of tokens are coded row by row: first every second one, given the three above it, then those between,
given the two beside and the one above. Each neighbour lends its label some weight. All of it is integers.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ...coding.entropy import TOTAL, AnsCoder, EntropyTables, check_end, opened, packed
from ...errors import HscError
from .base_network import CLASSES

# No neighbour: outside of the map.
_NONE = CLASSES
_KINDS = CLASSES + 1
# Weight of each label by itself; then of those of the neighbours: above left, above, above right for the
# first pass; left, right, above for the second. Fitted to the training labels of CamVid, 0.0083 bits per
# pixel.
_ALONE = 1
_FIRST, _SECOND = (30, 100, 30), (200, 200, 150)
# Largest side of a map [tokens]: an image has at most 65535 pixels a side.
_MOST = 1 << 13


@lru_cache(maxsize=1)
def _tables() -> EntropyTables:
    """Row of (pass, three neighbours), `_row`; CLASSES labels and the escape."""
    neighbours = np.indices((_KINDS,) * 3).reshape(3, -1)
    rows = []
    for weights in (_FIRST, _SECOND):
        score = np.full((neighbours.shape[1], CLASSES + 1), _ALONE, np.int64)
        for own, weight in zip(neighbours, weights, strict=True):
            there = np.flatnonzero(own != _NONE)
            np.add.at(score, (there, own[there]), weight)
        numbers = 1 + score * (TOTAL - CLASSES - 1) // score.sum(1, keepdims=True)
        numbers[np.arange(len(numbers)), numbers.argmax(1)] += TOTAL - numbers.sum(1)
        rows.append(numbers)
    return EntropyTables(np.concatenate(rows), np.zeros(2 * _KINDS**3, np.int64))


def _row(second: bool, *neighbours: np.ndarray) -> np.ndarray:
    first, middle, last = neighbours
    return ((second * _KINDS + first) * _KINDS + middle) * _KINDS + last


def _walk(height: int, width: int, visit) -> np.ndarray:
    """Labels, int64 (height, width), by a visit to every pass: (rows of the tables, place) → labels."""
    labels = np.full((height + 1, width + 2), _NONE, np.int64)
    for row in range(1, height + 1):
        above, own = labels[row - 1], labels[row]
        for second in (False, True):
            columns = np.arange(1 + second, width + 1, 2)
            if not len(columns):
                continue
            near = (own[columns - 1], own[columns + 1], above[columns])
            if not second:
                near = (above[columns - 1], above[columns], above[columns + 1])
            own[columns] = visit(_row(second, *near), (row - 1, columns - 1))
    return labels[1:, 1:-1]


def encode(labels: np.ndarray) -> bytes:
    """Labels, integers (h, w) below 12 → bytes."""
    passes, coder = [], AnsCoder()

    def visit(rows: np.ndarray, at: tuple[int, np.ndarray]) -> np.ndarray:
        passes.append((labels[at], rows))
        return labels[at]

    _walk(*labels.shape, visit)
    for values, rows in reversed(passes):
        _tables().push(coder, values, rows)
    return packed(coder)


def decode(data: bytes, height: int, width: int) -> np.ndarray:
    """Inverse, int64 (height, width). Raises HscError for bytes that are no map of that size."""
    if not (0 < height <= _MOST and 0 < width <= _MOST):
        raise HscError(f"a semantic map of {height} x {width} tokens is impossible")
    coder = opened(data)

    def visit(rows: np.ndarray, at: tuple[int, np.ndarray]) -> np.ndarray:
        found = _tables().pop(coder, rows).astype(np.int64)
        if found.max() >= CLASSES or found.min() < 0:
            raise HscError("the semantic map has classes that there are not: it is damaged")
        return found

    labels = _walk(height, width, visit)
    check_end(coder)
    return labels
