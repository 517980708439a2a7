"""Our coding of the CR: rows of A as Householder coordinates, projections beside them, usable after every
chunk.

For every row i, in the order of the eigenvalues: the coordinates of A's row (`stiefel`), with a step that
suits its eigenvalue, and the row of A (X − R), transformed (`row_transform`), with one common step Δ, R being
the generated image or a flat one; all Golomb-Rice coded (`rice`) in segments of 48. A's rows are orthonormal
whatever the quantisation, and A (X − R) is computed with the quantised A, so a coarse A costs energy
compaction only. A coefficient's rounding error never exceeds the coefficient, and everything is orthonormal,
hence every further row lowers the error or leaves it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...coding import rice
from ...coding.chunks import frame, intact_prefix
from . import row_transform, stiefel

# Least numbers in a chunk, so that its own length and CRC weigh little.
CHUNK_VALUES = 256
# Numbers that share a Rice parameter. Chosen by trial.
SEGMENT = 48
# Share of the channel's draws that a target holds for.
SURE = 0.95
# Step of A's rows over that of equal noise in A and A X. Chosen by trial.
_ROW_STEP_SCALE = 0.6
# Largest level of a coefficient, far above what 8-bit pixels give at the finest step.
_LARGEST_COEFFICIENT = 1 << 20


def coefficient_step(code: int) -> float:
    """Quantiser step Δ of the projections for a header code 0…31: 2^(−code/2)."""
    return 2.0 ** (-code / 2)


def _row_step(code: int) -> float:
    return 2.0 ** (-(int(code) + 1) / 2)


def _row_step_code(eigenvalue: float, columns: int, n: int, channels: int, step: float) -> int:
    """Step of A's row i such that the energy it misplaces, λ_i n δ²/12, equals the noise of the row's
    projections, w Δ²/12.
    """
    wanted = _ROW_STEP_SCALE * step * math.sqrt(columns / channels / (n * max(eigenvalue, 1e-12)))
    return int(np.clip(round(-2 * math.log2(wanted) - 1), 0, 15))


def rows_per_chunk(n: int, columns: int) -> int:
    """Rows of A in a chunk: enough for the chunk's own header to be small."""
    return max(1, -(-CHUNK_VALUES // (n + columns)))


@dataclass(frozen=True)
class Coded:
    """A coded CR: chunks of some rows each.

    Attributes:
        chunks: bytes, usable in order.
        ranks: rows of A after each chunk.
        errors: squared error over the whole image after each chunk, float64; with several G that the channel
            may make, the error that SURE of them do not exceed.
    """

    chunks: list[bytes]
    ranks: np.ndarray
    errors: np.ndarray

    def cut(self, count: int) -> tuple[bytes, int]:
        """The first `count` chunks as one stream, and their rank."""
        return b"".join(self.chunks[:count]), int(self.ranks[count - 1]) if count else 0

    @property
    def sizes(self) -> np.ndarray:
        """Bytes of the stream after each chunk."""
        return np.cumsum([len(chunk) for chunk in self.chunks], dtype=np.int64)


def sure(errors: np.ndarray) -> np.ndarray:
    """The error that the share SURE of some draws do not exceed: (draws, ...) → (...)."""
    return np.quantile(errors, SURE, axis=0, method="higher")


def encode(
    differences: Sequence[np.ndarray],
    source: np.ndarray,
    of_residual: bool,
    rows: np.ndarray,
    eigenvalues: np.ndarray,
    channels: int,
    step_code: int,
) -> Coded:
    """Code the CR.

    Args:
        differences: D = X − G as a matrix, float64 (n, W·C), for each G that the receiver may have.
        source: what is projected, X − R, float64 (n, W·C).
        of_residual: R is a G: what the receiver's own differs from it stays in the image. Else R is the same
            on both sides.
        rows: A, orthonormal eigenvectors, float64 (k, n).
        eigenvalues: λ, (≥ k,), of the error matrix.
        channels: C.
        step_code: 0…31, see `coefficient_step`.
    """
    n, columns = source.shape
    step = coefficient_step(step_code)
    codes = [_row_step_code(eigenvalues[i], columns, n, channels, step) for i in range(len(rows))]
    indices: list[np.ndarray] = []

    def quantise(i: int, v: np.ndarray) -> np.ndarray:
        indices.append(np.rint(v / _row_step(codes[i])).astype(np.int64))
        return indices[i] * _row_step(codes[i])

    projection = stiefel.rows_from(stiefel.coordinates(rows, quantise), n)
    coefficients = row_transform.forward(projection @ source, channels)
    levels = np.rint(coefficients / step).astype(np.int64).clip(-_LARGEST_COEFFICIENT, _LARGEST_COEFFICIENT)
    rounding = coefficients - levels * step
    left = []
    for difference in differences:
        covered = projection @ difference
        stays = (
            rounding + row_transform.forward(covered, channels) - coefficients if of_residual else rounding
        )
        left.append(
            np.square(difference).sum() - np.cumsum(np.square(covered).sum(1) - np.square(stays).sum(1))
        )
    group = rows_per_chunk(n, columns)
    starts = range(0, len(rows), group)
    chunks = [
        frame(_encode_group(codes[i : i + group], indices[i : i + group], list(levels[i : i + group])))
        for i in starts
    ]
    ranks = np.minimum(np.arange(1, len(chunks) + 1) * group, len(rows))
    return Coded(chunks, ranks, sure(np.array(left))[ranks - 1])


def decode(
    data: bytes, received: np.ndarray | None, n: int, columns: int, channels: int, rank: int, step_code: int
) -> tuple[np.ndarray, np.ndarray]:
    """A (k', n) and A (X − R) (k', columns), k' ≤ rank being as many rows as arrived whole. Any bytes are
    safe.
    """
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
    coefficients = np.array(levels, np.float64).reshape(len(levels), columns) * coefficient_step(step_code)
    return stiefel.rows_from(vectors, n), row_transform.inverse(coefficients, channels)


def _encode_group(codes: list[int], indices: list[np.ndarray], levels: list[np.ndarray]) -> bytes:
    lengths = [part for row in indices + levels for part in _segments(len(row))]
    parameters, bits = rice.encode(np.concatenate(indices + levels), lengths)
    fields = np.array([*codes, *parameters], np.uint8)
    return np.packbits(
        np.concatenate([np.unpackbits(fields[:, None], axis=1)[:, 4:].ravel(), bits])
    ).tobytes()


def _decode_group(
    payload: bytes, lengths: list[int], columns: int
) -> tuple[list[np.ndarray], list[np.ndarray]] | None:
    count = len(lengths)
    row_lengths = lengths + [columns] * count
    segments = [part for length in row_lengths for part in _segments(length)]
    bits = np.unpackbits(np.frombuffer(payload, np.uint8))
    header_bits = 4 * (count + len(segments))
    if len(bits) < header_bits:
        return None
    fields = bits[:header_bits].reshape(-1, 4) @ np.array([8, 4, 2, 1])
    values = rice.decode(bits[header_bits:], fields[count:], segments)
    if values is None:
        return None
    rows = np.split(values, np.cumsum(row_lengths)[:-1])
    vectors = [row * _row_step(code) for row, code in zip(rows[:count], fields[:count], strict=True)]
    # |v| ≤ 1 up to rounding: anything much larger is no code of ours.
    if any(v @ v > 4 * (1 + len(v)) for v in vectors) or any(
        np.abs(row).max(initial=0) > _LARGEST_COEFFICIENT for row in rows[count:]
    ):
        return None
    return vectors, rows[count:]


def _segments(length: int) -> list[int]:
    """Lengths of the segments of a row: SEGMENT each, the last what is left."""
    return [min(SEGMENT, length - start) for start in range(0, length, SEGMENT)]
