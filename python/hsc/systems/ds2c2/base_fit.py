"""Fit of the integer contexts, and of the entropy tables, to quantised training photographs: least squares,
channel by channel, then histograms.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import cho_solve

from ...coding.stored_tables import LARGEST_INDEX, pack_tables
from .base_contexts import (
    AROUND,
    CLASSES,
    ONE,
    OWN_MEAN,
    OWN_SCALE,
    PASSES,
    ROWS,
    Context,
    Contexts,
    Own,
    Pass,
    features,
    neighbourhoods,
    steps,
    walk,
)

# Added to the diagonal of the normal equations, relative to it, and for features that were never seen. Chosen
# by trial.
_RIDGE, _LEAST_POWER = 1e-3, 1.0
# Counts that a row of the tables has beforehand, in the shape of all rows of its scale. Chosen by trial.
_BEFOREHAND = 30.0
# Least share of a value in a row, before rounding to integers.
_LEAST_SHARE = 1e-5
# Largest weight that is stored.
_LARGEST_WEIGHT = (1 << 15) - 1


def fit_contexts(c: np.ndarray, means: tuple[int, ...]) -> Contexts:
    """Weights that suit samples of c, int (N, C, h, w)."""
    channels = c.shape[1]
    known = np.concatenate([neighbourhoods(c[:, k].astype(np.float32)) for k in range(channels)])
    known = known.reshape(AROUND * channels, -1)
    values = c.transpose(1, 0, 2, 3).reshape(channels, -1)
    magnitudes = np.concatenate([np.ones((1, known.shape[1]), np.float32), np.abs(known)])
    # Calm places count more: there a wrong scale costs most.
    calm = (1 / (0.1 + magnitudes[1 + AROUND :].mean(0))).astype(np.float32)
    # What is known of a channel is known of the next one too: the leading parts of one factor serve them all.
    of_mean, of_scale = _factor(known @ known.T), _factor((magnitudes * calm) @ magnitudes.T)
    mean = np.zeros((channels, channels, AROUND), np.int16)
    scale, bias = np.zeros_like(mean), np.zeros(channels, np.int32)
    for k in range(channels):
        before = AROUND * k
        mean[k, :k] = _stored(_solve(of_mean, known[:before] @ values[k].astype(np.float32))).reshape(
            k, AROUND
        )
        left = np.abs(values[k] - mean[k, :k].reshape(-1).astype(np.float32) @ known[:before] / ONE)
        found = _solve(of_scale, magnitudes[: 1 + before] @ (calm * left).astype(np.float32))
        scale[k, :k] = _stored(found[1:]).reshape(k, AROUND)
        bias[k] = max(1, round(float(found[0]) * ONE))
    own_mean = np.zeros((channels, PASSES, OWN_MEAN), np.int16)
    own_scale = np.zeros((channels, PASSES, OWN_SCALE), np.int16)
    own_scale[..., 0] = ONE
    contexts = Contexts(mean, scale, bias, own_mean, own_scale)
    _fit_own(contexts, c, means)
    return contexts


def _fit_own(contexts: Contexts, c: np.ndarray, means: tuple[int, ...]) -> None:
    """Weights of what the cells around tell, in place."""

    def step(channel: int, at: Pass, mean: np.ndarray, scale: np.ndarray, own: Own) -> np.ndarray:
        values = c[:, channel, at.rows, at.columns]
        if own is None:
            return values
        before = mean[:, at.rows, at.columns], scale[:, at.rows, at.columns]
        of_mean, of_scale = features(own)
        of_mean = of_mean.reshape(OWN_MEAN, -1).astype(np.float64) / ONE
        left = values - before[0] / ONE
        found = _solve(_factor(of_mean @ of_mean.T), of_mean @ left.ravel())
        contexts.own_mean[channel, at.number] = _stored(found)
        left = np.abs(left.ravel() - found @ of_mean)
        rows = np.concatenate([before[1].reshape(1, -1), of_scale.reshape(OWN_SCALE - 1, -1)]) / ONE
        calm = 1 / (0.02 + before[1].ravel() / ONE)
        found = _solve(_factor((rows * calm) @ rows.T), (rows * calm) @ left)
        contexts.own_scale[channel, at.number] = _stored(found)
        return values

    steps(contexts, means, (len(c), *c.shape[2:]), step)


def _factor(matrix: np.ndarray) -> np.ndarray:
    """Normal equations → their lower Cholesky factor, with a ridge."""
    matrix = matrix.astype(np.float64)
    return np.linalg.cholesky(matrix + np.diag(_RIDGE * np.diag(matrix) + _LEAST_POWER))


def _solve(factor: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Least squares of the first features, as many as the right side (m,) has."""
    if not len(right):  # nothing is known of the first channel
        return np.zeros(0)
    return cho_solve((factor[: len(right), : len(right)], True), right.astype(np.float64))


def _stored(weights: np.ndarray) -> np.ndarray:
    return np.round(weights * ONE).clip(-_LARGEST_WEIGHT, _LARGEST_WEIGHT).astype(np.int16)


def count(contexts: Contexts, means: tuple[int, ...], c: np.ndarray) -> np.ndarray:
    """How often each symbol is coded by each row: c (N, C, h, w) → int64 (ROWS, 82)."""
    size = 2 * LARGEST_INDEX + 2
    counts = np.zeros(ROWS * size, np.int64)

    def visit(context: Context) -> np.ndarray:
        values = c[:, context.channel, context.at.rows, context.at.columns]
        symbols = context.symbols(values) + LARGEST_INDEX
        symbols = np.where((symbols < 0) | (symbols >= size - 1), size - 1, symbols)
        counts[:] += np.bincount((context.row * size + symbols).ravel(), minlength=counts.size)
        return values

    walk(contexts, means, (len(c), *c.shape[2:]), visit)
    return counts.reshape(ROWS, size)


def tables(counts: np.ndarray) -> np.ndarray:
    """Counts (ROWS, 82) → stored entropy tables, int (ROWS, 82): each row with some of what all rows of its
    scale have, and of what the scales beside have.
    """
    by_scale = counts.reshape(-1, CLASSES, counts.shape[1]).sum(1).astype(np.float64)
    for _ in range(2):  # scales that are seldom seen are like those beside
        beside = np.pad(by_scale, ((1, 1), (0, 0)), mode="edge")
        by_scale = by_scale + 0.01 * (beside[:-2] + beside[2:])
    while not by_scale.any(1).all():
        beside = np.pad(by_scale, ((1, 1), (0, 0)), mode="edge")
        by_scale = np.where(by_scale.any(1, keepdims=True), by_scale, beside[:-2] + beside[2:])
    shape = by_scale / by_scale.sum(1, keepdims=True)
    found = counts + _BEFOREHAND * np.repeat(shape, CLASSES, 0)
    return pack_tables(found / found.sum(1, keepdims=True) + _LEAST_SHARE)
