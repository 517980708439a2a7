"""What the receiver estimates from known symbols: channel, noise, rotation, clock drift. Whole packets at a time, no decisions.

Conventions: row s of a burst is its s-th OFDM symbol, the preamble being rows 0 and 1. All estimates are referred to row `REFERENCE_ROW`,
between the two. `drift` is how much later each row comes than the one before it, in samples, beyond its nominal length.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import fft

from .numerology import Numerology

REFERENCE_ROW = 0.5
MAX_DRIFT = 60e-6
_EXPECTED_DRIFT = 30e-6
# Pilots averaged for one phase: 64 cost 0.03 dB at 5 dB SNR.
_PHASE_PILOTS = 64
_LEAST_LOADING = 1e-7


class ChannelEstimator:
    """Linear MMSE estimate of an impulse response no longer than the cyclic prefix, with an eighth of it to spare at both ends.

    The FFT windows start `margin` samples before the end of the cyclic prefix of the first path; the spare taps take up the tails of
    paths that fall between samples. All taps are taken to be equally strong beforehand (van de Beek et al., "On channel estimation in
    OFDM systems", VTC 1995), which makes the estimate a diagonal weighting in the eigenvectors of the Gram matrix.

    Args:
        numerology: which carriers there are.
        weight: float (used,), energy of the known symbols on each carrier.
    """

    def __init__(self, numerology: Numerology, weight: np.ndarray):
        margin = window_margin(numerology)
        taps = np.arange(-margin, numerology.cp + margin + 1)
        response = np.exp(-2j * np.pi / numerology.n_fft * np.outer(numerology.carriers, taps))
        self._gram, vectors = np.linalg.eigh(response.conj().T @ (response * weight[:, None]))
        self._modes = (response @ vectors).astype(np.complex64)
        self._adjoint = np.ascontiguousarray(self._modes.conj().T)
        self._weight = float(weight.mean())
        self.taps = taps.size

    def estimate(self, matched: np.ndarray, noise_variance: float) -> np.ndarray:
        """Sum over rows of conj(known) · received, (used,), and its noise variance per unit of weight -> channel, complex64 (used,)."""
        power = float(np.vdot(matched, matched).real) / matched.size / self._weight**2
        loading = max(self.taps * noise_variance / max(power, 1e-30), _LEAST_LOADING * self._gram[-1])
        return self._modes @ ((self._adjoint @ matched) / (self._gram + loading).astype(np.float32))


def window_margin(numerology: Numerology) -> int:
    """Samples by which an FFT window starts before the end of the cyclic prefix of the first path."""
    return numerology.cp // 8


def occupied_carriers(numerology: Numerology, samples: np.ndarray, starts: np.ndarray, cfo: float) -> np.ndarray:
    """FFT of the windows that begin at `starts` (indices into `samples`), with `cfo` taken away: complex64 (rows, used).

    The oscillator's phase counts from sample 0.
    """
    n = numerology.n_fft
    windows = np.lib.stride_tricks.sliding_window_view(samples, n)[starts]
    windows *= np.exp(-2j * np.pi / n * cfo * np.arange(n)).astype(np.complex64)
    spectrum = fft.fft(windows, axis=1, norm="ortho", overwrite_x=True)
    half = numerology.used // 2
    carriers = np.concatenate([spectrum[:, -half:], spectrum[:, 1 : half + 1]], axis=1)
    carriers *= np.exp(-2j * np.pi / n * (cfo * starts % n)).astype(np.complex64)[:, None]
    return carriers


def fit_rotation(phasors: np.ndarray) -> tuple[float, float]:
    """Phasors of consecutive rows, complex (rows,) -> radians per row and phase at the first: periodogram, then least squares."""
    rows = len(phasors)
    size = 1 << max(6, (4 * rows - 1).bit_length())
    peak = int(np.argmax(np.abs(fft.fft(phasors, size))))
    rate = 2 * np.pi * ((peak + size // 2) % size - size // 2) / size
    index = np.arange(rows)
    level = phasors * np.exp(-1j * rate * index)
    total = level.sum()
    level = level * np.conj(total) / max(abs(total), 1e-30)
    weight = np.maximum(level.real, 0)
    weights = max(float(weight.sum()), 1e-30)
    centred = index - float(weight @ index) / weights
    step = float(centred @ level.imag) / max(float(weight @ centred**2), 1e-30)
    offset = float(np.angle(total))
    return rate + step, offset - step * float(weight @ index) / weights


def fit_drift(numerology: Numerology, pilots: np.ndarray, rows: np.ndarray, noise_variance: float) -> float:
    """Drift [samples per row] from pilots times conjugate channel, complex (rows, pilots), the common phase of each row unknown.

    A search without phase over ±60 ppm where the drift would turn the outer pilots by more than a radian, then least squares on the
    phases with the prior that a drift is some 30 ppm.

    Args:
        pilots: received · conj(known · channel).
        rows: their row numbers, counted from `REFERENCE_ROW`.
        noise_variance: of each entry of `pilots`.
    """
    carriers = numerology.carriers[numerology.pilot_index]
    slope = -2 * np.pi / numerology.n_fft * carriers  # radians per sample of delay
    most = MAX_DRIFT * numerology.symbol
    drift = 0.0
    reach = most * abs(slope[0]) * rows[-1]
    if reach > 1:
        grid = np.linspace(-most, most, 2 * int(np.ceil(reach)) + 1)
        power = [np.sum(np.abs(np.sum(pilots * unit_phasors(-d * np.outer(rows, slope)), axis=1)) ** 2) for d in grid]
        drift = float(grid[int(np.argmax(power))])
    for _ in range(2):
        level = pilots * unit_phasors(-drift * np.outer(rows, slope))
        level *= unit_phasors(-smooth_phase(numerology, level.sum(axis=1)))[:, None]
        drift += _drift_step(level, rows, slope, noise_variance, _EXPECTED_DRIFT * numerology.symbol, drift)
    return float(np.clip(drift, -most, most))


def _drift_step(level: np.ndarray, rows: np.ndarray, slope: np.ndarray, noise_variance: float, expected: float, drift: float) -> float:
    """Least squares step of the drift, with a constant delay as the second unknown: phase = slope · (delay + drift · (row - mean row))."""
    weight = np.maximum(level.real, 0)
    row_weight = weight @ slope**2
    total = max(float(row_weight.sum()), 1e-30)
    mean = float(row_weight @ rows) / total
    across = level.imag @ slope
    information = float(row_weight @ (rows - mean) ** 2)
    prior = noise_variance / 2 / expected**2
    return (float((rows - mean) @ across) - prior * drift) / max(information + prior, 1e-30)


def smooth_phase(numerology: Numerology, phasors: np.ndarray) -> np.ndarray:
    """Phase of each row, float (rows,): a straight line, and what is left smoothed over the neighbours that give 64 pilots together."""
    rate, phase = fit_rotation(phasors)
    line = phase + rate * np.arange(len(phasors))
    length = min(2 * (_PHASE_PILOTS // numerology.pilots // 2) + 1, 2 * ((len(phasors) - 1) // 2) + 1)
    return line + np.angle(np.convolve(phasors * np.exp(-1j * line), np.ones(length), mode="same"))


def smooth_variance(raw: np.ndarray, samples: float) -> np.ndarray:
    """Mean |residual|² of each carrier over `samples` symbols -> float32 noise variance of each carrier.

    Smoothed over the neighbours that give about 64 samples together; a carrier that stands out from them by more than chance keeps its own.
    """
    length = min(2 * round(32 / samples) + 1, len(raw) // 2 * 2 - 1)
    outlier = 1 + 6 / np.sqrt(samples)
    calm = np.minimum(raw, outlier * max(float(np.median(raw)), 1e-30))
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
