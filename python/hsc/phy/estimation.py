"""What the receiver estimates from known symbols: channel, noise, rotation, clock drift. Whole packets at a
time, no decisions.

Conventions: row s of a burst is its s-th OFDM symbol, the preamble being rows 0 and 1. All estimates are
referred to row `REFERENCE_ROW`, between the two. `drift` is how much later each row comes than the one before
it, in samples, beyond its nominal length.
"""

from __future__ import annotations

import cmath
import math
from functools import lru_cache

import numpy as np
from scipy import fft

from .numerology import PREAMBLE_SYMBOLS, Numerology

# Row that all estimates are referred to: between the two of the preamble.
REFERENCE_ROW = 0.5
# Largest clock drift that is followed [samples per sample]: two crystals that are 30 ppm off in opposite
# directions.
MAX_DRIFT = 60e-6
# Standard deviation of the clock drift beforehand [samples per sample]: half of the largest.
_EXPECTED_DRIFT = 30e-6
# Pilots averaged for one phase: 64 cost 0.03 dB at 5 dB SNR.
_PHASE_PILOTS = 64
# Least diagonal loading of the channel estimate, over the largest eigenvalue of the Gram matrix: float32
# rounds at 6e-8.
_LEAST_LOADING = 1e-7
# Rounds of FOCUSS. Chosen by trial.
_ECHO_ROUNDS = 8
# Error that the echoes need not explain, over the channel's power: their delays lie between samples. Chosen
# by trial.
_ECHO_FLOOR = 1e-4
# Share of the strongest delay's power below which a round of FOCUSS drops a delay. Chosen by trial.
_ECHO_LEAST = 1e-7
# Most Gauss-Newton steps on the drift.
_DRIFT_STEPS = 4
# They end when a step turns the outer pilots of the last row by less than this [rad].
_DRIFT_TOLERANCE = 3e-3


class ChannelEstimator:
    """Linear MMSE estimate of an impulse response no longer than the cyclic prefix, with an eighth of it to
    spare at both ends.

    The FFT windows start `margin` samples before the end of the cyclic prefix of the first path; the spare
    taps take up the tails of paths that fall between samples. All taps are taken to be equally strong
    beforehand (van de Beek et al., "On channel estimation in OFDM systems", VTC 1995), which makes the
    estimate a diagonal weighting in the eigenvectors of the Gram matrix.

    Args:
        numerology: which carriers there are.
        weight: float (used,), energy of the known symbols on each carrier.

    Attributes:
        taps: number of delays.
        first, last: delays [samples], from the first to the last.
        response: complex64 (used, taps), what a path of each delay does to the carriers.
    """

    def __init__(self, numerology: Numerology, weight: np.ndarray):
        margin = window_margin(numerology)
        taps = np.arange(-margin, numerology.cp + margin + 1)
        response = np.exp(-2j * np.pi / numerology.n_fft * np.outer(numerology.carriers, taps))
        self._gram, vectors = np.linalg.eigh(response.conj().T @ (response * weight[:, None]))
        self._sum, self._sum_square = float(self._gram.sum()), float(self._gram @ self._gram)
        self._modes = (response @ vectors).astype(np.complex64)
        self._adjoint = np.ascontiguousarray(self._modes.conj().T)
        self._weight = float(weight.mean())
        self.taps = taps.size
        self.first, self.last = int(taps[0]), int(taps[-1])
        self.response = response.astype(np.complex64)
        self._cross = self.response.conj().T @ self.response

    def estimate(self, matched: np.ndarray, noise_variance: float) -> np.ndarray:
        """Sum over rows of conj(known) · received, (used,), and its noise variance per unit of weight →
        channel, complex64 (used,).
        """
        power = float(np.vdot(matched, matched).real) / matched.size / self._weight**2
        loading = max(self.taps * noise_variance / max(power, 1e-30), _LEAST_LOADING * self._gram[-1])
        return self._modes @ ((self._adjoint @ matched) / (self._gram + loading).astype(np.float32))

    def beyond_noise(self, taps: np.ndarray, noise_variance: float) -> float:
        """Power of a tap that what is received in common with each of them, or with each of their modes,
        (taps,), shows beyond noise; 0 unless it is more than the standard deviation that noise gives it.
        """
        least = noise_variance * math.sqrt(self._sum_square)
        beyond = float(np.vdot(taps, taps).real) - noise_variance * self._sum
        return beyond / self._sum_square if beyond > least else 0.0

    def remainder(self, matched: np.ndarray, noise_variance: float) -> tuple[np.ndarray, float]:
        """As `estimate`, for a channel that may be noise alone: its taps are as strong as what is there
        beyond.

        Returns the channel, complex64 (used,), and how many unknowns that is worth: noise has as much of a
        hand in it as in so many that are not known at all beforehand.
        """
        modes = self._adjoint @ matched
        power = self.beyond_noise(modes, noise_variance)
        if not power:
            return np.zeros(matched.size, np.complex64), 0.0
        gain = 1 / (self._gram + max(noise_variance / power, _LEAST_LOADING * self._gram[-1]))
        return self._modes @ (modes * gain.astype(np.float32)), float(self._gram @ gain)

    def echoes(self, channel: np.ndarray, noise_variance: float) -> np.ndarray:
        """Power of the path of each delay of a channel, (used,) → float (taps,), as few paths as explain it
        but for `noise_variance`.

        Each round weighs a delay by the power that the one before gave it (FOCUSS: I. F. Gorodnitsky and B.
        D. Rao, "Sparse signal reconstruction from limited data using FOCUSS", IEEE Trans. Signal Process. 45
        (3), 1997).
        """
        matched = self.response.conj().T @ channel
        error = max(noise_variance, _ECHO_FLOOR * float(np.vdot(channel, channel).real) / channel.size)
        power = np.abs(matched / channel.size) ** 2
        for _ in range(_ECHO_ROUNDS):
            kept = np.flatnonzero(power > _ECHO_LEAST * power.max())
            weight = np.sqrt(power[kept])
            weighted = self._cross[np.ix_(kept, kept)] * np.outer(weight, weight)
            taps = weight * np.linalg.solve(weighted + error * np.eye(kept.size), weight * matched[kept])
            power = np.zeros_like(power)
            power[kept] = taps.real**2 + taps.imag**2
        return power


def window_margin(numerology: Numerology) -> int:
    """Samples by which an FFT window starts before the end of the cyclic prefix of the first path, as long as
    no echoes are known.
    """
    return numerology.cp // 8


def best_margin(numerology: Numerology, channel: np.ndarray, noise_variance: float) -> int:
    """The margin that puts the windows in the middle of what the echoes leave of the cyclic prefix.

    Symbol edges ring between samples, so distance from both counts. The last echo is the last delay with a
    thousandth of the strongest one's power, or what stands out of the noise of the preamble.
    """
    taper = _taper(numerology)
    grid = np.zeros(numerology.n_fft, np.complex64)
    grid[numerology.carriers] = channel * taper
    grid[0] = (grid[1] + grid[-1]) / 2
    delays = np.abs(fft.ifft(grid)[: numerology.cp + window_margin(numerology)]) ** 2
    floor = 10 * noise_variance / 4 * float(taper @ taper) / numerology.n_fft**2
    last = int(np.flatnonzero(delays >= min(max(1e-3 * float(delays.max()), floor), float(delays.max())))[-1])
    spread = max(last - window_margin(numerology), 0)
    return int(np.clip((numerology.cp - spread) // 2, window_margin(numerology), numerology.cp // 2))


@lru_cache(maxsize=16)
def _taper(numerology: Numerology) -> np.ndarray:
    """Hann window over the occupied carriers, float32 (used,): sidelobes of the delays below a thousandth."""
    return np.hanning(numerology.used + 2)[1:-1].astype(np.float32)


def occupied_carriers(
    numerology: Numerology,
    samples: np.ndarray,
    first: int,
    rows: int,
    cfo: float,
    shift: np.ndarray | None = None,
) -> np.ndarray:
    """FFT of `rows` windows, one symbol apart from sample `first` on, with `cfo` taken away: complex64 (rows,
    used).

    Args:
        samples: contiguous complex64; the oscillator's phase counts from the first of them.
        cfo: [subcarriers].
        shift: int64 (rows,), samples by which each window comes later; None for none.
    """
    n, size = numerology.n_fft, samples.itemsize
    starts = first + numerology.symbol * np.arange(rows)
    if shift is None:
        windows = np.ndarray((rows, n), np.complex64, samples, first * size, (numerology.symbol * size, size))
    else:
        starts += shift
        windows = np.ndarray((len(samples) - n + 1, n), np.complex64, samples, 0, (size, size))[starts]
    spectrum = fft.fft(
        windows * unit_phasors(-2 * np.pi / n * cfo * np.arange(n)), axis=1, norm="ortho", overwrite_x=True
    )
    half = numerology.used // 2
    carriers = np.concatenate([spectrum[:, -half:], spectrum[:, 1 : half + 1]], axis=1)
    carriers *= unit_phasors(-2 * np.pi / n * (cfo * starts % n))[:, None]
    return carriers


def fit_rotation(phasors: np.ndarray) -> tuple[float, float]:
    """Phasors of consecutive rows, complex (rows,) → radians per row and phase at the first: periodogram,
    then least squares.
    """
    rows = len(phasors)
    size = 1 << max(6, (4 * rows - 1).bit_length())
    spectrum = fft.fft(phasors, size)
    peak = int(np.argmax(spectrum.real**2 + spectrum.imag**2))
    total = complex(spectrum[peak])
    rate = 2 * np.pi * (peak - size * (peak > size // 2)) / size
    index = row_index(rows)
    angle = cmath.phase(total)
    level = phasors * unit_phasors(-rate * index - angle)
    weight = np.maximum(level.real, 0)
    weights = max(float(np.add.reduce(weight)), 1e-30)
    middle = float(weight @ index) / weights
    centred = index - middle
    step = float(centred @ level.imag) / max(float((weight * centred) @ centred), 1e-30)
    return rate + step, angle - step * middle


@lru_cache(maxsize=64)
def row_index(rows: int) -> np.ndarray:
    """0 … rows − 1, float (rows,), read-only."""
    index = np.arange(rows, dtype=np.float64)
    index.flags.writeable = False
    return index


def fit_drift(
    numerology: Numerology, pilots: np.ndarray, noise_variance: float
) -> tuple[float, tuple[float, float]]:
    """Pilot rows from row 2 on, times conjugate channel and known values, complex (rows, pilots) → drift
    [samples per row], rotation.

    A search without phase, then least squares on the phases, the common phase of each row being unknown.
    `noise_variance` is that of the received carriers. The rotation is that of `fit_rotation` once the drift
    is undone.
    """
    # radians by which a delay of one sample turns each pilot
    slope = (-2 * np.pi / numerology.n_fft) * numerology.carriers[numerology.pilot_index]
    rows = np.arange(PREAMBLE_SYMBOLS, PREAMBLE_SYMBOLS + len(pilots)) - REFERENCE_ROW
    turns = np.outer(rows, slope)
    most = MAX_DRIFT * numerology.symbol
    coarse = _search_drift(pilots, turns, most)
    if coarse:
        pilots = pilots * unit_phasors(-coarse * turns)
    phasors = pilots.sum(axis=1)
    rate, phase = fit_rotation(phasors)
    line = phase + rate * row_index(len(pilots))
    level = pilots * unit_phasors(-smooth_phase(numerology, phasors, line))[:, None]
    strength = np.maximum(level.real, 0).sum(axis=0)
    mean = float(strength @ slope) / max(float(strength.sum()), 1e-30)
    prior = noise_variance / 2 / (_EXPECTED_DRIFT * numerology.symbol) ** 2
    step = _refine_drift(level, turns, slope - mean, rows, coarse, prior)
    return min(max(coarse + step, -most), most), (rate - step * mean, phase - step * mean * rows[0])


def _search_drift(pilots: np.ndarray, turns: np.ndarray, most: float) -> float:
    """The drift within ±`most` [samples per row] under which the pilots of each row, (rows, pilots), add up
    best, whatever its phase; 0 where no drift would turn them by more than a radian.

    `turns` is by how much [rad] a drift of one sample per row turns each of them.
    """
    reach = most * float(np.abs(turns[-1, 0]))
    if reach <= 1:
        return 0.0
    grid = np.linspace(-most, most, 2 * int(np.ceil(reach)) + 1)
    power = [np.sum(np.abs(np.sum(pilots * unit_phasors(-drift * turns), axis=1)) ** 2) for drift in grid]
    return float(grid[int(np.argmax(power))])


def _refine_drift(
    level: np.ndarray, turns: np.ndarray, across: np.ndarray, rows: np.ndarray, coarse: float, prior: float
) -> float:
    """What is missing to the `coarse` drift [samples per row], by Gauss-Newton on the phases of the pilots.

    A constant delay is the second unknown.

    Args:
        level: complex (rows, pilots), without coarse drift and common phase.
        turns: float (rows, pilots), by how much [rad] a drift of one sample per row turns each of them.
        across: float (pilots,), radians per sample of delay, less what the common phase takes up.
        rows: float (rows,), distance of each from the reference row.
        prior: half the noise variance over the variance that a drift has beforehand.
    """
    step = 0.0
    for _ in range(_DRIFT_STEPS):
        now = level * unit_phasors(-step * turns) if step else level
        row_weight = np.maximum(now.real, 0) @ across**2
        centred = rows - float(row_weight @ rows) / max(float(row_weight.sum()), 1e-30)
        information = float(row_weight @ centred**2) + prior
        change = (float(centred @ (now.imag @ across)) - prior * (coarse + step)) / max(information, 1e-30)
        step += change
        if abs(change * turns[-1, 0]) < _DRIFT_TOLERANCE:
            break
    return step


def smooth_phase(numerology: Numerology, phasors: np.ndarray, line: np.ndarray) -> np.ndarray:
    """Phase of each row, float (rows,): the straight `line` that was fitted to it, (rows,), and what is left
    smoothed over the neighbours that give 64 pilots together.
    """
    length = _phase_rows(numerology, len(phasors))
    left = np.convolve(phasors * unit_phasors(-line), np.ones(length, np.float32), mode="same")
    return line + np.arctan2(left.imag, left.real)


def _phase_rows(numerology: Numerology, rows: int) -> int:
    """Rows, of so many, that one phase is averaged over."""
    return min(2 * (_PHASE_PILOTS // numerology.pilots // 2) + 1, 2 * ((rows - 1) // 2) + 1)


def turning_error(
    numerology: Numerology, channel: np.ndarray, noise_variance: np.ndarray, rows: int, middle: float
) -> np.ndarray:
    """Variance of the angle by which noise has each carrier turned in the payload [rad²], float32 (used,):
    common phase and clock drift, which the pilots of a burst of so many rows showed.

    `channel` and `noise_variance` are those of the carriers, (used,); `middle` is the mean row that the
    channel comes from, whose delay is part of it.
    """
    pilots, noise = channel[numerology.pilot_index], noise_variance[numerology.pilot_index]
    power = pilots.real**2 + pilots.imag**2
    of_one = float(power @ noise) / max(2 * float(np.add.reduce(power)) ** 2, 1e-30)
    square, known, late = _drift_leverage(numerology, rows, middle)
    drift = 1 / (known / max(of_one, 1e-30) + 1 / (_EXPECTED_DRIFT * numerology.symbol) ** 2)
    return np.float32(drift * late) * square + np.float32(of_one / _phase_rows(numerology, rows))


@lru_cache(maxsize=64)
def _drift_leverage(numerology: Numerology, rows: int, middle: float) -> tuple[np.ndarray, float, float]:
    """Squares of what a delay of one sample turns the carriers by [rad²], float32 (used,); what pilots of so
    many rows say about a drift, over what one row says about its phase; mean square of the distance of the
    payload's rows from `middle`.
    """
    square = (2 * np.pi / numerology.n_fft * numerology.carriers) ** 2
    count = rows - PREAMBLE_SYMBOLS
    known = count * (count**2 - 1) / 12 * float(square[numerology.pilot_index].mean())
    late = np.arange(numerology.overhead_symbols, rows) - middle
    return square.astype(np.float32), known, float(late @ late) / max(late.size, 1)


def smooth_variance(raw: np.ndarray, samples: float) -> np.ndarray:
    """Mean |residual|² of each carrier over `samples` symbols → float32 noise variance of each carrier.

    Smoothed over the neighbours that give about 64 samples together; a carrier that stands out from them by
    more than chance keeps its own.
    """
    length = min(2 * round(32 / samples) + 1, len(raw) // 2 * 2 - 1)
    outlier = 1 + 6 / np.sqrt(samples)
    median = float(np.partition(raw, len(raw) // 2)[len(raw) // 2])
    calm = np.minimum(raw, outlier * max(median, 1e-30))
    kernel = np.ones(length, np.float32)
    base = np.convolve(calm, kernel, mode="same") / _overlap(len(raw), length)
    return np.where(raw > outlier * base, raw, base).astype(np.float32)


def unit_phasors(phase: np.ndarray) -> np.ndarray:
    """exp(j · phase), complex64, by float32 sine and cosine, which numpy has as SIMD loops."""
    phase = phase.astype(np.float32)
    out = np.empty(phase.shape, np.complex64)
    np.cos(phase, out=out.real)
    np.sin(phase, out=out.imag)
    return out


@lru_cache(maxsize=32)
def _overlap(size: int, length: int) -> np.ndarray:
    """How many of `length` neighbours exist at each place."""
    return np.convolve(np.ones(size, np.float32), np.ones(length, np.float32), mode="same")
