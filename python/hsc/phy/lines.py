"""Lines: steady carriers in the stream, such as a transmitter's carrier leak or a tone, and how the search is
rid of them.

A line correlates perfectly with itself, as a preamble does. A notch takes it out of the stream before the
search, once for all of the numerologies.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from scipy import fft
from scipy.signal import windows

# Frequencies [cycles per sample], strongest first.
Lines = tuple[float, ...]
# Share of the energy from which on a steady carrier is a line. In noise the strongest bin of 1024 has 0.014 ±
# 0.002.
_LINE_SHARE = 0.05
# Most lines that are looked for: each takes a notch.
_MOST_LINES = 3
# Noise bandwidth of a Blackman-Harris window [bins].
_BANDWIDTH = 2.0044
# Bins about its own that a carrier between two bins reaches through that window.
_SKIRT = np.arange(-5, 6)
# Its sidelobes, power over that of the carrier: 92 dB below.
_SIDELOBES = 1e-9
# Steps of the frequencies in a cycle per sample: tables serve again for a carrier that stays.
_LINE_GRID = 1 << 17
# Samples from one knot of a notch to the next: it is 1/100 cycle per sample wide.
BLOCK = 32
# Places of the samples of a block between its knots, 0 to 1.
_U = (np.arange(BLOCK, dtype=np.float32) + 0.5) / BLOCK
# The three parts of a quadratic B-spline, float32 (3, BLOCK).
_SPLINES = np.stack([_U**2 / 2, 0.5 + _U - _U**2, (1 - _U) ** 2 / 2])
# Samples that `without` needs before and after those that it gives.
EDGE = _MOST_LINES * 2 * BLOCK
# Turns that are computed by exp; the others are products of two of them.
_ROW = 64


def find_lines(samples: np.ndarray) -> Lines:
    """Frequencies [cycles per sample] of the strongest steady carriers in samples (n,), strongest first.

    A carrier leak is one: the receiver's at 0, a transmitter's at its carrier frequency offset. A burst has
    none: its carriers change with every symbol. Carriers closer than ten bins count as one.
    """
    size = len(samples)
    taper = _taper(size)
    spectrum = fft.fft(samples * taper)
    power = spectrum.real**2 + spectrum.imag**2
    lines, least = (), _SIDELOBES * power.max()
    while len(lines) < _MOST_LINES:
        peak = int(power.argmax())
        if power[peak] <= max(_LINE_SHARE / _BANDWIDTH * np.add.reduce(power), least):
            break
        lines += (round((peak + _offset(power, peak)) / size * _LINE_GRID) / _LINE_GRID,)
        power[(peak + _SKIRT) % size] = 0
    return lines


def without(samples: np.ndarray, lines: Lines) -> np.ndarray:
    """Samples, complex64 (n,), without the lines: all but the first and the last `EDGE`. n is a multiple of
    BLOCK.

    What a notch takes away is a quadratic spline with a knot in each block, turned by the line; its
    coefficients are the means of the samples, turned back, over the same B-splines. So nothing is left of a
    steady carrier of any level. What one notch lets through is steady still, and the next one takes out its
    own line.
    """
    for line in lines:
        splines = _SPLINES * _turns(line, BLOCK)
        turns = _turns(line * BLOCK, len(samples) // BLOCK)
        parts = np.conj(splines) @ samples.reshape(-1, BLOCK).T * np.conj(turns)
        mean = parts[0, :-2] + parts[1, 1:-1] + parts[2, 2:]
        around = np.stack([mean[2:], mean[1:-1], mean[:-2]]) * turns[2:-2]
        samples = samples[2 * BLOCK : -2 * BLOCK] - (around.T @ (splines / np.float32(BLOCK))).ravel()
    left = EDGE - 2 * BLOCK * len(lines)
    return samples[left : len(samples) - left]


def moving_sum(x: np.ndarray, length: int) -> np.ndarray:
    """Sums of `length` neighbours, (n,) → (n - length + 1,), by doubling.

    Unlike a difference of cumulative sums it keeps float32 accurate next to samples of any size.
    """
    total, offset = None, 0
    size = 1
    while True:
        if length & size:
            total = x if total is None else total[: len(x) - offset] + x[offset:]
            offset += size
        if 2 * size > length:
            return total
        x = x[:-size] + x[size:]
        size *= 2


def _offset(power: np.ndarray, peak: int) -> float:
    """Where between -0.5 and 0.5 bins beside the peak the top of a parabola through the logarithms of three
    powers lies.
    """
    before, top, after = (float(power[at % len(power)]) for at in (peak - 1, peak, peak + 1))
    before, after = math.log(before / top + 1e-12), math.log(after / top + 1e-12)
    return 0.5 * (before - after) / (before + after) if before + after < 0 else 0.0


@lru_cache(maxsize=4)
def _taper(size: int) -> np.ndarray:
    return windows.blackmanharris(size, sym=False).astype(np.float32)


def _turns(frequency: float, count: int) -> np.ndarray:
    """exp(2πj · frequency · n), complex64 (count,), frequency in cycles per sample."""
    return _table_of_turns(frequency, -(-count // _ROW))[:count]


@lru_cache(maxsize=64)
def _table_of_turns(frequency: float, rows: int) -> np.ndarray:
    """The turns of rows times those within a row."""
    first, within = (
        np.exp(2j * np.pi * (step * frequency % 1) * np.arange(size))
        for step, size in ((_ROW, rows), (1, _ROW))
    )
    return np.multiply.outer(first.astype(np.complex64), within.astype(np.complex64)).ravel()
