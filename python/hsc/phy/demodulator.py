"""Receiving one burst whose beginning is known: header, channel, clock drift, equalised payload."""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from . import estimation as est
from . import tracking
from .header import HEADER_BYTES, HEADER_SYMBOLS, Header, decode_header, pack, unpack
from .ldpc import shortened
from .leak import constant_part, without_moving_part
from .numerology import PREAMBLE_SYMBOLS, Numerology
from .ofdm import header_grid, header_mapping, payload_mapping, pilot_symbols
from .packets import ReceivedPacket
from .preamble import preamble_carriers
from .qam import modulate as qam_modulate

# Of the header's hard decisions this share must agree with the header that was decoded: 0.92 do at 0 dB, 0.5
# by chance (± 0.02).
_AGREEMENT = 0.7


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


@dataclass(frozen=True)
class _Course:
    """What the rows of a burst were turned back by.

    Attributes:
        pilots: float32 (header and payload rows, pilots), as sent.
        phase: float (rows,), common phase of each row.
        rate: its mean change [radians per row].
        drift: of the clock [samples per row].
    """

    pilots: np.ndarray
    phase: np.ndarray
    rate: float
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
        self._from_header = est.ChannelEstimator(numerology, energy.sum(axis=0) + numerology.header_symbols)
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
        n, samples, begin = self.numerology, samples[: self.header_length], cfo
        leak = constant_part(samples)
        rows = est.occupied_carriers(
            n, samples - np.complex64(leak) if leak else samples, self._first_window, n.overhead_symbols, cfo
        )
        halves = (self._conjugate * rows[:2])[:, self._even]
        turn = cmath.phase(np.vdot(halves[0], halves[1]))
        turns = est.unit_phasors(-turn * self._header_rows)[:, None]
        rows *= turns
        cfo += turn * n.n_fft / (2 * np.pi * n.symbol)
        matched = (self._conjugate * rows[:2]).sum(axis=0)
        unused = rows[0, self._odd]
        noise = float(np.vdot(unused, unused).real) / unused.size
        channel = self._from_preamble.estimate(matched, noise)
        power = np.maximum(channel.real**2 + channel.imag**2, 1e-30)
        equalised = np.conj(channel) * rows
        equalised *= self._header_rotation(equalised)
        data = equalised[2:]
        across = (data.imag**2).sum(axis=0) * (2 / n.header_symbols) / power  # BPSK has nothing in quadrature
        variance = est.smooth_variance(across, n.header_symbols / 2)
        llr = self._header_llr(data.real * (4 / np.maximum(variance, 1e-30)))
        header, coded = _decode(llr)
        if header is None:
            return None
        known = np.concatenate([self._preamble, header_grid(n, coded)])
        rate, phase = est.fit_rotation((np.conj(known * channel) * rows).sum(axis=1))
        if leak:
            rest = rows - known * channel * est.unit_phasors(phase + rate * self._header_rows)[:, None]
            leak += self._constant_in(rest / turns, begin)
        return Burst(
            header,
            cfo + rate * n.n_fft / (2 * np.pi * n.symbol),
            channel,
            noise,
            leak,
            known,
            header.payload_symbols,
        )

    def _constant_in(self, rows: np.ndarray, cfo: float) -> complex:
        """The constant in the samples that explains preamble and header rows (rows, used), from which `cfo`
        was taken away, best.
        """
        one = est.occupied_carriers(
            self.numerology, np.ones(self.header_length, np.complex64), self._first_window, len(rows), cfo
        )
        return complex(np.vdot(one, rows) / np.vdot(one, one))

    def _header_rotation(self, equalised: np.ndarray) -> np.ndarray:
        """Phasors (rows, 1) that undo the rotation of the header rows, from the preamble and the pilots."""
        n = self.numerology
        phasors = np.empty(len(equalised), np.complex64)
        phasors[:2] = (self._conjugate * equalised[:2]).sum(axis=1)
        phasors[2:] = (equalised[2:, n.pilot_index] * pilot_symbols(n, n.header_symbols)).sum(axis=1)
        rate, phase = est.fit_rotation(phasors)
        return est.unit_phasors(-phase - rate * self._header_rows)[:, None]

    def _header_llr(self, soft: np.ndarray) -> np.ndarray:
        """Soft BPSK (header rows, used) -> LLRs (624,), those of repeated bits added up."""
        mapping = header_mapping(self.numerology)
        values = np.zeros(-(-mapping.place.size // HEADER_SYMBOLS) * HEADER_SYMBOLS, np.float32)
        values[: mapping.place.size] = (
            soft[:, self.numerology.data_index].ravel()[mapping.place] * mapping.phases
        )
        return values.reshape(-1, HEADER_SYMBOLS).sum(axis=0) * _BIT_ZERO

    def payload(self, samples: np.ndarray, burst: Burst, start: int) -> ReceivedPacket:
        """Equalise the payload of a burst whose header is known; `start` is the index of its first sample in
        the stream.
        """
        n, header_rows = self.numerology, self.numerology.overhead_symbols
        if burst.leak:
            samples = without_moving_part(
                samples[: self.payload_length(burst.size)] - np.complex64(burst.leak)
            )
        count = header_rows + n.payload_rows(burst.size)
        index = np.arange(count) - est.REFERENCE_ROW
        advance = est.best_margin(n, burst.channel, burst.noise_variance) - est.window_margin(n)
        preliminary = burst.channel * est.unit_phasors((-2 * np.pi / n.n_fft * advance) * n.carriers)
        first = self._first_window - advance
        rows = est.occupied_carriers(n, samples, first, count, burst.cfo)
        pilots = pilot_symbols(n, count - PREAMBLE_SYMBOLS)
        received = rows[PREAMBLE_SYMBOLS:, n.pilot_index] * np.conj(preliminary[n.pilot_index]) * pilots
        drift, (rate, phase) = est.fit_drift(n, received, burst.noise_variance)
        shift = np.rint(drift * index).astype(np.int64)
        if shift.any():
            rows = est.occupied_carriers(n, samples, first, count, burst.cfo, shift)
        delay = drift * index - shift
        rows *= est.unit_phasors((2 * np.pi / n.n_fft) * np.outer(delay, n.carriers))
        channel, variance = self._refine(rows[:header_rows], burst)
        phasors = np.empty(count, np.complex64)
        phasors[:2] = (self._conjugate * rows[:2]) @ np.conj(channel)
        phasors[2:] = (rows[2:, n.pilot_index] * pilots) @ np.conj(channel[n.pilot_index])
        phase = est.smooth_phase(n, phasors, (rate, phase - PREAMBLE_SYMBOLS * rate))
        rows *= est.unit_phasors(-phase)[:, None]
        if burst.size:
            channel, variance, drift = self._follow(
                rows, channel, variance, _Course(pilots, phase, rate, drift)
            )
        power = np.maximum(channel.real**2 + channel.imag**2, 1e-30)
        rows = rows[header_rows:]
        rows *= np.conj(channel) / power
        size = burst.size
        mapping = _received_mapping(n, count - header_rows)
        symbols = rows.ravel()[mapping.entry[:size]]
        symbols *= mapping.phases[:size]
        left = (variance / power).astype(np.float32)
        return ReceivedPacket(
            header=burst.header,
            symbols=symbols,
            noise_variance=left[mapping.carrier[:size]]
            if left.ndim == 1
            else left.ravel()[mapping.entry[:size]],
            snr_db=10 * math.log10(max(float((1 / np.maximum(left, 1e-30)).mean()), 1e-30))
            if left.size
            else 0.0,
            cfo=burst.cfo,
            sfo_ppm=drift / n.symbol * 1e6,
            sample_index=start,
            numerology=n.name,
        )

    def _follow(
        self, rows: np.ndarray, channel: np.ndarray, variance: np.ndarray, course: _Course
    ) -> tuple[np.ndarray, np.ndarray, float]:
        """Channel and noise variance of the payload, (used,) where they stay as they were in the header, else
        (payload rows, used).

        Also the drift [samples per row]. Where the channel moves, phase and drift were fitted to what it was
        not: the rows are turned anew.

        Args:
            rows: all rows of the burst, (count, used), turned back by `course`.
            channel, variance: (used,), from preamble and header.
        """
        n, after, drift = self.numerology, self.numerology.header_symbols, course.drift
        places = n.pilot_index
        residual = rows[PREAMBLE_SYMBOLS:, places] * course.pilots - channel[places]
        energy = tracking.steps(residual)
        noise = tracking.pilot_noise(energy)
        before = variance[places]
        if tracking.moves(residual, noise):
            moved = self._moved(rows, channel, variance, course, noise)
            if moved is not None:
                drift += moved.drift
                residual = rows[PREAMBLE_SYMBOLS:, places] * course.pilots - (
                    channel[places] + moved.channel[:, places]
                )
                energy = tracking.steps(residual)
                # what changed during the header looked like noise there
                calm = min(float(np.median(tracking.pilot_noise(energy) / before)), 1.0)
                channel, before = channel + moved.channel[after:], calm * before
                variance = calm * variance + moved.variance[after:]
        change = tracking.noise_changes(energy, before)
        if change is not None:
            variance = variance * change[after:, None]
        found = tracking.interference(
            rows[n.overhead_symbols :], channel.real**2 + channel.imag**2 + variance
        )
        return channel, variance if found is None else variance + found, drift

    def _moved(
        self, rows: np.ndarray, channel: np.ndarray, variance: np.ndarray, course: _Course, noise: np.ndarray
    ) -> tracking.Deviation | None:
        """How the channel deviates from `channel`; the rows are turned to where that holds, or left alone
        when it does not.
        """
        n, index = self.numerology, np.arange(len(rows))
        # the phase of a sum of paths that fade jumps: only its mean rate is kept, from the middle of the
        # known rows on
        back = course.phase - course.rate * (index - self._middle)
        turns = (-2 * np.pi / n.n_fft) * np.outer(index - est.REFERENCE_ROW, n.carriers)
        at_pilots = (
            rows[PREAMBLE_SYMBOLS:, n.pilot_index]
            * course.pilots
            * est.unit_phasors(back[PREAMBLE_SYMBOLS:])[:, None]
        )
        most = est.MAX_DRIFT * n.symbol
        moved = tracking.deviation(
            tracking.Pilots(
                at_pilots,
                n.pilot_index,
                noise,
                turns[PREAMBLE_SYMBOLS:, n.pilot_index],
                (-most - course.drift, most - course.drift),
            ),
            channel,
            self._from_header.response,
            self._from_header.echoes(channel, float(variance.mean()) / n.overhead_symbols),
        )
        if moved is not None:
            rows *= est.unit_phasors(back[:, None] - moved.drift * turns)
        return moved

    def _refine(self, rows: np.ndarray, burst: Burst) -> tuple[np.ndarray, np.ndarray]:
        """Channel and noise variance per carrier from preamble and header, whose drift is already undone."""
        known = burst.known
        channel = self._from_header.estimate((np.conj(known) * rows).sum(axis=0), burst.noise_variance)
        rest = rows - known * channel
        freedom = len(rows) * (1 - self._from_header.taps / rest.size)
        raw = (rest.real**2 + rest.imag**2).sum(axis=0) / np.float32(freedom)
        return channel, est.smooth_variance(raw, len(rows))


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


_BIT_ZERO = float(qam_modulate(np.zeros(1, np.uint8), 1)[0].real)


def _decode(llr: np.ndarray) -> tuple[Header | None, np.ndarray]:
    """624 LLRs -> header and its BPSK symbols, or None.

    Where noise is low the information bits are right as they stand, and the CRC says so; else the LDPC
    decoder is asked.
    """
    header = unpack(np.packbits(llr[: 8 * HEADER_BYTES] < 0).tobytes())
    for candidate in (header, None):
        header = candidate or decode_header(llr)
        if header is not None:
            coded = _reencode(header)
            if np.count_nonzero(coded.real * llr * _BIT_ZERO > 0) >= _AGREEMENT * HEADER_SYMBOLS:
                return header, coded
    return None, llr


def _reencode(header: Header) -> np.ndarray:
    """The 624 BPSK symbols of a header, as `header.encode_header`, by adding rows of the generator matrix:
    ten times as fast.
    """
    bits = np.unpackbits(np.frombuffer(pack(header), np.uint8))
    coded = np.unpackbits(np.bitwise_xor.reduce(_generator()[bits > 0], axis=0))[:HEADER_SYMBOLS]
    return qam_modulate(coded, 1)


@lru_cache(maxsize=1)
def _generator() -> np.ndarray:
    """Generator matrix of the header code, uint8 (288, 78), each row packed to bytes."""
    size = 8 * HEADER_BYTES
    return np.packbits(shortened("1/2", size).encode(np.eye(size, dtype=np.uint8)), axis=1)
