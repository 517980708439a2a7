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


def erased(count: int, probability: float, rng: np.random.Generator, burst: float = 1.0) -> np.ndarray:
    """Erasure channel: bool (count,), True for what is lost.

    Args:
        probability: share that is lost.
        burst: mean length of a run of losses, of the Gilbert-Elliott channel that loses everything in its bad
            state and nothing in its good one; up to 1 / (1 − probability), the mean length of independent
            losses' runs, losses are independent.
    """
    if burst * (1 - probability) <= 1:
        return rng.random(count) < probability
    leave_bad = 1 / burst
    leave_good = leave_bad * probability / (1 - probability)  # so that the share is `probability`
    first_bad = rng.random() < probability
    if not leave_good:
        return np.zeros(count, bool)
    leave = np.resize([leave_bad, leave_good] if first_bad else [leave_good, leave_bad], count)
    ends = np.cumsum(np.minimum(rng.geometric(leave), count))
    run = np.searchsorted(ends, np.arange(count), side="right")
    return (run % 2 == 0) == first_bad


def erase_blocks(
    data: bytes, share: float, block_bytes: int, rng: np.random.Generator, burst: float = 1.0
) -> tuple[bytes, np.ndarray]:
    """Block binary erasure channel: whole blocks of `block_bytes` are lost, the last one may be shorter.

    DS²C² (arXiv 2409.03243), section II-B: blocks of 1056 bytes, read as zeros, the receiver not told.

    Args:
        share, burst: probability and mean run [blocks] of losses, as in `erased`.

    Returns:
        The bytes, zeros where lost, and bool (len(data),), False for the bytes of lost blocks.

    Raises:
        HscError: a share outside 0 to 1, a burst or a block below 1.
    """
    if not 0 <= share <= 1:
        raise HscError(f"a share of {share} of the blocks cannot be lost: give 0 to 1")
    if not burst >= 1:
        raise HscError(f"a mean burst of {burst} blocks is impossible: give 1 or more")
    if block_bytes < 1:
        raise HscError(f"a block of {block_bytes} bytes is impossible: give 1 or more")
    lost = erased(-(-len(data) // block_bytes), share, rng, burst)
    received = ~np.repeat(lost, block_bytes)[: len(data)]
    return np.where(received, np.frombuffer(data, np.uint8), 0).astype(np.uint8).tobytes(), received
