"""Maps of small integers that vary smoothly, such as the logarithmic powers of chunks, in about half a bit to
an entry.

An entry is predicted from its left and upper neighbours; what is left is range coded (package constriction)
with counts that both ends adapt alike, one table for each context. Entries of one anti-diagonal do not depend
on each other and are coded together. Everything is integers: no machine decodes differently.
"""

from __future__ import annotations

from collections.abc import Callable

import constriction
import numpy as np

from ..errors import HscError

# Largest entry.
LARGEST = 63
_SPREAD = np.arange(-LARGEST, LARGEST + 1)
# Counts of the prediction errors that the tables begin with. They, the increment and the contexts gave the
# shortest code on training photographs.
_START = 1 + (1000 * 0.4 ** np.abs(_SPREAD)).astype(np.int64)
# What a coded error adds to its count.
_INCREMENT = 2000
# Largest difference of the two neighbours that contexts tell apart.
_FLAT = 1
# Largest level that contexts tell apart.
_SMALL = 1
_CONTEXTS = (_FLAT + 1) * (_SMALL + 1) * (_SMALL + 2)

Coder = Callable[[np.ndarray | None, int, "constriction.stream.model.Categorical"], np.ndarray]


def encode(levels: np.ndarray) -> bytes:
    """Integers 0…63, (C, R, N) → bytes."""
    coder = constriction.stream.queue.RangeEncoder()

    def code(symbols: np.ndarray, count: int, model: constriction.stream.model.Categorical) -> np.ndarray:
        coder.encode(symbols.astype(np.int32), model)
        return symbols

    _walk(levels.astype(np.int64), code, known=True)
    return coder.get_compressed().astype("<u4").tobytes().rstrip(b"\0")


def decode(data: bytes, shape: tuple[int, int, int]) -> np.ndarray:
    """Inverse of `encode`: int64 of `shape`. Raises HscError for bytes that are no code of such a map."""
    words = np.frombuffer(data.ljust(-(-len(data) // 4) * 4, b"\0"), "<u4").astype(np.uint32)
    levels = np.zeros(shape, np.int64)
    try:
        coder = constriction.stream.queue.RangeDecoder(words)
        _walk(levels, lambda _, count, model: coder.decode(model, count).astype(np.int64), known=False)
    except (AssertionError, ValueError) as error:
        raise HscError(
            "the map of power levels is damaged: use a more robust MCS or send it again"
        ) from error
    if levels.min(initial=0) < 0 or levels.max(initial=0) > LARGEST:
        raise HscError(
            "the map of power levels holds impossible values: use a more robust MCS or send it again"
        )
    return levels


def _walk(levels: np.ndarray, code: Coder, known: bool) -> None:
    """Code every entry, or fill in every entry, anti-diagonal by anti-diagonal, one colour after another."""
    tables = np.tile(_START, (_CONTEXTS, 1))
    for channel, plane in enumerate(levels):
        below = levels[channel - 1] if channel else None
        for diagonal in range(sum(plane.shape) - 1):
            rows = np.arange(max(0, diagonal - plane.shape[1] + 1), min(diagonal + 1, plane.shape[0]))
            _code_entries(plane, below, rows, diagonal - rows, tables, code, known)


def _code_entries(
    plane: np.ndarray,
    below: np.ndarray | None,
    rows: np.ndarray,
    columns: np.ndarray,
    tables: np.ndarray,
    code: Coder,
    known: bool,
) -> None:
    predicted, context = _context(plane, below, rows, columns)
    for chosen in np.unique(context):
        at = np.flatnonzero(context == chosen)
        model = constriction.stream.model.Categorical(tables[chosen].astype(np.float64), perfect=False)
        symbols = plane[rows[at], columns[at]] - predicted[at] + LARGEST if known else None
        symbols = code(symbols, len(at), model)
        if not known:
            plane[rows[at], columns[at]] = np.clip(symbols - LARGEST + predicted[at], -1, LARGEST + 1)
        np.add.at(tables[chosen], symbols, _INCREMENT)


def _context(
    plane: np.ndarray, below: np.ndarray | None, rows: np.ndarray, columns: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Predicted levels, and number of the table, for entries whose left and upper neighbours are known."""
    left = plane[rows, np.maximum(columns - 1, 0)]
    up = plane[np.maximum(rows - 1, 0), columns]
    left, up = np.where(columns > 0, left, up), np.where(rows > 0, up, left)
    left, up = np.where((rows > 0) | (columns > 0), (left, up), 0)
    predicted = np.clip((left + up + 1) // 2, 0, LARGEST)
    other = np.zeros_like(rows) if below is None else 1 + np.clip(below[rows, columns], 0, _SMALL)
    flat = np.minimum(np.abs(left - up), _FLAT)
    return predicted, (flat * (_SMALL + 1) + np.minimum(predicted, _SMALL)) * (_SMALL + 2) + other
