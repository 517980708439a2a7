"""Our coding of the CR: rows of A as Householder coordinates, projections beside them, usable after every chunk.

For every row i, in the order of the eigenvalues: the coordinates of A's row (`stiefel`), with a step that suits its eigenvalue, and
the row of A (X − R) with one common step Δ, R being the generated image or a flat one; all Golomb-Rice coded (`rice`). A's rows are
orthonormal whatever the quantisation, and A (X − R) is computed with the quantised A, so a coarse A costs energy compaction only.
A coefficient's rounding error never exceeds the coefficient, hence every further row lowers the error or leaves it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from . import rice, stiefel
from .chunks import frame, intact_prefix

CHUNK_VALUES = 256
_STEP_BITS = 4
_HEADER_BITS = _STEP_BITS + 2 * rice.PARAMETER_BITS
_ROW_STEP_SCALE = 1.0
_LARGEST_COEFFICIENT = 1 << 20


def coefficient_step(code: int) -> float:
    """Quantiser step Δ of the projections for a header code 0…31: 2^(−code/2)."""
    return 2.0 ** (-code / 2)


def _row_step(code: int) -> float:
    return 2.0 ** (-(code + 1) / 2)


def _row_step_code(eigenvalue: float, columns: int, n: int, channels: int, step: float) -> int:
    """Step of A's row i such that the energy it misplaces, λ_i n δ²/12, equals the noise of the row's projections, w Δ²/12."""
    wanted = _ROW_STEP_SCALE * step * math.sqrt(columns / channels / (n * max(eigenvalue, 1e-12)))
    return int(np.clip(round(-2 * math.log2(wanted) - 1), 0, 15))


def rows_per_chunk(n: int, columns: int) -> int:
    """Rows of A in a chunk: enough for the chunk's own header to be small."""
    return max(1, -(-CHUNK_VALUES // (n + columns)))


@dataclass(frozen=True)
class Coded:
    """A coded CR: `chunks` of `rows` rows each; the last may have fewer."""

    chunks: list[bytes]
    rows: int
    rank: int

    def prefix(self, n_bytes: int) -> tuple[bytes, int]:
        """The longest whole-chunk prefix within `n_bytes`, and its rank."""
        sizes = np.cumsum([len(chunk) for chunk in self.chunks])
        count = int(np.searchsorted(sizes, n_bytes, side="right"))
        return b"".join(self.chunks[:count]), min(self.rank, count * self.rows)


def encode(difference: np.ndarray, rows: np.ndarray, eigenvalues: np.ndarray, channels: int, step_code: int) -> Coded:
    """Code the CR of `difference`.

    Args:
        difference: X − R as a matrix, float64 (n, W·C).
        rows: A, orthonormal eigenvectors, float64 (k, n).
        eigenvalues: λ, (≥ k,), of the error matrix.
        channels: C.
        step_code: 0…31, see `coefficient_step`.
    """
    n, columns = difference.shape
    step = coefficient_step(step_code)
    codes = [_row_step_code(eigenvalues[i], columns, n, channels, step) for i in range(len(rows))]
    indices: list[np.ndarray] = []

    def quantise(i: int, v: np.ndarray) -> np.ndarray:
        indices.append(np.rint(v / _row_step(codes[i])).astype(np.int64))
        return indices[i] * _row_step(codes[i])

    projection = stiefel.rows_from(stiefel.coordinates(rows, quantise), n)
    levels = np.rint(projection @ difference / step).astype(np.int64).clip(-_LARGEST_COEFFICIENT, _LARGEST_COEFFICIENT)
    group = rows_per_chunk(n, columns)
    chunks = [
        frame(_encode_group(codes[i : i + group], indices[i : i + group], list(levels[i : i + group]))) for i in range(0, len(rows), group)
    ]
    return Coded(chunks, group, len(rows))


def decode(
    data: bytes, received: np.ndarray | None, n: int, columns: int, rank: int, step_code: int
) -> tuple[np.ndarray, np.ndarray]:
    """A (k', n) and A (X − R) (k', columns), k' ≤ rank being as many rows as arrived whole. Any bytes are safe."""
    group = rows_per_chunk(n, columns)
    vectors: list[np.ndarray] = []
    levels: list[np.ndarray] = []
    for payload in intact_prefix(data, received):
        first = len(vectors)
        count = min(group, rank - first)
        if count <= 0:
            break
        decoded = _decode_group(payload, [n - 1 - i for i in range(first, first + count)], columns)
        if decoded is None:
            break
        vectors += decoded[0]
        levels += decoded[1]
    projected = np.array(levels, np.float64).reshape(len(levels), columns)
    return stiefel.rows_from(vectors, n), projected * coefficient_step(step_code)


def _encode_group(codes: list[int], indices: list[np.ndarray], levels: list[np.ndarray]) -> bytes:
    parameters, bits = rice.encode(indices + levels)
    count = len(codes)
    fields = np.array([codes, parameters[:count], parameters[count:]], np.uint8).T.ravel()
    return np.packbits(np.concatenate([np.unpackbits(fields[:, None], axis=1)[:, 4:].ravel(), bits])).tobytes()


def _decode_group(payload: bytes, lengths: list[int], columns: int) -> tuple[list[np.ndarray], list[np.ndarray]] | None:
    count = len(lengths)
    bits = np.unpackbits(np.frombuffer(payload, np.uint8))
    if len(bits) < count * _HEADER_BITS:
        return None
    fields = (bits[: count * _HEADER_BITS].reshape(count, 3, 4) @ np.array([8, 4, 2, 1])).astype(int)
    rows = rice.decode(bits[count * _HEADER_BITS :], fields[:, 1:].T.ravel().tolist(), lengths + [columns] * count)
    if rows is None:
        return None
    vectors = [row * _row_step(code) for row, code in zip(rows[:count], fields[:, 0], strict=True)]
    # |v| ≤ 1 up to rounding: anything larger is no code of ours.
    if any(v @ v > 4 * (1 + len(v)) for v in vectors) or any(np.abs(row).max(initial=0) > _LARGEST_COEFFICIENT for row in rows[count:]):
        return None
    return vectors, rows[count:]
