"""The CR as the paper codes it: C = [Aᵀ ; A X] as one array, quantised, through JPEG2000 (section III-B).

A is quantised first and made orthonormal again (QR) on both sides; A X is computed with that A, so quantising
A costs energy compaction only. The array is k × (n + W·C), A left of A X, in slabs of rows that are chunks of
their own; an MNIST image is one slab.
"""

from __future__ import annotations

import numpy as np

from ...coding import jpeg2000
from ...coding.chunks import frame, intact_prefix

# Values in one JPEG2000 array, a chunk that is lost as a whole; an MNIST image is one.
SLAB_VALUES = 1 << 17
# Level 0 as JPEG2000's unsigned 16 bits.
_MIDDLE = 1 << 15
# Levels of A's entries over 1/√n, their RMS: 7 bits for the entries of a unit vector. Finer did not pay.
_ROW_LEVELS = 12


def rows_per_slab(n: int, columns: int) -> int:
    """Rows of C in one JPEG2000 array."""
    return max(1, SLAB_VALUES // (n + columns))


def encode(matrix: np.ndarray, rows: np.ndarray, step: float, ratio: float = 1.0) -> list[bytes]:
    """Code the CR of an image.

    Args:
        matrix: X, float64 (n, W·C).
        rows: A, float64 (k, n).
        step: quantiser step of A X.
        ratio: 1 for reversible JPEG2000, above it the compression ratio wanted.

    Returns:
        Chunks, one for each slab of rows.
    """
    n, columns = matrix.shape
    levels = np.rint(rows * (_ROW_LEVELS * np.sqrt(n)))
    slab = rows_per_slab(n, columns)
    projected = np.rint(_orthonormal(levels) @ matrix / step)
    whole = np.clip(np.hstack([levels, projected]) + _MIDDLE, 0, 2 * _MIDDLE - 1).astype(np.uint16)
    return [frame(jpeg2000.encode(whole[i : i + slab], ratio)) for i in range(0, len(whole), slab)]


def decode(
    data: bytes, received: np.ndarray | None, n: int, columns: int, rank: int, step: float, reversible: bool
) -> tuple[np.ndarray, np.ndarray]:
    """A (k', n) and A X (k', columns), k' ≤ rank being as many rows as arrived in whole slabs. Any bytes are
    safe.
    """
    slab = rows_per_slab(n, columns)
    parts: list[np.ndarray] = []
    for first, payload in zip(range(0, rank, slab), intact_prefix(data, received), strict=False):
        part = jpeg2000.decode(payload, (min(slab, rank - first), n + columns), reversible)
        if part is None:
            break
        parts.append(part.astype(np.float64) - _MIDDLE)
    whole = np.concatenate(parts) if parts else np.zeros((0, n + columns))
    return _orthonormal(whole[:, :n]), whole[:, n:] * step


def _orthonormal(levels: np.ndarray) -> np.ndarray:
    """Gram-Schmidt of the rows, by QR, signs kept: a prefix of the rows gives a prefix of the result."""
    if not len(levels):
        return levels
    q, r = np.linalg.qr(levels.T)
    return (q * np.where(np.diag(r) < 0, -1.0, 1.0)).T
