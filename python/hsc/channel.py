"""Symbol-level channels: one definition for training (torch), simulation (numpy) and the Symbol Channel
block.

SNR is Es/N0 per complex channel use with symbol power 1 and mean channel gain 1, in dB. The functions work on
arrays of either library: the random numbers come from a `Normal`, a function shape → circular complex
Gaussian of variance 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .errors import HscError

Array = Any
Normal = Callable[[tuple[int, ...]], Array]
# Channels by name.
KINDS = ("ideal", "awgn", "rayleigh", "rician")


def numpy_normal(rng: np.random.Generator) -> Normal:
    """Circular complex Gaussian numbers, variance 1, complex64, from a numpy generator."""

    def normal(shape: tuple[int, ...]) -> np.ndarray:
        pairs = rng.standard_normal((*shape, 2), np.float32)
        return (pairs @ np.array([1, 1j], np.complex64)) * np.float32(0.5**0.5)

    return normal


def torch_normal(device: Any = "cpu", generator: Any = None) -> Normal:
    """Circular complex Gaussian numbers, variance 1, complex64, from torch."""
    import torch

    return lambda shape: torch.randn(shape, dtype=torch.complex64, device=device, generator=generator)


def gain(kind: str, shape: tuple[int, ...], normal: Normal, rician_k: float = 1.0) -> Array:
    """Channel gains h of mean power 1, complex64 of `shape`: one for each block.

    Args:
        kind: one of KINDS; "rician" has a line-of-sight part of `rician_k` times the power of the scattered
            part.

    Raises:
        HscError: unknown kind.
    """
    if kind not in KINDS:
        raise HscError(f"unknown channel '{kind}': choose one of {', '.join(KINDS)}")
    scattered = normal(shape)
    if kind == "rayleigh":
        return scattered
    if kind == "rician":
        return (rician_k / (rician_k + 1)) ** 0.5 + scattered * (1 / (rician_k + 1)) ** 0.5
    return scattered * 0 + 1


def transmit(
    symbols: Array, snr_db: Array, kind: str, normal: Normal, rician_k: float = 1.0
) -> tuple[Array, Array]:
    """Send blocks of symbols, (..., n): y = h s + n, HSC eqs. (3)-(5); h known to the receiver, one for each
    leading index.

    Args:
        symbols: complex64 (..., n), mean power 1.
        snr_db: mean SNR [dB], a number or an array that broadcasts with (..., 1).

    Returns:
        y / h, complex64 (..., n), and the noise variance that remains on it, float (..., 1).
    """
    h = gain(kind, (*symbols.shape[:-1], 1), normal, rician_k)
    variance = 10 ** (-snr_db / 10) / abs(h) ** 2
    if kind == "ideal":
        return symbols, variance * 0
    return symbols + normal(tuple(symbols.shape)) * variance**0.5, variance


def bsc(bits: np.ndarray, flip: float, rng: np.random.Generator) -> np.ndarray:
    """Binary symmetric channel: uint8 bits of any shape, each flipped with probability `flip`."""
    return bits ^ (rng.random(bits.shape, np.float32) < flip).astype(np.uint8)


def erased(count: int, probability: float, rng: np.random.Generator) -> np.ndarray:
    """Erasure channel: bool (count,), True for what is lost."""
    return rng.random(count) < probability
