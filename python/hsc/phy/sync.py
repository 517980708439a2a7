"""Finding bursts: a Schmidl-Cox search over the stream, then a matched filter over the whole preamble at
every even integer CFO.

Source: T. M. Schmidl and D. C. Cox, "Robust frequency and timing synchronization for OFDM", IEEE Trans.
Commun. 45 (12), 1997, equations (5) to (8). Here P also takes in the cyclic prefix, which is as periodic as
the symbol itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import gcd

import numpy as np
from scipy import fft

from .lines import moving_sum
from .numerology import Numerology
from .preamble import preamble_samples

# Largest carrier frequency offset [subcarriers]; even, as the search goes in steps of two.
MAX_INTEGER_CFO = 8
# |P| / R that makes a candidate. In noise one window of 48 samples in 2 000 passes; a preamble at 0 dB is at
# 0.62 ± 0.06.
_CANDIDATE = 0.39
# Share of the window's energy that must fit the preamble, times its samples: exp(-20) of all noise windows
# pass.
_CONFIRM_EXPONENT = 20.0
# Least share that must fit, however long the window is. Chosen by trial.
_CONFIRM_LEAST = 0.06
# Share of its energy over which a constant part of the samples is a carrier leak that turns their phase.
# Chosen by trial.
_LEAK_SHARE = 0.1
# Share of the energy below which what is left of a window is rounding: float32 errors are a thirtieth of it.
_ROUNDING = 1e-5
# |P| / R all over the band, beside a carrier. A preamble at 0 dB is at 0.6 and one in a hundred below 0.45,
# where one window of noise in a hundred is above.
_WIDE = 0.45
# Share of the window's energy below which what is left does not count: it is what the window lets through of
# a strong carrier.
_LEAST_LEFT = 0.01
# Steps in a subcarrier of the CFOs by which the matched filter turns back: at most 0.07 rad are left at its
# ends.
_CFO_GRID = 128
# Share of the strongest path's power from which on a path counts as the first: the sidelobes of the preamble
# are below.
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


@dataclass(frozen=True)
class Cells:
    """Samples by cells of a few neighbours, the part of the search that all numerologies share.

    Attributes:
        size: samples of a cell, a power of two.
        energy: float32 (cells,).
        sums: complex64 (cells,).
    """

    size: int
    energy: np.ndarray
    sums: np.ndarray

    @classmethod
    def of(cls, samples: np.ndarray, size: int) -> Cells:
        """The cells of samples, complex64 (n,); those behind the last whole one are left out."""
        samples = samples[: len(samples) // size * size]
        parts = samples.view(np.float32)
        squares = _sum_cells((parts * parts).view(np.complex64), size)
        return cls(size, squares.real + squares.imag, _sum_cells(samples, size))

    def between(self, first: int, last: int, size: int) -> Cells:
        """Larger cells of the samples first .. last - 1, where first is a multiple of this size."""
        times, begin = size // self.size, first // self.size
        part = slice(begin, begin + (last - first) // size * times)
        return Cells(size, _sum_cells(self.energy[part], times), _sum_cells(self.sums[part], times))


@dataclass(frozen=True)
class Candidates:
    """Where the metric stands out, one place for each run of hits.

    Attributes:
        first: int64 (runs,), entry where the run begins.
        best: int64 (runs,), entry of its maximum.
        ratio: float32 (runs,), |P| / R there.
        cfo: float64 (runs,), fractional CFO there, (-1, 1] subcarriers.
    """

    first: np.ndarray
    best: np.ndarray
    ratio: np.ndarray
    cfo: np.ndarray


class Synchroniser:
    """Finds preambles of one numerology in an array of samples.

    A constant part, such as the receiver's carrier leak, correlates perfectly with itself: it is projected
    out of every window.

    Attributes:
        step: samples from one entry of the metric to the next.
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

    def metric(self, samples: np.ndarray, cells: Cells | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Samples (n,) → P and R on every `step`-th sample: correlation of the two halves, complex64, and
        their mean energy, float32.

        Entry i is for the window that starts at sample i · step; entries whose windows do not fit are left
        out. Both are without the windows' means. `cells` are those of the samples, of size `step`, where they
        are known.
        """
        if len(samples) < self.window + self.half:
            return np.zeros(0, np.complex64), np.zeros(0, np.float32)
        cells = Cells.of(samples, self.step) if cells is None else cells
        x = samples[: len(cells.sums) * self.step]
        length, shift = self.window // self.step, self.half // self.step
        energy = moving_sum(cells.energy, length)
        mean = moving_sum(cells.sums, length) * np.float32(self.window**-0.5)
        left = np.maximum(energy - (mean.real**2 + mean.imag**2), _ROUNDING * energy)
        product = np.conj(x[: -self.half])
        product *= x[self.half :]
        correlation = moving_sum(_sum_cells(product, self.step), length)
        correlation -= np.conj(mean[:-shift]) * mean[shift:]
        return correlation, (left[:-shift] + left[shift:]) / 2

    def candidates(self, correlation: np.ndarray, mean_energy: np.ndarray) -> Candidates:
        """The runs of hits, each as long as the span. One that reaches past the last entry counts too: its
        maximum may lie beyond.
        """
        ratio, span = np.abs(correlation) / np.maximum(mean_energy, 1e-30), self.span // self.step
        hits = (ratio > _CANDIDATE).nonzero()[0]
        if not hits.size:
            return Candidates(hits, hits, ratio[hits], np.zeros(0))
        after = np.searchsorted(hits, hits + span).tolist()
        chosen, at = [], 0
        while at < len(hits):
            chosen.append(at)
            at = after[at]
        first = hits[np.array(chosen, np.int64)]
        best = first + np.argmax(ratio[np.minimum(first[:, None] + np.arange(span), len(ratio) - 1)], axis=1)
        return Candidates(first, best, ratio[best], np.angle(correlation[best]) / np.pi)

    def wide_band(self, samples: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        """Which candidates (indices into `samples`) correlate all over the band, bool (candidates,).

        A carrier that moves is told apart here, at a fraction of what `confirm` costs: P / R once more, from
        the spectra of the two windows, where no bin counts for more than two ordinary ones.
        """
        entries, taper = self._windows
        windows = _centred(samples[candidates[:, None, None] + entries])
        spectra = fft.fft(windows * taper, axis=2)
        energy = (spectra.real**2 + spectra.imag**2).sum(axis=1)
        middle = self.window // 2
        limited = np.minimum(energy, 2 * np.partition(energy, middle, axis=1)[:, middle, None])
        product = np.conj(spectra[:, 0]) * spectra[:, 1] * (limited / np.maximum(energy, 1e-30))
        left = limited.sum(axis=1)
        return (np.abs(product.sum(axis=1)) > _WIDE / 2 * left) & (left > _LEAST_LEFT * energy.sum(axis=1))

    def confirm(self, samples: np.ndarray, candidates: np.ndarray, cfo: np.ndarray) -> Sync | None:
        """The first of the candidates (indices into `samples`, with their fractional CFO) that is a preamble,
        or None.

        Needs `lookback` samples before and `lookahead` after each candidate.
        """
        starts = candidates - self.lookback
        received = samples[starts[:, None] + np.arange(self._length)]
        segments = _centred(received)
        for row, power in enumerate(self._matched_power(segments, cfo)):
            shift, lag = divmod(int(np.argmax(power)), power.shape[1])
            body = segments[row, lag : lag + 2 * self.numerology.symbol]
            energy = float(np.vdot(body, body).real)
            quality = float(power[shift, lag]) / energy if energy > 0 else 0.0
            if quality >= self._confirm:
                lag = self._first_path(power[shift], lag)
                # where there is next to no leak, taking the mean away only takes away from the carrier that
                # lies there
                leak = _energy(received[row]) - _energy(segments[row])
                source = segments if leak > _LEAK_SHARE * energy else received
                fraction = self._fractional(source[row, lag : lag + self.numerology.symbol], float(cfo[row]))
                integer = 2 * shift - MAX_INTEGER_CFO
                return Sync(int(starts[row]) + lag, integer + fraction, min(quality, 1.0))
        return None

    def _matched_power(self, segments: np.ndarray, cfo: np.ndarray) -> np.ndarray:
        """Segments (n, length) and their fractional CFO → power behind the filter that is matched to the
        preamble, float32 (n, hypotheses, lags).
        """
        steps = np.rint(-_CFO_GRID * cfo).astype(np.int64)
        turns = self._roots[steps[:, None] * np.arange(self._length) % len(self._roots)]
        spectrum = fft.fft(segments * turns, axis=1)
        filtered = fft.ifft(spectrum[:, None] * self._templates, axis=2)[:, :, : 2 * self.lookback]
        return filtered.real**2 + filtered.imag**2

    def _first_path(self, power: np.ndarray, strongest: int) -> int:
        """Lag of the first strong path, which is no more than a cyclic prefix before the strongest."""
        earlier = power[max(0, strongest - self.numerology.cp) : strongest + 1]
        return strongest - (len(earlier) - 1) + int(np.argmax(earlier >= _FIRST_PATH * earlier[-1]))

    def _fractional(self, symbol: np.ndarray, near: float) -> float:
        """Fractional CFO from the halves of the first symbol, echoes kept out by half of its cyclic prefix;
        the turn nearest to `near`.
        """
        body = symbol[self.numerology.cp // 2 :]
        cfo = float(np.angle(np.vdot(body[: -self.half], body[self.half :])) / np.pi)
        return cfo + 2 * round((near - cfo) / 2)

    @cached_property
    def _windows(self) -> tuple[np.ndarray, np.ndarray]:
        """Samples of the metric's two windows, int64 (2, window), and a Hann window, float32 (window,)."""
        entries = np.array([[0], [self.half]]) + np.arange(self.window)
        return entries, np.hanning(self.window + 2)[1:-1].astype(np.float32)

    @cached_property
    def _roots(self) -> np.ndarray:
        """Roots of unity, complex64: the turns of a CFO of a grid's step."""
        count = _CFO_GRID * self.numerology.n_fft
        return np.exp(2j * np.pi / count * np.arange(count)).astype(np.complex64)

    @cached_property
    def _templates(self) -> np.ndarray:
        """complex64 (hypotheses, length): conjugate spectra of the preamble at -8, -6 .. 8 subcarriers, unit
        energy.
        """
        preamble = preamble_samples(self.numerology)
        spectrum = np.conj(fft.fft(preamble / np.linalg.norm(preamble), self._length))
        shifts = [
            cfo * self._length // self.numerology.n_fft
            for cfo in range(-MAX_INTEGER_CFO, MAX_INTEGER_CFO + 1, 2)
        ]
        return np.stack([np.roll(spectrum, shift) for shift in shifts])


def _sum_cells(x: np.ndarray, size: int) -> np.ndarray:
    """Sums of `size` (a power of two) neighbours that do not overlap."""
    while size > 1:
        x = x[0::2] + x[1::2]
        size //= 2
    return x


def _energy(samples: np.ndarray) -> float:
    """Sum of |x|²."""
    return float(np.vdot(samples, samples).real)


def _centred(segments: np.ndarray) -> np.ndarray:
    """Segments (…, length) without their means."""
    return segments - np.add.reduce(segments, axis=-1, keepdims=True) * np.float32(1 / segments.shape[-1])
