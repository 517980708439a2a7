"""The two known symbols that open a burst: a Schmidl-Cox symbol (even carriers, two equal halves), then one
of all carriers.

Both begin as QPSK from the PN sequence, of 64 starting points the one with the lowest crest factor; a few
rounds of clipping in time that keep the carriers' amplitudes bring it down by 3 dB more. Both ends compute
the same, to float32 rounding. Source: T. M. Schmidl and D. C. Cox, "Robust frequency and timing
synchronization for OFDM", IEEE Trans. Commun. 45 (12), 1997.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import fft

from .interleaver import pn_bits
from .numerology import Numerology

# Starting points in the PN sequence that are tried for each symbol.
_CANDIDATES = 64
# Samples of the wave whose peak counts, over those that are sent.
_OVERSAMPLING = 4
# Rounds of clipping, and the level they clip at over the RMS. Chosen by trial; both ends must have the same.
_CLIPPING_ROUNDS = 20
_CLIPPING_LEVEL = 1.3


@lru_cache(maxsize=16)
def preamble_carriers(numerology: Numerology) -> np.ndarray:
    """complex64 (2, used): both symbols on the occupied carriers, boost included; odd carriers of the first
    are empty.

    Each has the same energy, so the carriers of the first are sqrt(2) stronger.
    """
    even = numerology.carriers % 2 == 0
    first = even.astype(np.float32) * np.sqrt(numerology.used / even.sum())
    second = np.ones(numerology.used, np.float32)
    seeds = ((first, 0), (second, 8191))
    chosen = [amplitude * _lowest_crest(numerology, amplitude, seed) for amplitude, seed in seeds]
    carriers = (10 ** (numerology.boost_db / 20) * np.stack(chosen)).astype(np.complex64)
    carriers.flags.writeable = False
    return carriers


@lru_cache(maxsize=16)
def preamble_samples(numerology: Numerology) -> np.ndarray:
    """complex64 (2 · symbol,): the preamble as it is sent, cyclic prefixes included."""
    samples = symbols_to_samples(numerology, preamble_carriers(numerology))
    samples.flags.writeable = False
    return samples


def symbols_to_samples(numerology: Numerology, carriers: np.ndarray) -> np.ndarray:
    """complex64 (rows, used) → samples (rows · symbol,): orthonormal IFFT, cyclic prefix in front of each
    row.
    """
    grid = np.zeros((len(carriers), numerology.n_fft), np.complex64)
    half = numerology.used // 2
    grid[:, -half:], grid[:, 1 : half + 1] = carriers[:, :half], carriers[:, half:]
    body = fft.ifft(grid, axis=1, norm="ortho", overwrite_x=True)
    samples = np.empty((len(carriers), numerology.symbol), np.complex64)
    samples[:, : numerology.cp] = body[:, numerology.n_fft - numerology.cp :]
    samples[:, numerology.cp :] = body
    return samples.ravel()


def pn_phases(length: int, offset: int = 0) -> np.ndarray:
    """complex64 (length,): 1, j, -1 or -j from pairs of bits of the PN sequence."""
    bits = pn_bits(2 * length, offset).reshape(-1, 2)
    return np.array([1, 1j, -1, -1j], np.complex64)[2 * bits[:, 0] + bits[:, 1]]


def _lowest_crest(numerology: Numerology, amplitude: np.ndarray, seed: int) -> np.ndarray:
    """Phases (used,) of unit size with a low peak for these amplitudes."""
    phases = np.stack([pn_phases(numerology.used, seed + 29 * i) for i in range(_CANDIDATES)])
    grid = np.zeros((_CANDIDATES, _OVERSAMPLING * numerology.n_fft), np.complex128)
    grid[:, numerology.carriers] = amplitude * phases
    best = int(np.argmin(np.abs(fft.ifft(grid, axis=1)).max(axis=1)))
    grid, chosen = grid[best], phases[best].astype(np.complex128)
    for _ in range(_CLIPPING_ROUNDS):
        wave = fft.ifft(grid)
        size = np.abs(wave)
        limit = _CLIPPING_LEVEL * np.sqrt(np.mean(size**2))
        clipped = fft.fft(wave * np.minimum(1, limit / np.maximum(size, 1e-30)))[numerology.carriers]
        chosen = clipped / np.maximum(np.abs(clipped), 1e-30)
        grid[numerology.carriers] = amplitude * chosen
    return chosen
