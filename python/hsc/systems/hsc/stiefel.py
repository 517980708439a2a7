"""Orthonormal rows in as few numbers as they have degrees of freedom: Householder reflections, one for each
row.

k orthonormal rows of length n have n·k − k(k+1)/2 degrees of freedom (the Stiefel manifold), and this is how
many numbers are sent. Row i is what the reflections before it leave of the unit vector e_i: seen from there
it is a unit vector u of length n − i, and its stereographic coordinates v = u[1:] / (1 + u[0]) have no
constraint. Choosing the sign of the row (free, in HSC) makes u[0] ≥ 0 and |v| ≤ 1. Whatever v is after
quantisation, the rows are orthonormal; and v = 0 is a valid row too. (Golub and Van Loan, Matrix
Computations, section 5.1, with w = (1, v).)
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.linalg import lapack


def coordinates(rows: np.ndarray, quantise: Callable[[int, np.ndarray], np.ndarray]) -> list[np.ndarray]:
    """Quantised coordinates of orthonormal rows, float64 (k, n): a list of k arrays of n − 1, n − 2, …
    numbers.

    `quantise(i, v)` gives the values that the receiver will see for row i: each row is made to correct what
    quantising the rows before it has spoilt.
    """
    rest = rows.T.copy()
    out = []
    for i in range(len(rows)):
        u = rest[i:, i]
        length = np.linalg.norm(u)
        u = u / length if length > 1e-9 else np.eye(1, len(u))[0]
        u = -u if u[0] < 0 else u
        v = quantise(i, u[1:] / (1 + u[0]))
        out.append(v)
        w = np.concatenate([[1.0], v])
        later = rest[i:, i + 1 :]
        later -= np.outer(w * (2 / (w @ w)), w @ later)
    return out


def rows_from(vectors: list[np.ndarray], n: int) -> np.ndarray:
    """Orthonormal rows, float64 (k, n), of k coordinate arrays of lengths n − 1, n − 2, …"""
    k = len(vectors)
    if not k:
        return np.zeros((0, n))
    packed = np.zeros((n, k), order="F")
    for i, v in enumerate(vectors):
        packed[i + 1 :, i] = v
    q, _, info = lapack.dorgqr(packed, 2 / (1 + np.array([v @ v for v in vectors])), lwork=64 * max(k, 1))
    if info:
        raise ArithmeticError(f"LAPACK dorgqr returned {info}")
    return -q.T  # H e_1 = −u
