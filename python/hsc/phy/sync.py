"""Finding bursts: a Schmidl-Cox search over the stream, then a matched filter over the whole preamble at every even integer CFO.

Source: T. M. Schmidl and D. C. Cox, "Robust frequency and timing synchronization for OFDM", IEEE Trans. Commun. 45 (12), 1997,
equations (5) to (8). Here P also takes in the cyclic prefix, which is as periodic as the symbol itself.
"""

from __future__ import annotations

import cmath
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import gcd

import numpy as np
from scipy import fft

from .numerology import Numerology
from .preamble import preamble_samples

Lines = tuple[float, ...]
LEAK: Lines = (0.0,)
MAX_INTEGER_CFO = 8
# |P| / R that makes a candidate. In noise one window of 48 samples in 2 000 passes; a preamble at 0 dB is at 0.62 ± 0.06.
_CANDIDATE = 0.39
# Share of the window's energy that must fit the preamble: exp(-20) of all noise windows pass, and never less than 0.06.
_CONFIRM_EXPONENT, _CONFIRM_LEAST = 20.0, 0.06
# A steady carrier that holds this share of the energy is a line; of so many at most.
_LINE_SHARE, _MOST_LINES = 0.1, 4
# Frequencies of lines are on a grid of so many in a cycle per sample, so that what is computed for one serves while it stays. The error
# turns it by 0.02 rad within the longest preamble.
_LINE_GRID = 1 << 18
# Share of the energy below which what is left of a window is rounding: float32 errors are a thirtieth of it.
_ROUNDING = 1e-5
# |P| / R all over the band, beside a carrier: a preamble at 0 dB is at 0.6 and one in a hundred below 0.45, where one window of noise in a
# hundred is above. Less energy than this share of the whole does not count, for it is what the window lets through of a strong carrier.
_WIDE, _LEAST_LEFT = 0.45, 0.01
# Combinations of lines that are weaker than this share of the strongest one are rounding.
_LEAST_STRENGTH = 0.01
# Samples that the turns of a line are made of at once.
_ROW = 128
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


def find_lines(samples: np.ndarray) -> Lines:
    """0 and the frequencies [cycles per sample] of the strongest steady carriers in samples (n,), those that stand out of the others.

    A transmitter's carrier leak is one, at its carrier frequency offset. A burst has none: its carriers change with every symbol.
    """
    size, lines = len(samples), LEAK
    while len(lines) < _MOST_LINES:
        spectrum = fft.fft(samples if lines == LEAK else _without(lines, samples))
        spectrum[[round(line * size) % size for line in lines]] = 0
        power = spectrum.real**2 + spectrum.imag**2
        peak = int(power.argmax())
        if power[peak] <= _LINE_SHARE * np.add.reduce(power):
            break
        first, second = np.add.reduce((samples * _turns(-peak / size, size)).reshape(2, -1), axis=1)
        bins = cmath.phase(np.conj(first) * second) / np.pi
        lines += (round((peak + min(max(bins, -0.5), 0.5)) / size * _LINE_GRID) / _LINE_GRID,)
    return lines


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


@dataclass(frozen=True)
class Candidates:
    """Where the metric stands out, one place for each run of hits.

    Attributes:
        first: int64 (runs,), entry where the run begins.
        best: int64 (runs,), entry of its maximum.
        cfo: float64 (runs,), fractional CFO there, (-1, 1] subcarriers.
    """

    first: np.ndarray
    best: np.ndarray
    cfo: np.ndarray


class Synchroniser:
    """Finds preambles of one numerology in an array of samples.

    Lines, carriers that stand still, correlate perfectly with themselves: in every window that is looked at they are projected out.
    `lines` are their frequencies [cycles per sample]; the receiver's own carrier leak at 0 is always one of them.

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

    def metric(self, samples: np.ndarray, lines: Lines = LEAK) -> tuple[np.ndarray, np.ndarray]:
        """Samples (n,) -> P and R on every `step`-th sample: correlation of the two halves, complex64, and their mean energy, float32.

        Entry i is for the window that starts at sample i · step; entries whose windows do not fit are left out. Both are without the lines.
        """
        if len(samples) < self.window + self.half:
            return np.zeros(0, np.complex64), np.zeros(0, np.float32)
        x, cells, shift = samples[: len(samples) // self.step * self.step], self.window // self.step, self.half // self.step
        parts = x.view(np.float32)
        squares = _sum_cells((parts * parts).view(np.complex64), self.step)
        energy = moving_sum(squares.real + squares.imag, cells)
        correlation = moving_sum(_sum_cells(np.conj(x[: -self.half]) * x[self.half :], self.step), cells)
        count, left = len(correlation), energy.copy()
        for along in self._along(x, lines):
            left -= along.real**2 + along.imag**2
            correlation -= np.conj(along[:count]) * along[shift : shift + count]
        np.maximum(left, _ROUNDING * energy, out=left)
        return correlation, (left[:count] + left[shift : shift + count]) / 2

    def _along(self, x: np.ndarray, lines: Lines) -> Iterator[np.ndarray]:
        """What each window of `metric` holds along each vector of an orthonormal basis of the lines, complex64 (entries,)."""
        sums = []
        for line in lines:
            total = moving_sum(_sum_cells(x * _turns(-line, len(x)) if line else x, self.step), self.window // self.step)
            sums.append(total * _turns(line * self.step, len(total)) if line else total)
        for weights in _weights(lines, self.window):
            yield sum((weight * total for weight, total in zip(weights[1:], sums[1:], strict=True)), weights[0] * sums[0])

    def candidates(self, correlation: np.ndarray, mean_energy: np.ndarray) -> Candidates:
        """The runs of hits, each as long as the span. One that reaches past the last entry counts too: its maximum may lie beyond."""
        size, span = np.abs(correlation), self.span // self.step
        hits = (size > _CANDIDATE * mean_energy).nonzero()[0]
        if not hits.size:
            return Candidates(hits, hits, np.zeros(0))
        after = np.searchsorted(hits, hits + span).tolist()
        chosen, at = [], 0
        while at < len(hits):
            chosen.append(at)
            at = after[at]
        first = hits[np.array(chosen, np.int64)]
        entries = np.minimum(first[:, None] + np.arange(span), len(size) - 1)
        best = first + np.argmax(size[entries] / np.maximum(mean_energy[entries], 1e-30), axis=1)
        return Candidates(first, best, np.angle(correlation[best]) / np.pi)

    def wide_band(self, samples: np.ndarray, candidates: np.ndarray, lines: Lines = LEAK) -> np.ndarray:
        """Which candidates (indices into `samples`) correlate all over the band, bool (candidates,).

        A carrier that moves, which no line takes away, is told apart here, at a fraction of what `confirm` costs: P / R once more, from the
        spectra of the two windows, where no bin counts for more than two ordinary ones.
        """
        entries, taper = self._windows
        windows = _without(lines, samples[candidates[:, None, None] + entries])
        spectra = fft.fft(windows * taper, axis=2)
        energy = (spectra.real**2 + spectra.imag**2).sum(axis=1)
        limited = np.minimum(energy, 2 * np.partition(energy, self.window // 2, axis=1)[:, self.window // 2, None])
        product = np.conj(spectra[:, 0]) * spectra[:, 1] * (limited / np.maximum(energy, 1e-30))
        left = limited.sum(axis=1)
        return (np.abs(product.sum(axis=1)) > _WIDE / 2 * left) & (left > _LEAST_LEFT * energy.sum(axis=1))

    def confirm(self, samples: np.ndarray, candidates: np.ndarray, cfo: np.ndarray, lines: Lines = LEAK) -> Sync | None:
        """The first of the candidates (indices into `samples`, with their fractional CFO) that is a preamble, or None.

        Needs `lookback` samples before and `lookahead` after each candidate.
        """
        starts = candidates - self.lookback
        received = samples[starts[:, None] + np.arange(self._length)]
        segments = _without(lines, received)
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
                # where there is next to no line, the projection only takes away from the carrier that lies there
                lines_energy = float(np.vdot(received[row], received[row]).real - np.vdot(segments[row], segments[row]).real)
                source = segments if lines_energy > _LINE_SHARE * energy else received
                fraction = self._fractional(source[row, lag : lag + self.numerology.symbol], float(cfo[row]))
                return Sync(int(starts[row]) + lag, integer + fraction, min(quality, 1.0))
        return None

    def _fractional(self, symbol: np.ndarray, near: float) -> float:
        """Fractional CFO from the halves of the first symbol, echoes kept out by half of its cyclic prefix; the turn nearest to `near`."""
        body = symbol[self.numerology.cp // 2 :]
        cfo = float(np.angle(np.vdot(body[: -self.half], body[self.half :])) / np.pi)
        return cfo + 2 * round((near - cfo) / 2)

    @cached_property
    def _windows(self) -> tuple[np.ndarray, np.ndarray]:
        """Samples of the metric's two windows, int64 (2, window), and a Hann window, float32 (window,)."""
        return np.array([[0], [self.half]]) + np.arange(self.window), np.hanning(self.window + 2)[1:-1].astype(np.float32)

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


def _turns(frequency: float, count: int) -> np.ndarray:
    """exp(2πj · frequency · n), complex64 (count,), frequency in cycles per sample."""
    return _table_of_turns(frequency, max(_ROW, 1 << (count - 1).bit_length()))[:count]


@lru_cache(maxsize=32)
def _table_of_turns(frequency: float, count: int) -> np.ndarray:
    """The turns of rows times those within a row: the search for every numerology takes them from here."""
    rows, within = (np.exp(2j * np.pi * (frequency * step % 1) * np.arange(size)) for step, size in ((_ROW, count // _ROW), (1, _ROW)))
    return np.multiply.outer(rows.astype(np.complex64), within.astype(np.complex64)).ravel()


def _without(lines: Lines, segments: np.ndarray) -> np.ndarray:
    """Segments (…, length) without what they hold of the lines."""
    basis = _basis(lines, segments.shape[-1])
    return segments - (segments @ np.conj(basis).T) @ basis


def _carriers(lines: Lines, length: int) -> np.ndarray:
    """The lines as samples, complex128 (lines, length)."""
    return np.exp(2j * np.pi * np.outer(lines, np.arange(length)))


@lru_cache(maxsize=64)
def _basis(lines: Lines, length: int) -> np.ndarray:
    """Orthonormal basis of the lines over `length` samples, complex64 (rank, length)."""
    return (np.conj(_weights(lines, length)) @ _carriers(lines, length)).astype(np.complex64)


@lru_cache(maxsize=64)
def _weights(lines: Lines, length: int) -> np.ndarray:
    """What makes coefficients of that basis of sums over samples that each line turned back, complex64 (rank, lines).

    Lines that hardly differ over so few samples count as one.
    """
    left, strength, _ = np.linalg.svd(_carriers(lines, length), full_matrices=False)
    kept = strength > _LEAST_STRENGTH * strength[0]
    return (left.T / strength[:, None])[kept].astype(np.complex64)
