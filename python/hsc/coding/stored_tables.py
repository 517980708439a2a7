"""Entropy tables of signed indices as weights files hold them, and their fit to histograms."""

from __future__ import annotations

import numpy as np
import torch

from .entropy import TOTAL, EntropyTables

# An index beyond it is escaped.
LARGEST_INDEX = 40
# Sum of a row of the stored tables. The coder's precision is finer.
STORED_TOTAL = 1 << 16
# Share of a histogram's count that goes to the values on either side, and what each value has besides, so
# that none is impossible. Chosen by trial.
SPREAD, _LEAST_COUNT = 0.05, 0.02


def unpack_tables(stored: torch.Tensor) -> EntropyTables:
    """Shipped tables, integers (R, S) of sum 2^16 per row, each less one → tables of the coder's precision.
    Exact.
    """
    frequency = (stored.to(torch.int64).numpy() + 1) * (TOTAL // STORED_TOTAL)
    return EntropyTables(frequency, np.full(len(frequency), -LARGEST_INDEX))


def pack_tables(probabilities: np.ndarray) -> np.ndarray:
    """Probabilities (R, S), last column the escape → integers (R, S) as they are shipped: at least 1, of sum
    2^16, less one.
    """
    rest = STORED_TOTAL - probabilities.shape[1]
    frequency = np.floor(probabilities / probabilities.sum(1, keepdims=True) * rest).astype(np.int64)
    frequency[np.arange(len(frequency)), frequency.argmax(1)] += rest - frequency.sum(1)
    return frequency


def histograms(values: torch.Tensor, spread: float = SPREAD) -> np.ndarray:
    """Values (N, C, h, w) → smoothed relative frequencies of −40 … 40 and of what is beyond, (C, 82).

    `spread`: share of a count that goes to the values on either side.
    """
    return smoothed(np.stack([counts(channel) for channel in values.movedim(1, 0)]), spread) + _LEAST_COUNT


def counts(values: torch.Tensor) -> np.ndarray:
    """How often −40 … 40 come, and what is beyond, among values of any shape, float64 (82,)."""
    size = 2 * LARGEST_INDEX + 2
    index = (values.flatten() + LARGEST_INDEX).clamp(0, size - 1)
    return torch.bincount(index, minlength=size).double().numpy()


def smoothed(counted: np.ndarray, spread: float) -> np.ndarray:
    """Counts (R, 82) with a share of each at the values on either side."""
    return (1 - 2 * spread) * counted + spread * np.roll(counted, 1, 1) + spread * np.roll(counted, -1, 1)
