"""How strong the detail is that c does not tell, around every token: integers from c alone, which both ends
have. What entropy codes the residual takes its probabilities from here, never from a network.

Magnitudes of c and differences of the cells' means go through a convolution of 3 × 3 cells with integer
weights; a table makes rows of the sums. A row is half an octave of power.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .base_contexts import AROUND, ONE, neighbourhoods

# Rows, and the row of power 1: a coefficient of the orthonormal DCT of pixels in [0, 1].
ROWS, ROW_OF_ONE = 40, 39
# Luma and colour; tokens of a cell.
GROUPS, TOKENS = 2, 4
# Bounds of the classes of a sum, an eighth of an octave of amplitude apart, which is half a row.
_BOUNDS = np.floor(2 ** (np.arange(32, 192) / 8)).astype(np.int64)
CLASSES = len(_BOUNDS) + 1
# Sums beyond it count as that.
_LIMIT = 1 << 40
# Amplitudes of detail are small: whole numbers of 1 / 1024 of them are coarse.
_SCALE = 16.0
# Ridge of the normal equations, relative to the mean of their diagonal. Chosen by trial.
_RIDGE = 1e-3
# Samples that a class needs to be counted by itself.
_LEAST_SAMPLES = 30


@dataclass(frozen=True)
class Detail:
    """Integer weights of one fineness.

    Attributes:
        weights: int16 (8, F), group and token of a cell by feature [1/1024].
        bias: int32 (8,).
        rows: int16 (2, CLASSES), row of a sum's class, by group.
    """

    weights: np.ndarray
    bias: np.ndarray
    rows: np.ndarray


def feature_count(channels: int, means: tuple[int, ...]) -> int:
    """F of `Detail`."""
    return AROUND * (channels + len(means))


def features(c: np.ndarray, means: tuple[int, ...]) -> np.ndarray:
    """c, integers (B, C, h, w) → magnitudes around, and differences of the means to those around, float64
    (F, B · h · w), whole numbers.
    """
    known = np.stack([neighbourhoods(c[:, k].astype(np.float64)) for k in range(c.shape[1])])
    middle = AROUND // 2
    differences = [np.abs(known[k] - known[k, middle]) for k in means]
    return np.concatenate([np.abs(known), np.stack(differences)]).reshape(-1, known[0, 0].size)


def classes(detail: Detail, known: np.ndarray) -> np.ndarray:
    """Features (F, n) → class of the sum of each group and token, int64 (2, 4, n). Exact."""
    sums = detail.weights.astype(np.float64) @ known + detail.bias[:, None]
    found = np.searchsorted(_BOUNDS, sums.clip(0, _LIMIT).astype(np.int64), side="right")
    return found.reshape(GROUPS, TOKENS, -1)


def rows(detail: Detail, c: np.ndarray, means: tuple[int, ...]) -> np.ndarray:
    """c, integers (C, h, w) → int64 (2, 2 h, 2 w), 0 … 39: luma and colour of every token. Exact."""
    height, width = c.shape[1:]
    found = classes(detail, features(c[None], means))
    found = np.stack([detail.rows[group][found[group]] for group in range(GROUPS)])
    tokens = found.reshape(GROUPS, 2, 2, height, width).transpose(0, 3, 1, 4, 2)
    return tokens.reshape(GROUPS, 2 * height, 2 * width).astype(np.int64)


def fit(c: np.ndarray, power: np.ndarray, means: tuple[int, ...]) -> Detail:
    """Weights and rows that suit samples: c, integers (N, C, h, w), and the mean power of the detail's
    coefficients, float (N, 2, 2 h, 2 w).
    """
    count, _, height, width = c.shape
    known = features(c, means)
    with_one = np.concatenate([known, np.ones((1, known.shape[1]))]).astype(np.float32)
    targets = power.reshape(count, GROUPS, height, 2, width, 2).transpose(1, 3, 5, 0, 2, 4)
    targets = targets.reshape(GROUPS * TOKENS, -1)
    amplitude = np.sqrt(targets).astype(np.float32)
    weights = _least_squares(with_one, amplitude)
    # A second time with calm places counting more: what matters is the ratio.
    expected = (weights.T.astype(np.float32) @ with_one).mean(0)
    calm = 1 / np.square(expected.clip(0.2 * amplitude.mean()))
    weights = _SCALE * _least_squares(with_one, amplitude, calm.astype(np.float32))
    stored = np.round(weights[:-1].T * ONE).clip(-32767, 32767).astype(np.int16)
    bias = np.round(weights[-1] * ONE).astype(np.int32)
    detail = Detail(stored, bias, np.zeros((GROUPS, CLASSES), np.int16))
    found = classes(detail, known)
    for group in range(GROUPS):
        detail.rows[group] = _rows(found[group].ravel(), targets[4 * group : 4 * group + 4].ravel())
    return detail


def _least_squares(known: np.ndarray, targets: np.ndarray, weight: np.ndarray | float = 1.0) -> np.ndarray:
    """(F, n), (8, n) → (F, 8)."""
    matrix = ((known * weight) @ known.T).astype(np.float64)
    ridge = _RIDGE * np.trace(matrix) / len(matrix) * np.eye(len(matrix))
    return np.linalg.solve(matrix + ridge, ((known * weight) @ targets.T).astype(np.float64))


def _rows(found: np.ndarray, power: np.ndarray) -> np.ndarray:
    """Class and power of samples (n,) → row of every class: of the mean power, never falling with the class;
    a class that is seldom seen has the row of the one below.
    """
    counts = np.bincount(found, minlength=CLASSES)
    total = np.bincount(found, power, minlength=CLASSES)
    seen = np.flatnonzero(counts >= min(_LEAST_SAMPLES, counts.max()))
    row = np.round(2 * np.log2(total[seen] / counts[seen] + 1e-12)) + ROW_OF_ONE
    row = np.maximum.accumulate(row).clip(0, ROWS - 1)
    return row[np.searchsorted(seen, np.arange(CLASSES), side="right").clip(1) - 1].astype(np.int16)
