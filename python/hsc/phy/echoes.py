"""The channel as a few echoes, which need not lie on samples, and little else between them.

Few unknowns leave little error: one over all delays of the cyclic prefix costs 0.1 to 0.14 dB of every
symbol, one path alone 0.01 dB.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import fft

from .estimation import ChannelEstimator
from .numerology import Numerology

# Delays that are tried in each sample: a quarter leaves −15 dB of a path that lies between two, and one or
# two more echoes for that.
_PER_SAMPLE = 4
# An echo is one when its power exceeds the noise at its delay by this much beyond the logarithm of the number
# of taps, which is what the strongest of as many noise values has. Chosen by trial.
_BEYOND_CHANCE = 2.0
# Most echoes that are looked for, and one in how many taps at most: a denser channel is estimated over all
# taps alike. Chosen by trial.
_MOST_ECHOES = 16
_TAPS_PER_ECHO = 3
# Share of a new echo's energy that those found before must leave over: float32 solves what remains.
_LEAST_NEW = 1e-3


class EchoEstimator:
    """Channel from known symbols: echoes one by one (orthogonal matching pursuit: Y. C. Pati et al., Asilomar
    1993), then an MMSE estimate of what they leave, over all taps, as strong as that is beyond noise; that
    alone where there are too many.

    Args:
        numerology: which carriers there are.
        weight: float (used,), energy of the known symbols on each carrier.
        taps: the estimator over all taps, of the same weight.
    """

    def __init__(self, numerology: Numerology, weight: np.ndarray, taps: ChannelEstimator):
        self._taps = taps
        self._weight = weight.astype(np.float32)
        self._energy = float(weight.sum())
        self._size = _PER_SAMPLE * numerology.n_fft
        self._carriers = numerology.carriers
        self._delays = np.arange(_PER_SAMPLE * taps.first, _PER_SAMPLE * taps.last + 1)
        turns = np.outer((-2 * np.pi / self._size) * self._delays, self._carriers)
        self._paths = np.exp(1j * turns).astype(np.complex64)
        # what the first delay has in common with one that is later by −(delays − 1) … delays − 1
        self._overlap = self._correlate(self._weight, np.arange(1 - self._delays.size, self._delays.size))
        self._most = min(_MOST_ECHOES, taps.taps // _TAPS_PER_ECHO)
        self._enough = (math.log(taps.taps) + _BEYOND_CHANCE) * self._energy

    def estimate(self, matched: np.ndarray, noise_variance: float) -> tuple[np.ndarray, float]:
        """Sum over rows of conj(known) · received, complex64 (used,), and its noise variance per unit of
        weight → channel, complex64 (used,), and how many unknowns the noise had a hand in.
        """
        common = self._correlate(matched, self._delays)
        found, left = self._find(common, noise_variance)
        if len(found) in (0, self._most):
            return self._taps.remainder(matched, noise_variance)
        apart = np.subtract.outer(found, found) + (self._delays.size - 1)
        gains = np.linalg.solve(self._overlap[apart], common[found])
        channel = gains @ self._paths[found]
        if not self._taps.beyond_noise(left[::_PER_SAMPLE], noise_variance):
            return channel, float(len(found))
        rest, more = self._taps.remainder(matched - self._weight * channel, noise_variance)
        return channel + rest, len(found) + more

    def _correlate(self, matched: np.ndarray, delays: np.ndarray) -> np.ndarray:
        """Carriers (used,) → what they have in common with each delay, complex64 (delays,)."""
        grid = np.zeros(self._size, np.complex64)
        grid[self._carriers] = matched
        return fft.ifft(grid, norm="forward", overwrite_x=True)[delays]

    def _find(self, left: np.ndarray, noise_variance: float) -> tuple[list[int], np.ndarray]:
        """Correlation with each delay, (delays,), → which delays stand out of noise, and what they leave of
        it.

        Each that is found is taken out of the correlation and of the delays that come later.
        """
        least, size = max(self._enough * noise_variance, 1e-30), left.size
        found: list[int] = []
        taken = np.empty((self._most, size), np.complex64)
        for count in range(self._most):
            power = left.real**2 + left.imag**2
            place = int(power.argmax())
            if power[place] < least:
                break
            new = self._overlap[size - 1 - place : 2 * size - 1 - place]
            if count:
                new = new - taken[:count, place].conj() @ taken[:count]
            own = float(new[place].real)
            if own < _LEAST_NEW * self._energy:
                break
            np.multiply(new, np.float32(1 / math.sqrt(own)), out=taken[count])
            left = left - new * (left[place] / np.float32(own))
            found.append(place)
        return found, left
