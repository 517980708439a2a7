"""The fit of p(z | c) to samples: what `dispersed.Model` holds follows from statistics, without gradients."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from ...coding.entropy import TOTAL, EntropyTables
from . import dispersed
from .dispersed import LARGEST, LARGEST_WEIGHT, MAGNITUDES, ONE, ROWS, Model

# Steps that the tables are fitted with: those of 0.1 to 1 bit per pixel of Kodak's photographs.
_STEPS = (30, 38, 46, 54, 62)
# Iterations of the weights. Chosen by trial: more give less than 0.1 % of the bits.
_ITERATIONS = 80
# Least scale of a coefficient, where an image has values of 0 to 1: a fifth of a grey level.
_LEAST_SCALE = 0.2 / 255
# Cells that the weights of a fineness are fitted to, at most.
_MOST_CELLS = 8_000
# Keeps what no cell has from a division by zero.
_TINY = 1e-9
# Rounds of quantising with tables and fitting them to what comes out.
_ROUNDS = 3
# Symbols that the Laplace distribution counts as in every table, for values that samples do not show.
_BEFOREHAND = 50.0
# Probability besides that halves from magnitude to magnitude, so that no value costs more than 30 bits.
_TAIL = 1e-4


def fit_weights(magnitude: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Scales as sums of features: |z| (CHANNELS, n) and features (F, n) → integers (CHANNELS, F).

    Most probable weights ≥ 0 if |z| is exponential with the sum as its mean, as that of a Laplace variable
    is: least Itakura-Saito divergence, by multiplicative updates (Févotte and Idier, Neural Computation 2011;
    exponent 1/2, with which none makes it larger).
    """
    some = slice(None, None, -(-found.shape[1] // _MOST_CELLS))
    y = torch.from_numpy(magnitude[:, some]).float().clamp_min(_LEAST_SCALE / 10)
    x = torch.from_numpy(found[:, some]).float()
    size = x.mean(1).clamp_min(1e-3)
    weight = y.mean(1, keepdim=True) / (len(x) * size)
    for _ in range(_ITERATIONS):
        inverse = 1 / (weight @ x)
        weight = weight * ((y * inverse.square()) @ x.T / (inverse @ x.T).clamp_min(_TINY)).sqrt()
    weight[:, -1].clamp_min_(_LEAST_SCALE)
    return (weight * (255 * ONE)).round().clamp_max(LARGEST_WEIGHT).long().numpy()


def laplace_tables() -> EntropyTables:
    """Tables of Laplace distributions with the scales of the rows, for a quantiser whose 0 reaches to 0.6."""
    scale = 2 ** ((np.arange(ROWS) - dispersed.ROW_OF_ONE) / 4)
    beyond = np.exp(-(np.arange(LARGEST + 1) + 0.6) / scale[:, None])
    positive = np.concatenate([-np.diff(beyond, axis=1), beyond[:, -1:]], 1) / 2
    return _tables(np.tile(np.concatenate([1 - beyond[:, :1], positive], 1), (2, 1)))


def _tables(magnitudes: np.ndarray) -> EntropyTables:
    """Probabilities of 0, of each magnitude with one sign, and of what is beyond with one sign, in any unit,
    (R, LARGEST + 2) → tables.
    """
    beyond = 2 * magnitudes[:, -1:]
    positive = magnitudes[:, 1:-1]
    whole = np.concatenate([positive[:, ::-1], magnitudes[:, :1], positive, beyond], 1)
    tail = 2.0 ** -np.concatenate([np.abs(np.arange(-LARGEST, LARGEST + 1)), [LARGEST]])
    whole = whole / whole.sum(1, keepdims=True) + _TAIL * tail
    spare = TOTAL - whole.shape[1]
    numbers = 1 + np.floor(whole / whole.sum(1, keepdims=True) * spare).astype(np.int64)
    numbers[:, LARGEST] += TOTAL - numbers.sum(1)
    return EntropyTables(numbers, np.full(len(numbers), -LARGEST))


def fit_model(samples: list[tuple[np.ndarray, np.ndarray]]) -> Model:
    """Tables that suit samples of every fineness: z, float (CHANNELS, h, w), and its scales, same shape."""
    flat = np.zeros((2 * ROWS, MAGNITUDES))
    model = Model(laplace_tables(), flat, flat, flat[:, 0])
    for _ in range(_ROUNDS):
        model = _refitted(model, samples)
    return model


def _refitted(model: Model, samples: list[tuple[np.ndarray, np.ndarray]]) -> Model:
    shape = (2 * ROWS, LARGEST + 2)
    counts, first, second = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    for step in _STEPS:
        for z, scale in samples:
            rows = dispersed.table_rows(scale, step).ravel()
            symbols = dispersed.quantise(z, scale, step, model).ravel()
            value = z.ravel() / dispersed.step_size(step)
            magnitude = np.minimum(np.abs(symbols), LARGEST + 1)
            place, sizes = rows * shape[1] + magnitude, (counts, first, second)
            over = np.where(symbols == 0, np.abs(value), value * np.sign(symbols) - np.abs(symbols))
            for total, power in zip(sizes, (np.ones_like(over), over, over**2), strict=True):
                total += np.bincount(place, power, total.size).reshape(shape)
    return replace(model, tables=_counted(counts), **_moments(counts, first, second))


def _counted(counts: np.ndarray) -> EntropyTables:
    signs = np.where(np.arange(counts.shape[1]) > 0, 2, 1)
    usual = laplace_tables().probabilities / TOTAL
    usual = np.concatenate([usual[:, LARGEST : 2 * LARGEST + 1], usual[:, -1:] / 2], 1)
    return _tables((counts / signs) + _BEFOREHAND * usual)


def _moments(counts: np.ndarray, first: np.ndarray, second: np.ndarray) -> dict[str, np.ndarray]:
    """Mean and variance of z − its symbol by row and magnitude, and the second moment of z by row."""
    size = np.arange(counts.shape[1])
    power = (second + 2 * size * first + size**2 * counts).sum(1) / np.maximum(counts.sum(1), 1)

    def by_magnitude(each: np.ndarray) -> np.ndarray:
        return np.concatenate([each[:, : MAGNITUDES - 1], each[:, MAGNITUDES - 1 :].sum(1, keepdims=True)], 1)

    counts, first, second = (by_magnitude(each) for each in (counts, first, second))
    # What has not been seen is taken to be uniform.
    first[:, 0] = 0
    seen = counts + 10
    mean = first / seen
    variance = (second + 10 / 12) / seen - mean**2
    scale = 2 ** ((np.arange(ROWS) - dispersed.ROW_OF_ONE) / 4)
    empty = np.tile(2 * scale**2, 2)
    rare = counts.sum(1) < 100
    variance[:, 0] = np.where(
        counts[:, 0] > 100, second[:, 0] / np.maximum(counts[:, 0], 1), np.minimum(empty, 0.1)
    )
    return {"mean": mean, "variance": variance, "prior": np.where(rare, empty, power)}
