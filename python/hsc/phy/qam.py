"""BPSK, QPSK, 16QAM, 64QAM and 256QAM with IEEE 802.11 Gray mapping (IEEE Std 802.11-2012, clause
18.3.5.8; 802.11ac-2013, clause 22.3.10.9), unit mean power. Levels of an axis are evenly spaced, or given.

The first half of a symbol's bits chooses the real level, the second half the imaginary one; BPSK is real. LLR
> 0 means bit 0. Noise variance is that of the complex noise, N0 = E|w|²; inf marks a symbol that was lost,
its LLRs are 0.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ..errors import HscError

# BPSK, QPSK, 16QAM, 64QAM and 256QAM.
BITS_PER_SYMBOL = (1, 2, 4, 6, 8)
# Levels of one axis above 0, in rising order and any scale; none: evenly spaced.
Levels = tuple[float, ...]
# Least noise variance that a symbol is taken to have: LLRs stay finite.
_LEAST_NOISE = 1e-6
# Nodes of an integral over the noise of an axis.
_NODES = 48
# Part of a symbol beyond which more says no more about its bits.
_LARGEST_SYMBOL = 100.0


def modulate(bits: np.ndarray, bits_per_symbol: int, levels: Levels = ()) -> np.ndarray:
    """Bits, uint8 0/1 (n · bits_per_symbol,) → symbols, complex64 (n,). HscError when the bits do not fill
    whole symbols.
    """
    points = constellation(bits_per_symbol, levels)
    bits = np.asarray(bits, dtype=np.uint8).ravel()
    if bits.size % bits_per_symbol:
        raise HscError(f"{bits.size} bits do not fill symbols of {bits_per_symbol} bits: pad them first")
    columns = bits.reshape(-1, bits_per_symbol)
    label = columns[:, 0].copy()
    for column in range(1, bits_per_symbol):
        label <<= 1
        label |= columns[:, column]
    return points[label]


def demodulate(
    symbols: np.ndarray,
    noise_variance: np.ndarray | float,
    bits_per_symbol: int,
    exact: bool = False,
    levels: Levels = (),
) -> np.ndarray:
    """Symbols, complex (n,), with noise variance, float (n,) or one for all → LLRs, float32 (n ·
    bits_per_symbol,).

    Max-log by default: the nearest point with the bit 0 against the nearest with the bit 1. `exact` sums over
    all points. Symbols or noise variances that are NaN or infinite give LLR 0; a noise variance below 1e-6
    counts as 1e-6.
    """
    places, labels = _axis(bits_per_symbol, levels)
    symbols = np.asarray(symbols, dtype=np.complex64).ravel()
    noise_variance = np.broadcast_to(np.asarray(noise_variance, dtype=np.float32), symbols.shape)
    usable = np.isfinite(symbols) & np.isfinite(noise_variance)
    precision = np.where(usable, 1.0 / np.maximum(noise_variance, _LEAST_NOISE), 0.0).astype(np.float32)
    symbols = np.where(usable, symbols, 0)
    parts = (symbols.real,) if bits_per_symbol == 1 else (symbols.real, symbols.imag)
    combine = _log_sum_exp if exact else _maximum
    llr = np.empty((symbols.size, bits_per_symbol), dtype=np.float32)
    for axis, part in enumerate(parts):
        scaled = np.clip(part, -_LARGEST_SYMBOL, _LARGEST_SYMBOL) * precision
        # -|y - x|² / N0 without |y|², which is common to all levels
        metrics = [2 * place * scaled - place * place * precision for place in places]
        for bit in range(labels.shape[1]):
            zero, one = ([metrics[i] for i in np.flatnonzero(labels[:, bit] == value)] for value in (0, 1))
            llr[:, axis * labels.shape[1] + bit] = combine(zero) - combine(one)
    return llr.ravel()


@lru_cache(maxsize=32)
def constellation(bits_per_symbol: int, levels: Levels = ()) -> np.ndarray:
    """All points, complex64 (2^bits_per_symbol,), indexed by the symbol's bits, first bit most significant.
    Read-only.
    """
    places, labels = _axis(bits_per_symbol, levels)
    weights = 1 << np.arange(labels.shape[1])[::-1]
    by_label = np.empty(len(places), dtype=np.float32)
    by_label[labels @ weights] = places
    points = by_label if bits_per_symbol == 1 else (by_label[:, None] + 1j * by_label[None, :]).ravel()
    points = points.astype(np.complex64)
    points.flags.writeable = False
    return points


def bit_information(snrs_db: np.ndarray, bits_per_symbol: int, levels: Levels = ()) -> np.ndarray:
    """Mutual information of a symbol's bits, each for itself, and what arrives over AWGN [bits], float64 of
    the shape of the SNRs [dB]: what a code gets that decodes exact LLRs.

    Each axis by Gauss-Hermite quadrature over its noise.
    """
    places, labels = _axis(bits_per_symbol, levels)
    axes, places = bits_per_symbol // labels.shape[1], places.astype(np.float64)
    nodes, weights = np.polynomial.hermite.hermgauss(_NODES)
    found = np.empty(np.shape(snrs_db))
    for i, snr_db in np.ndenumerate(snrs_db):
        noise = 10 ** (-snr_db / 10)  # N0
        came = places[:, None] + nodes * np.sqrt(noise)
        metrics = -((came - places[:, None, None]) ** 2) / noise  # level tried, level sent, node
        every = np.logaddexp.reduce(metrics, axis=0)
        lost = 0.0
        for bit in labels.T:
            zero, one = (np.logaddexp.reduce(metrics[bit == value], axis=0) for value in (0, 1))
            lost += every - np.where(bit[:, None] == 0, zero, one)
        found[i] = axes * (labels.shape[1] - (lost @ weights).mean() / np.sqrt(np.pi) / np.log(2))
    return found


@lru_cache(maxsize=32)
def _axis(bits_per_symbol: int, levels: Levels = ()) -> tuple[np.ndarray, np.ndarray]:
    """Levels of one axis in rising order, float32 (L,), and their Gray labels, uint8 (L, log2 L)."""
    if bits_per_symbol not in BITS_PER_SYMBOL:
        choices = ", ".join(map(str, BITS_PER_SYMBOL))
        raise HscError(f"no modulation has {bits_per_symbol} bits per symbol: choose one of {choices}")
    axes = 1 if bits_per_symbol == 1 else 2
    bits = bits_per_symbol // axes
    index = np.arange(1 << bits)
    if levels and 2 * len(levels) != len(index):
        raise HscError(f"an axis of {bits} bits has {len(index) // 2} levels above 0, not {len(levels)}")
    places = np.array([*(-level for level in levels[::-1]), *levels] or 2.0 * index - (len(index) - 1))
    places /= np.sqrt(axes * np.mean(places**2))
    gray = index ^ (index >> 1)
    labels = (gray[:, None] >> np.arange(bits)[::-1]) & 1
    return places.astype(np.float32), labels.astype(np.uint8)


def _maximum(metrics: list[np.ndarray]) -> np.ndarray:
    best = metrics[0]
    for metric in metrics[1:]:
        best = np.maximum(best, metric)
    return best


def _log_sum_exp(metrics: list[np.ndarray]) -> np.ndarray:
    best = _maximum(metrics)
    return best + np.log(sum(np.exp(metric - best) for metric in metrics))
