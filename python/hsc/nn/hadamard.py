"""Walsh-Hadamard matrices."""

from __future__ import annotations

import torch


def hadamard(order: int) -> torch.Tensor:
    """Walsh-Hadamard matrix of ±1, int64 (order, order); order is a power of two."""
    matrix = torch.ones(1, 1, dtype=torch.int64)
    while len(matrix) < order:
        matrix = torch.cat([torch.cat([matrix, matrix], 1), torch.cat([matrix, -matrix], 1)])
    return matrix
