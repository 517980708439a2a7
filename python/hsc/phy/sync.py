"""Finding bursts: a Schmidl-Cox search over the stream, then a matched filter over the whole preamble at every even integer CFO.

Source: T. M. Schmidl and D. C. Cox, "Robust frequency and timing synchronization for OFDM", IEEE Trans. Commun. 45 (12), 1997,
equations (5) to (8). Here P also takes in the cyclic prefix, which is as periodic as the symbol itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import gcd

import numpy as np
from scipy import fft

from .numerology import Numerology
from .preamble import preamble_samples

MAX_INTEGER_CFO = 8
# |P| / R that makes a candidate. In noise one window of 48 samples in 2 000 passes; a preamble at 0 dB is at 0.62 ± 0.06.
_CANDIDATE = 0.39
# Share of the window's energy that must fit the preamble: exp(-20) of all noise windows pass, and never less than 0.06.
_CONFIRM_EXPONENT, _CONFIRM_LEAST = 20.0, 0.06
# A path counts as the first when it has an eighth of the strongest one's power: the sidelobes of the preamble are below.
_FIRST_PATH = 0.125


@dataclass(frozen=True)
class Sync:
    """A preamble that was found.

    Attributes:
        start: index of the burst's first sample, that of the first strong path.
        cfo: carrier frequency offset [subcarriers], good to some hundredths.
        quality: share of the received energy that the strongest path of the preamble explains, 0 to 1.
    """

    start: int
    cfo: float
    quality: float


def moving_sum(x: np.ndarray, length: int) -> np.ndarray:
    """Sums of `length` neighbours, (n,) -> (n - length + 1,), by doubling.

    Unlike a difference of cumulative sums it keeps float32 accurate next to samples of any size.
    """
    total, offset, size = None, 0, 1
    while True:
        if length & size:
            total = x if total is None else total[: len(x) - offset] + x[offset:]
            offset += size
        if 2 * size > length:
            return total
        x = x[:-size] + x[size:]
        size *= 2


class Synchroniser:
    """Finds preambles of one numerology in an array of samples.

    Attributes:
        lookback: samples that `confirm` needs before a candidate.
        lookahead: samples that it needs after it.
        span: hits within this many samples of the first are one candidate.
    """

    def __init__(self, numerology: Numerology):
        self.numerology = numerology
        common = gcd(numerology.cp, numerology.n_fft // 2)
        self.step = max(1, (common & -common) // 4)
        self.half = numerology.n_fft // 2
        self.window = numerology.cp + self.half
        self.span = numerology.symbol
        self.lookback = self.half + self.step
        length = 2 * numerology.symbol + 2 * self.lookback
        self._length = -(-length // self.half) * self.half
        self.lookahead = self._length - self.lookback
        self._confirm = max(_CONFIRM_LEAST, _CONFIRM_EXPONENT / (2 * numerology.symbol))

    def metric(self, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Samples (n,) -> P and R on every `step`-th sample: correlation of the two halves, complex64, and their mean energy, float32.

        Entry i is for the window that starts at sample i · step; entries whose windows do not fit are left out.
        """
        if len(samples) < self.window + self.half:
            return np.zeros(0, np.complex64), np.zeros(0, np.float32)
        x = samples[: len(samples) // self.step * self.step]
        product = _sum_cells(np.conj(x[: -self.half]) * x[self.half :], self.step)
        parts = x.view(np.float32)
        energy = moving_sum(_sum_cells(parts * parts, 2 * self.step), self.window // self.step)
        correlation = moving_sum(product, self.window // self.step)
        shift = self.half // self.step
        return correlation, (energy[: len(correlation)] + energy[shift : shift + len(correlation)]) / 2

    def candidates(self, correlation: np.ndarray, mean_energy: np.ndarray) -> Iterator[tuple[int, int, float]]:
        """Yield (first, best, cfo) for each run of hits: entry where it begins, entry of its maximum, fractional CFO (-1, 1].

        A run whose span reaches past the last entry is yielded too: its maximum may lie beyond.
        """
        size = np.abs(correlation)
        hits = np.flatnonzero(size > _CANDIDATE * mean_energy)
        span = self.span // self.step
        at = 0
        while at < len(hits):
            first = int(hits[at])
            part = slice(first, first + span)
            best = first + int(np.argmax(size[part] / np.maximum(mean_energy[part], 1e-30)))
            yield first, best, float(np.angle(correlation[best]) / np.pi)
            at = int(np.searchsorted(hits, first + span))

    def confirm(self, samples: np.ndarray, candidates: np.ndarray, cfo: np.ndarray) -> Sync | None:
        """The first of the candidates (indices into `samples`, with their fractional CFO) that is a preamble, or None.

        Needs `lookback` samples before and `lookahead` after each candidate.
        """
        starts = candidates - self.lookback
        segments = samples[starts[:, None] + np.arange(self._length)]
        turn = np.exp(-2j * np.pi / self.numerology.n_fft * cfo[:, None] * np.arange(self._length)).astype(np.complex64)
        spectrum = fft.fft(segments * turn, axis=1)
        filtered = fft.ifft(spectrum[:, None] * self._templates, axis=2)[:, :, : 2 * self.lookback]
        power = filtered.real**2 + filtered.imag**2
        for row, shape in enumerate(power):
            shift, lag = divmod(int(np.argmax(shape)), shape.shape[1])
            body = segments[row, lag : lag + 2 * self.numerology.symbol]
            energy = float(np.vdot(body, body).real)
            quality = float(shape[shift, lag]) / energy if energy > 0 else 0.0
            if quality >= self._confirm:
                earlier = shape[shift, max(0, lag - self.numerology.cp) : lag + 1]
                lag -= len(earlier) - 1 - int(np.argmax(earlier >= _FIRST_PATH * earlier[-1]))
                integer = 2 * shift - MAX_INTEGER_CFO
                start = int(starts[row]) + lag
                return Sync(start, integer + self._fractional(samples, start, float(cfo[row])), min(quality, 1.0))
        return None

    def _fractional(self, samples: np.ndarray, start: int, near: float) -> float:
        """Fractional CFO from the halves of the first symbol, echoes kept out by half of its cyclic prefix; the turn nearest to `near`."""
        body = samples[start + self.numerology.cp // 2 : start + self.numerology.symbol]
        cfo = float(np.angle(np.vdot(body[: -self.half], body[self.half :])) / np.pi)
        return cfo + 2 * round((near - cfo) / 2)

    @cached_property
    def _templates(self) -> np.ndarray:
        """complex64 (hypotheses, length): conjugate spectra of the preamble at -8, -6 .. 8 subcarriers, unit energy."""
        preamble = preamble_samples(self.numerology)
        spectrum = np.conj(fft.fft(preamble / np.linalg.norm(preamble), self._length))
        shifts = [cfo * self._length // self.numerology.n_fft for cfo in range(-MAX_INTEGER_CFO, MAX_INTEGER_CFO + 1, 2)]
        return np.stack([np.roll(spectrum, shift) for shift in shifts])


def _sum_cells(x: np.ndarray, size: int) -> np.ndarray:
    """Sums of `size` (a power of two) neighbours that do not overlap."""
    while size > 1:
        x = x[0::2] + x[1::2]
        size //= 2
    return x
