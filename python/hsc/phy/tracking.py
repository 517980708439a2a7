"""How channel and noise change within a packet, from what pilots and powers show. No decisions: analog
symbols have none.

The channel of a packet is what preamble and header gave, plus a deviation that is a Gaussian process over
time and carriers: over time its spectrum is flat within an unknown Doppler shift, so that its principal
components are the discrete prolate spheroidal sequences (T. Zemen and C. F. Mecklenbräuker, "Time-variant
channel estimation using discrete prolate spheroidal sequences", IEEE Trans. Signal Process. 53 (9), 2005);
over the carriers it has the echoes of the preamble's channel, each changing by itself. Doppler shift and size
of the deviation are those under which the pilots are most likely.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.signal.windows import dpss
from scipy.special import gammainccinv

from .estimation import unit_phasors

# Products of half bandwidth and duration that are tried, a factor of two apart.
_TIME_BANDWIDTHS = (0.4, 0.8, 1.5, 3.0, 6.0, 12.0, 24.0, 48.0)
# Largest Doppler shift that is tried [cycles per row].
_MAX_DOPPLER = 0.2
# Powers of the change that are tried, over that of the channel: a factor of three apart.
_SCALES = (3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3)
# Log-likelihood by which a moving channel must beat a still one. Chosen by trial.
_EVIDENCE = 8.0
# Rows whose residuals are added up before they are tested for movement. Chosen by trial.
_GATE_ROWS = 16
# Energy of those sums, over that of the noise, that the error of the channel explains. Chosen by trial.
_EXPLAINED = 1.5
# Fewest rows that tell a movement from a difference.
_LEAST_TO_MOVE = 3
# First step between drifts that are tried: it turns the outermost pilots of the last row by so much [rad].
_COARSE = 0.5
# Second step [rad].
_FINE = 0.1
# Second steps on each side of the best drift of the first.
_FINER = 3
# Probability that a power stands out by chance.
_CHANCE = 1e-7
# Least median of a carrier's powers over their mean. It is 0.69 for Gaussian values, and more with a tone
# beside them.
_LEAST_MEDIAN = 0.5
# A carrier so many times as strong as expected holds an interferer, whatever its spectrum. Below, a codec may
# have put its strongest values there: HSC's photographs give some carriers twice the mean power. Those change
# with every row, and a tone does not.
_MUCH_STRONGER = 4.0
# One carrier of white values in so many has a line that stands out of its spectrum as far as a tone's must.
_ONE_LINE_IN = 100
# Rows whose powers are averaged before a carrier is tested. Chosen by trial.
_POWER_ROWS = 32
# Pilots whose noise is averaged before it is tested for a change. Chosen by trial.
_NOISE_SAMPLES = 64
# Fewest rows that they come from.
_LEAST_ROWS = 4
# Least power of an echo over the strongest one's: it may have been in a fade during the preamble.
_LEAST_ECHO = 1e-5
# Rows that say as much about the noise of one pilot as all its neighbours together do. Chosen by trial.
_NOISE_ROWS = 32


@dataclass(frozen=True)
class Deviation:
    """What must be added to the channel of the preamble.

    Attributes:
        channel: complex64 (rows, used).
        variance: float32 (rows, used), of the error that is left in it.
        drift: what must be added to the clock drift, in the unit of `turns`.
    """

    channel: np.ndarray
    variance: np.ndarray
    drift: float


def steps(residual: np.ndarray) -> np.ndarray:
    """Half the energy of each row's change from the row before, which is the variance where there is noise
    alone: one row less.
    """
    step = residual[1:] - residual[:-1]
    return (step.real**2 + step.imag**2) * np.float32(0.5)


def pilot_noise(energy: np.ndarray) -> np.ndarray:
    """Noise variance of each pilot, float (pilots,), from its `steps`."""
    each = np.add.reduce(energy) / len(energy)
    share = len(energy) / (len(energy) + _NOISE_ROWS)
    return share * each + (1 - share) / each.size * float(np.add.reduce(each))


def moves(residual: np.ndarray, noise: np.ndarray) -> bool:
    """Whether residuals (rows, pilots) keep a value over some rows that noise, (pilots,), and the error of
    the channel do not explain.
    """
    rows, pilots = residual.shape
    starts, lengths = _blocks(rows, _GATE_ROWS)
    sums = np.add.reduceat(residual, starts, axis=0)
    # 1 on average where there is noise alone, 1 / √pilots being its standard deviation
    excess = (sums.real**2 + sums.imag**2) @ (1 / (pilots * noise)) / lengths[:, 0]
    somewhere = excess.max() > _EXPLAINED + 6 / math.sqrt(pilots)
    throughout = excess.sum() > excess.size * _EXPLAINED + 3 * math.sqrt(excess.size / pilots)
    return bool(somewhere or throughout)


@dataclass(frozen=True)
class Pilots:
    """Received pilots, and what is known about them.

    Attributes:
        values: complex (rows, pilots), received over known.
        places: int (pilots,), which of the used carriers they are.
        noise: float (pilots,), noise variance.
        turns: float (rows, pilots), by how much [rad] a clock drift that is greater by one unit turns each of
            them.
        reach: how much less and how much more the drift may be, in that unit; 0 lies between.
    """

    values: np.ndarray
    places: np.ndarray
    noise: np.ndarray
    turns: np.ndarray
    reach: tuple[float, float]


def deviation(
    pilots: Pilots, channel: np.ndarray, response: np.ndarray, echoes: np.ndarray
) -> Deviation | None:
    """The most likely deviation of the channel, None when a still one is as likely.

    A clock drift that was fitted to a channel taken to be still is wrong where it moves: what is missing is
    found with the deviation.

    Args:
        channel: complex (used,), that of the preamble.
        response: complex (used, taps), what a path of each delay does to the carriers.
        echoes: float (taps,), power of the path of each delay.
    """
    model = _Model.of(pilots.noise, response, pilots.places, echoes)

    def turned(drift: float) -> np.ndarray:
        return model.whiten(pilots.values * unit_phasors(-drift * pilots.turns) - channel[pilots.places])

    def best(motion: _Motion, drifts: np.ndarray) -> float:
        return float(max(drifts, key=lambda drift: motion.likelihood(turned(drift), model)))

    white = turned(0.0)
    motion = _most_likely(white, model)
    if motion is None:
        return None
    unit = 1 / float(np.abs(pilots.turns).max())
    low, high = (int(edge / (unit * _COARSE)) for edge in pilots.reach)
    drift = best(motion, unit * _COARSE * np.arange(low, high + 1))
    motion = _most_likely(turned(drift), model) or motion
    drift = best(motion, drift + unit * _FINE * np.arange(-_FINER, _FINER + 1))
    white = turned(drift)
    return (_most_likely(white, model) or motion).deviation(white, model, drift)


@dataclass(frozen=True)
class _Model:
    """How pilots and carriers go together, for echoes that change independently.

    Attributes:
        scale: float (pilots,), one over the standard deviation of the noise.
        modes: complex (pilots, modes), orthonormal combinations of pilots with unit noise that are
            independent of each other.
        strength: float (modes,), power of each when all echoes have changed altogether.
        across: complex (used, modes), covariance of the carriers with them.
        power: float, of a carrier.
    """

    scale: np.ndarray
    modes: np.ndarray
    strength: np.ndarray
    across: np.ndarray
    power: float

    @classmethod
    def of(cls, noise: np.ndarray, response: np.ndarray, places: np.ndarray, echoes: np.ndarray) -> _Model:
        power = np.maximum(echoes, _LEAST_ECHO * echoes.max())
        scale = 1 / np.sqrt(noise)
        seen = response[places] * scale[:, None]
        strength, modes = np.linalg.eigh((seen * power) @ seen.conj().T)
        return cls(
            scale,
            modes,
            np.maximum(strength, 0),
            (response * power) @ (seen.conj().T @ modes),
            float(power.sum()),
        )

    def whiten(self, residual: np.ndarray) -> np.ndarray:
        """Residuals (rows, pilots) → modes (rows, modes) with unit noise."""
        return (residual * self.scale) @ self.modes.conj()


@dataclass(frozen=True)
class _Motion:
    """A Doppler spectrum.

    Attributes:
        basis: float (rows, count), orthonormal sequences.
        power: float (count,), of each.
    """

    basis: np.ndarray
    power: np.ndarray

    def likelihood(self, white: np.ndarray, model: _Model) -> float:
        """Logarithm, but for a constant."""
        part = self.basis.T @ white
        prior = self.power[:, None] * model.strength
        explained = (part.real**2 + part.imag**2) * (prior / (1 + prior))
        return float((explained - np.log1p(prior)).sum()) - float(np.vdot(white, white).real)

    def deviation(self, white: np.ndarray, model: _Model, drift: float) -> Deviation:
        """Mean and variance of the channel's deviation given the pilots."""
        prior = self.power[:, None]
        gain = prior / (1 + prior * model.strength)
        change = self.basis @ ((gain * (self.basis.T @ white)) @ model.across.T)
        square = self.basis**2
        explained = square @ ((gain * prior) @ (model.across.real**2 + model.across.imag**2).T)
        left = (square @ self.power * model.power)[:, None] - explained
        return Deviation(change.astype(np.complex64), np.maximum(left, 0).astype(np.float32), drift)


def _most_likely(white: np.ndarray, model: _Model) -> _Motion | None:
    """The Doppler shift and size of the change that suit modes (rows, modes) best, None when no change does
    as well.
    """
    rows = len(white)
    if rows < _LEAST_TO_MOVE:
        return None
    best, chosen = _EVIDENCE, None
    for bandwidth in _TIME_BANDWIDTHS:
        if bandwidth > max(_MAX_DOPPLER * rows, _TIME_BANDWIDTHS[0]):
            break
        basis, power = _sequences(rows, bandwidth)
        part = basis.T @ white
        prior = np.multiply.outer(_SCALES, power[:, None] * model.strength)
        likelihood = ((part.real**2 + part.imag**2) * (prior / (1 + prior)) - np.log1p(prior)).sum(
            axis=(1, 2)
        )
        winner = int(np.argmax(likelihood))
        if likelihood[winner] > best:
            best, chosen = float(likelihood[winner]), _Motion(basis, _SCALES[winner] * power)
    return chosen


@lru_cache(maxsize=64)
def _sequences(rows: int, bandwidth: float) -> tuple[np.ndarray, np.ndarray]:
    """Orthonormal sequences, float (rows, count), and the power of each in a process of unit power, float
    (count,).
    """
    half = min(bandwidth, 0.49 * rows)
    count = min(rows, int(np.ceil(2 * half)) + 3)
    sequences, ratios = dpss(rows, half, count, return_ratios=True)
    return np.ascontiguousarray(sequences.T), np.maximum(ratios, 0) * rows / (2 * half)


def noise_changes(energy: np.ndarray, variance: np.ndarray) -> np.ndarray | None:
    """Factor by which noise is above what preamble and header showed, float (rows,), from the pilots'
    `steps`; None when it nowhere is.

    `variance` is that of the pilots in preamble and header, (pilots,).
    """
    pilots = variance.size
    length = max(_LEAST_ROWS, _NOISE_SAMPLES // pilots)
    starts, lengths = _blocks(len(energy), length)
    lengths = lengths[:, 0]
    each = np.add.reduceat(energy, starts, axis=0) / variance
    # neighbouring steps are not independent: as if they were half as many
    most = lengths * _chance(max(min(length, len(energy)) * min(pilots, _NOISE_SAMPLES) // 2, 1))
    if (each.sum(axis=1) < pilots * most).all():
        return None
    factor = np.median(each, axis=1)  # a pilot with an interferer of its own does not count
    if (factor < most).all():
        return None
    factor = np.where(factor > most, factor / lengths, 1)
    return np.append(np.repeat(factor, lengths.astype(np.int64)), factor[-1])


def interference(rows: np.ndarray, expected: np.ndarray) -> np.ndarray | None:
    """Noise variance that payload powers show beyond what is known, float32 (rows, used); None when they show
    none.

    Payload carriers have unit mean power, so a carrier that is stronger over many rows than channel and noise
    make it holds an interferer.

    Args:
        rows: complex (rows, used), payload as received.
        expected: float (used,) or (rows, used), power of the channel and noise variance together.
    """
    count = len(rows)
    starts, lengths = _blocks(count, _POWER_ROWS)
    parts = rows.view(np.float32)
    sums = np.add.reduceat(parts * parts, starts, axis=0)
    energy = sums[:, ::2] + sums[:, 1::2]
    known = np.add.reduceat(expected, starts, axis=0) if expected.ndim == 2 else expected * lengths
    total = np.add.reduce(energy)
    total_known = np.add.reduce(known) if expected.ndim == 2 else expected * np.float32(count)
    now = energy > known * _chance(min(count, _POWER_ROWS))
    ever = total > total_known * _chance(count)
    if not (ever.any() or now.any()):
        return None
    ever &= _holds_more(rows, ever, total > _MUCH_STRONGER * total_known)
    for block, (start, length) in enumerate(zip(starts, lengths[:, 0].astype(np.int64), strict=True)):
        now[block] &= _holds_more(
            rows[start : start + length], now[block], energy[block] > _MUCH_STRONGER * known[block]
        )
    if not (ever.any() or now.any()):
        return None
    always = np.where(ever, (total - total_known) / count, 0)
    found = np.where(now, (energy - known) / lengths, always).astype(np.float32)
    return np.repeat(found, lengths[:, 0].astype(np.int64), axis=0)


def _holds_more(rows: np.ndarray, columns: np.ndarray, surely: np.ndarray) -> np.ndarray:
    """Of the chosen carriers, bool (used,), of complex rows (rows, used) those whose power is not that of
    their values alone.

    Analog values may have far longer tails than noise: what they exceed it by is in a few rows only, so the
    median says nothing of it. They may be strong throughout, too: then no line stands out of their spectrum
    along the rows, unless they are `surely` too strong.
    """
    found = np.zeros(columns.shape, bool)
    if columns.any():
        chosen = rows[:, columns]
        power = chosen.real**2 + chosen.imag**2
        mean = power.mean(axis=0)
        spectrum = np.fft.fft(chosen, axis=0)
        line = (spectrum.real**2 + spectrum.imag**2).max(axis=0) / len(rows)
        # white values have a line of mean · ln(rows) as a rule
        peaked = line > mean * math.log(len(rows) * _ONE_LINE_IN)
        found[columns] = (np.median(power, axis=0) > _LEAST_MEDIAN * mean) & (peaked | surely[columns])
    return found


@lru_cache(maxsize=64)
def _blocks(rows: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Blocks of `length` rows, the last one longer: where they begin, (blocks,), and their lengths, float32
    (blocks, 1).
    """
    starts = np.arange(max(rows // length, 1)) * length
    return starts, np.diff(starts, append=rows)[:, None].astype(np.float32)


@lru_cache(maxsize=256)
def _chance(count: int) -> np.float32:
    """What the mean of so many powers of noise of unit variance exceeds in one case of `1 / _CHANCE`."""
    return np.float32(gammainccinv(count, _CHANCE) / count)
