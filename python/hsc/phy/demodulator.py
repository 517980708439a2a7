"""Receiving one burst whose beginning is known: header, channel, clock drift, equalised payload."""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from . import estimation as est
from . import tracking
from .echoes import EchoEstimator
from .header import HEADER_BYTES, HEADER_SYMBOLS, Header, decode_header, pack, unpack
from .ldpc import shortened
from .leak import constant_part, without_moving_part
from .numerology import PREAMBLE_SYMBOLS, Numerology
from .ofdm import header_grid, header_mapping, payload_mapping, pilot_symbols
from .packets import ReceivedPacket
from .preamble import preamble_carriers
from .qam import modulate as qam_modulate

# Share of the header's hard decisions that must agree with the header that was decoded: 0.92 do at 0 dB, and
# 0.5 by chance (± 0.02).
_AGREEMENT = 0.7
# Powers below this are divided by as if they were it.
_TINY = 1e-30


@dataclass(frozen=True)
class Burst:
    """A burst whose header is known.

    Attributes:
        header: as decoded, CRC verified.
        cfo: carrier frequency offset from preamble and header [subcarriers].
        channel: complex64 (used,), the preliminary channel.
        noise_variance: preliminary, mean over the carriers.
        leak: the receiver's carrier leak, a constant in its samples; 0 for none.
        known: complex64 (rows, used), preamble and header as they were sent.
        size: complex symbols of the payload.
    """

    header: Header
    cfo: float
    channel: np.ndarray
    noise_variance: float
    leak: complex
    known: np.ndarray
    size: int


@dataclass
class _Course:
    """What the rows of a burst are turned back by.

    Attributes:
        pilots: float32 (header and payload rows, pilots), as sent.
        drift: of the clock [samples per row].
        rate: mean change of the common phase [radians per row].
        phase: float (rows,), common phase of each row: a straight line at first.
    """

    pilots: np.ndarray
    drift: float
    rate: float
    phase: np.ndarray


@dataclass
class _Estimate:
    """What a burst came through.

    Attributes:
        channel: complex64 (used,) where it stays as it was in the header, else (payload rows, used).
        variance: of the noise, float (used,) or (payload rows, used).
        error: variance of the channel's error for a symbol of unit power, float (used,).
        drift: of the clock [samples per row].
    """

    channel: np.ndarray
    variance: np.ndarray
    error: np.ndarray
    drift: float


class Demodulator:
    """From the samples of one burst, sample 0 being its first, to the header and then to the equalised
    payload.
    """

    def __init__(self, numerology: Numerology):
        self.numerology = numerology
        self._preamble = preamble_carriers(numerology)
        energy = np.abs(self._preamble) ** 2
        self._from_preamble = est.ChannelEstimator(numerology, energy.sum(axis=0))
        weight = energy.sum(axis=0) + numerology.header_symbols
        self._from_header = est.ChannelEstimator(numerology, weight)
        self._from_echoes = EchoEstimator(numerology, weight, self._from_header)
        self._over_weight, self._over_energy = (1 / weight).astype(np.float32), 1 / float(weight.sum())
        self._conjugate = np.conj(self._preamble)
        self._even = np.flatnonzero(numerology.carriers % 2 == 0)
        self._odd = np.flatnonzero(numerology.carriers % 2)
        self._first_window = numerology.cp - est.window_margin(numerology)
        self._header_rows = np.arange(numerology.overhead_symbols)
        self._middle = float(
            np.average(self._header_rows, weights=[*energy.mean(axis=1), *[1.0] * numerology.header_symbols])
        )
        self.header_length = self._length(numerology.overhead_symbols)

    def payload_length(self, payload_symbols: int) -> int:
        """Samples from the start of the burst that `payload` needs, the most that the clocks may differ
        included.
        """
        rows = self.numerology.overhead_symbols + self.numerology.payload_rows(payload_symbols)
        return self._length(rows) + int(np.ceil(est.MAX_DRIFT * rows * self.numerology.symbol))

    def _length(self, rows: int) -> int:
        return (rows - 1) * self.numerology.symbol + self._first_window + self.numerology.n_fft

    def header(self, samples: np.ndarray, cfo: float) -> Burst | None:
        """Decode the header; None when it does not decode. `cfo` must be good to a fifth of a subcarrier."""
        samples = samples[: self.header_length]
        leak = constant_part(samples)
        rows = est.occupied_carriers(
            self.numerology,
            samples - np.complex64(leak) if leak else samples,
            self._first_window,
            self.numerology.overhead_symbols,
            cfo,
        )
        turn = self._preamble_turn(rows)
        turns = est.unit_phasors(-turn * self._header_rows)[:, None]
        rows *= turns
        channel, noise = self._preamble_channel(rows)
        header, coded = _decode(self._header_llr(rows, channel))
        if header is None:
            return None
        known = np.concatenate([self._preamble, header_grid(self.numerology, coded)])
        rate, phase = est.fit_rotation((np.conj(known * channel) * rows).sum(axis=1))
        if leak:
            rest = rows - known * channel * est.unit_phasors(phase + rate * self._header_rows)[:, None]
            leak += self._constant_in(rest / turns, cfo)
        return Burst(
            header=header,
            cfo=cfo + self._subcarriers(turn) + self._subcarriers(rate),
            channel=channel,
            noise_variance=noise,
            leak=leak,
            known=known,
            size=header.payload_symbols,
        )

    def _subcarriers(self, turn: float) -> float:
        """The frequency offset that turns each row by so much [radians] against the one before."""
        return turn * self.numerology.n_fft / (2 * np.pi * self.numerology.symbol)

    def _preamble_turn(self, rows: np.ndarray) -> float:
        """How much the second preamble symbol is turned against the first [radians]."""
        first, second = (self._conjugate * rows[:2])[:, self._even]
        return cmath.phase(np.vdot(first, second))

    def _preamble_channel(self, rows: np.ndarray) -> tuple[np.ndarray, float]:
        """Channel, complex64 (used,), and the noise variance that the first symbol's empty carriers show."""
        matched = (self._conjugate * rows[:2]).sum(axis=0)
        unused = rows[0, self._odd]
        noise = float(np.vdot(unused, unused).real) / unused.size
        return self._from_preamble.estimate(matched, noise), noise

    def _constant_in(self, rows: np.ndarray, cfo: float) -> complex:
        """The constant in the samples that explains preamble and header rows (rows, used), from which `cfo`
        was taken away, best.
        """
        one = est.occupied_carriers(
            self.numerology, np.ones(self.header_length, np.complex64), self._first_window, len(rows), cfo
        )
        return complex(np.vdot(one, rows) / np.vdot(one, one))

    def _header_llr(self, rows: np.ndarray, channel: np.ndarray) -> np.ndarray:
        """Preamble and header rows → LLRs (624,), those of repeated bits added up."""
        n = self.numerology
        equalised = np.conj(channel) * rows
        equalised *= self._header_rotation(equalised)
        data = equalised[PREAMBLE_SYMBOLS:]
        # BPSK has nothing in quadrature
        across = (data.imag**2).sum(axis=0) * (2 / n.header_symbols) / _power(channel)
        variance = est.smooth_variance(across, n.header_symbols / 2)
        soft = data.real * (4 / np.maximum(variance, _TINY))
        mapping = header_mapping(n)
        values = np.zeros(-(-mapping.place.size // HEADER_SYMBOLS) * HEADER_SYMBOLS, np.float32)
        values[: mapping.place.size] = soft[:, n.data_index].ravel()[mapping.place] * mapping.phases
        return values.reshape(-1, HEADER_SYMBOLS).sum(axis=0) * _BIT_ZERO

    def _header_rotation(self, equalised: np.ndarray) -> np.ndarray:
        """Phasors (rows, 1) that undo the rotation of the header rows, from the preamble and the pilots."""
        n = self.numerology
        phasors = np.empty(len(equalised), np.complex64)
        phasors[:2] = (self._conjugate * equalised[:2]).sum(axis=1)
        phasors[2:] = (equalised[2:, n.pilot_index] * pilot_symbols(n, n.header_symbols)).sum(axis=1)
        rate, phase = est.fit_rotation(phasors)
        return est.unit_phasors(-phase - rate * self._header_rows)[:, None]

    def payload(self, samples: np.ndarray, burst: Burst, start: int) -> ReceivedPacket:
        """Equalise the payload of a burst whose header is known; `start` is the index of its first sample in
        the stream.

        Three steps: the clock drift is fitted and undone, channel, noise and phase are estimated and followed
        through the packet, and the payload is divided by its channel.
        """
        rows, course = self._undo_drift(samples, burst)
        estimate = self._estimate(rows, course, burst)
        return self._equalise(rows[self.numerology.overhead_symbols :], estimate, burst, start)

    def _undo_drift(self, samples: np.ndarray, burst: Burst) -> tuple[np.ndarray, _Course]:
        """All rows of the burst, complex64 (rows, used), without the clock drift that their pilots show.

        Whole samples of it move the FFT windows, and what is left turns the carriers.
        """
        n = self.numerology
        if burst.leak:
            samples = samples[: self.payload_length(burst.size)] - np.complex64(burst.leak)
            samples = without_moving_part(samples)
        count = n.overhead_symbols + n.payload_rows(burst.size)
        advance = est.best_margin(n, burst.channel, burst.noise_variance) - est.window_margin(n)
        first = self._first_window - advance
        rows = est.occupied_carriers(n, samples, first, count, burst.cfo)
        channel = burst.channel * est.unit_phasors((-2 * np.pi / n.n_fft * advance) * n.carriers)
        pilots = pilot_symbols(n, count - PREAMBLE_SYMBOLS)
        received = rows[PREAMBLE_SYMBOLS:, n.pilot_index] * np.conj(channel[n.pilot_index]) * pilots
        drift, (rate, phase) = est.fit_drift(n, received, burst.noise_variance)
        index = est.row_index(count)
        late = drift * (index - est.REFERENCE_ROW)
        shift = np.rint(late).astype(np.int64)
        if shift.any():
            rows = est.occupied_carriers(n, samples, first, count, burst.cfo, shift)
        rows *= est.unit_phasors((2 * np.pi / n.n_fft) * np.outer(late - shift, n.carriers))
        line = phase - PREAMBLE_SYMBOLS * rate + rate * index
        return rows, _Course(pilots, drift, rate, line)

    def _estimate(self, rows: np.ndarray, course: _Course, burst: Burst) -> _Estimate:
        """What the payload came through, from all rows (rows, used), which are turned back in place by their
        common phase.
        """
        n = self.numerology
        channel, variance, error = self._refine(rows[: n.overhead_symbols], burst)
        phasors = np.empty(len(rows), np.complex64)
        phasors[:2] = (self._conjugate * rows[:2]) @ np.conj(channel)
        phasors[2:] = (rows[2:, n.pilot_index] * course.pilots) @ np.conj(channel[n.pilot_index])
        course.phase = est.smooth_phase(n, phasors, course.phase)
        rows *= est.unit_phasors(-course.phase)[:, None]
        turned = est.turning_error(n, channel, variance, len(rows), self._middle)
        estimate = _Estimate(channel, variance, error * variance + turned * _power(channel), course.drift)
        return self._follow(rows, estimate, course) if burst.size else estimate

    def _refine(self, rows: np.ndarray, burst: Burst) -> tuple[np.ndarray, np.ndarray, float]:
        """Channel and noise variance per carrier, (used,) each, from preamble and header, whose drift is
        already undone, and the variance of the channel's error over that of the noise.
        """
        known = burst.known
        matched = (np.conj(known) * rows).sum(axis=0)
        # what the rows do not agree on is noise
        apart = float(np.vdot(rows, rows).real) - float(_power(matched) @ self._over_weight)
        noise = max(apart, 0.0) / (rows.size - matched.size)
        channel, unknowns = self._from_echoes.estimate(matched, noise)
        rest = rows - known * channel
        freedom = len(rows) * (1 - unknowns / rest.size)
        raw = (rest.real**2 + rest.imag**2).sum(axis=0) / np.float32(freedom)
        return channel, est.smooth_variance(raw, len(rows)), unknowns * self._over_energy

    def _follow(self, rows: np.ndarray, known: _Estimate, course: _Course) -> _Estimate:
        """What the payload came through where channel and noise change within the packet.

        Where the channel moves, phase and drift were fitted to what it was not: the rows are turned anew.

        Args:
            rows: all rows of the burst, (rows, used), turned back by `course`.
            known: from preamble and header.
        """
        places, after = self.numerology.pilot_index, self.numerology.header_symbols
        before = known.variance[places]
        residual = rows[PREAMBLE_SYMBOLS:, places] * course.pilots - known.channel[places]
        energy = tracking.steps(residual)
        noise = tracking.pilot_noise(energy)
        moved = self._moved(rows, known, course, noise) if tracking.moves(residual, noise) else None
        if moved is None:
            channel, variance = known.channel, known.variance
            error = known.error
            drift = known.drift
        else:
            at_pilots = known.channel[places] + moved.channel[:, places]
            energy = tracking.steps(rows[PREAMBLE_SYMBOLS:, places] * course.pilots - at_pilots)
            # what changed during the header looked like noise there
            calm = min(float(np.median(tracking.pilot_noise(energy) / before)), 1.0)
            before = calm * before
            channel = known.channel + moved.channel[after:]
            variance = calm * known.variance + moved.variance[after:]
            error = np.zeros_like(known.error)  # it is part of the deviation
            drift = known.drift + moved.drift
        change = tracking.noise_changes(energy, before)
        if change is not None:
            variance = variance * change[after:, None]
        expected = channel.real**2 + channel.imag**2 + variance
        found = tracking.interference(rows[self.numerology.overhead_symbols :], expected)
        return _Estimate(channel, variance if found is None else variance + found, error, drift)

    def _moved(
        self, rows: np.ndarray, known: _Estimate, course: _Course, noise: np.ndarray
    ) -> tracking.Deviation | None:
        """How the channel deviates from the known one; the rows are turned to where that holds, or left alone
        when it does not. `noise` is the variance of each pilot.
        """
        n, index = self.numerology, np.arange(len(rows))
        # the phase of a sum of paths that fade jumps: only its mean rate is kept, from the middle of the
        # known rows on
        back = course.phase - course.rate * (index - self._middle)
        turns = (-2 * np.pi / n.n_fft) * np.outer(index - est.REFERENCE_ROW, n.carriers)
        received = rows[PREAMBLE_SYMBOLS:, n.pilot_index] * course.pilots
        received = received * est.unit_phasors(back[PREAMBLE_SYMBOLS:])[:, None]
        most = est.MAX_DRIFT * n.symbol
        pilots = tracking.Pilots(
            values=received,
            places=n.pilot_index,
            noise=noise,
            turns=turns[PREAMBLE_SYMBOLS:, n.pilot_index],
            reach=(-most - course.drift, most - course.drift),
        )
        error = float(known.variance.mean()) / n.overhead_symbols
        echoes = self._from_header.echoes(known.channel, error)
        moved = tracking.deviation(pilots, known.channel, self._from_header.response, echoes)
        if moved is not None:
            rows *= est.unit_phasors(back[:, None] - moved.drift * turns)
        return moved

    def _equalise(self, rows: np.ndarray, estimate: _Estimate, burst: Burst, start: int) -> ReceivedPacket:
        """Payload rows (payload rows, used) divided by their channel, in the order of the symbols."""
        power = _power(estimate.channel)
        rows *= np.conj(estimate.channel) / power
        variance = ((estimate.variance + estimate.error) / power).astype(np.float32)
        snr = float((1 / np.maximum(variance, _TINY)).mean()) if variance.size else 1.0
        mapping = _received_mapping(self.numerology, len(rows))
        entry = mapping.entry[: burst.size]
        place = entry if variance.ndim == 2 else mapping.carrier[: burst.size]
        return ReceivedPacket(
            header=burst.header,
            symbols=rows.ravel()[entry] * mapping.phases[: burst.size],
            noise_variance=variance.ravel()[place],
            snr_db=10 * math.log10(max(snr, _TINY)),
            cfo=burst.cfo,
            sfo_ppm=estimate.drift / self.numerology.symbol * 1e6,
            sample_index=start,
            numerology=self.numerology.name,
        )


@dataclass(frozen=True)
class _ReceivedMapping:
    """For payload symbol i: entry of the flattened (rows, used) grid, its carrier, and the conjugate of the
    phase it was sent with.
    """

    entry: np.ndarray
    carrier: np.ndarray
    phases: np.ndarray


@lru_cache(maxsize=16)
def _received_mapping(numerology: Numerology, rows: int) -> _ReceivedMapping:
    mapping = payload_mapping(numerology, rows)
    row, column = np.divmod(mapping.place, numerology.data)
    carrier = numerology.data_index[column]
    return _ReceivedMapping(
        row.astype(np.int64) * numerology.used + carrier, carrier, np.conj(mapping.phases)
    )


# The BPSK symbol of a bit 0.
_BIT_ZERO = float(qam_modulate(np.zeros(1, np.uint8), 1)[0].real)


def _power(channel: np.ndarray) -> np.ndarray:
    """|channel|², and never 0."""
    return np.maximum(channel.real**2 + channel.imag**2, _TINY)


def _decode(llr: np.ndarray) -> tuple[Header | None, np.ndarray]:
    """624 LLRs → header and its BPSK symbols, or None.

    Where noise is low the information bits are right as they stand, and the CRC says so; else the LDPC
    decoder is asked.
    """
    data = np.packbits(llr[: 8 * HEADER_BYTES] < 0).tobytes()
    header = unpack(data)
    coded = None if header is None else _agreeing(data, llr)
    if coded is None:
        header = decode_header(llr)
        coded = None if header is None else _agreeing(pack(header), llr)
    return (None, llr) if coded is None else (header, coded)


def _agreeing(data: bytes, llr: np.ndarray) -> np.ndarray | None:
    """The 624 BPSK symbols of a packed header, where enough of the LLRs agree with them.

    They are those of `header.encode_header`, by adding rows of the generator matrix: ten times as fast.
    """
    bits = np.unpackbits(np.frombuffer(data, np.uint8))
    parts = np.unpackbits(np.bitwise_xor.reduce(_generator()[bits > 0], axis=0))
    coded = qam_modulate(parts[:HEADER_SYMBOLS], 1)
    agree = np.count_nonzero(coded.real * llr * _BIT_ZERO > 0)
    return coded if agree >= _AGREEMENT * HEADER_SYMBOLS else None


@lru_cache(maxsize=1)
def _generator() -> np.ndarray:
    """Generator matrix of the header code, uint8 (288, 78), each row packed to bytes."""
    size = 8 * HEADER_BYTES
    return np.packbits(shortened("1/2", size).encode(np.eye(size, dtype=np.uint8)), axis=1)
