"""The receiver: a stream of samples in, in pieces of any size, packets out.

`BurstReceiver` keeps the samples and goes from search to header to payload; `Burst` holds what is known of the burst at hand.
The air interface is written down in docs/air-interface.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from . import estimation as est
from .ldpc import shortened
from .numerology import PREAMBLE_SYMBOLS, Numerology
from .ofdm import header_grid, header_mapping, payload_mapping, pilot_symbols
from .packet import HEADER_BYTES, HEADER_SYMBOLS, MAX_PACKET_SYMBOLS, Header, ReceivedPacket, decode_header, pack, unpack
from .preamble import preamble_carriers
from .qam import modulate as qam_modulate
from .sync import Sync, Synchroniser

# Samples larger than this, or not finite, are set to zero: their squares stay within float32.
MAX_AMPLITUDE = 1e9
_PIECE = 1 << 16
_SEARCH_BLOCK = 1 << 14
# Of the header's hard decisions this share must agree with the header that was decoded: 0.92 do at 0 dB, 0.5 by chance (± 0.02).
_AGREEMENT = 0.7


@dataclass
class Counters:
    """What a receiver has seen since it was made.

    Attributes:
        samples: samples taken.
        candidates: places where the search looked closer.
        detections: preambles found.
        header_errors: preambles whose header did not decode.
        packets: packets delivered.
        bad_samples: samples that were not finite or absurdly large, taken as zero.
    """

    samples: int = 0
    candidates: int = 0
    detections: int = 0
    header_errors: int = 0
    packets: int = 0
    bad_samples: int = 0


class SampleBuffer:
    """The last samples of a stream by their absolute index, in one array that is moved up when it is full."""

    def __init__(self, capacity: int, history: int):
        self._data = np.zeros(capacity, np.complex64)
        self.start = -history
        self.end = 0

    def append(self, samples: np.ndarray, keep_from: int) -> None:
        """Add samples; those before index `keep_from` may go."""
        used = self.end - self.start
        if used + len(samples) > len(self._data):
            kept = self.end - keep_from
            self._data[:kept] = self._data[keep_from - self.start : used]
            self.start, used = keep_from, kept
        self._data[used : used + len(samples)] = samples
        self.end += len(samples)

    def view(self, first: int, last: int) -> np.ndarray:
        """Samples first .. last - 1, complex64, valid until the next `append`."""
        return self._data[first - self.start : last - self.start]


class BurstReceiver:
    """Receiver of one numerology. Not thread-safe; memory is bounded by the longest packet.

    Args:
        numerology: the transmitter's.
        max_payload: packets that claim more symbols are taken for header errors.

    Attributes:
        counters: what was seen so far.
    """

    def __init__(self, numerology: Numerology, max_payload: int = MAX_PACKET_SYMBOLS):
        self.numerology = numerology
        self.max_payload = max_payload
        self.counters = Counters()
        self._sync = Synchroniser(numerology)
        self._demodulator = Demodulator(numerology)
        history = 2 * self._sync.lookback
        longest = numerology.burst_length(max_payload) + 4 * numerology.symbol
        self._buffer = SampleBuffer(longest + history + 2 * (_PIECE + _SEARCH_BLOCK), history)
        self._history = history
        self._position = 0  # the search goes on from here
        self._block = 4 * numerology.symbol
        self._needed = 0  # no progress is possible before this many samples are in
        self._found: Sync | None = None
        self._burst: Burst | None = None

    def push(self, samples: np.ndarray) -> list[ReceivedPacket]:
        """Take complex samples (n,) and return the packets whose last sample is among them. Never raises on any values."""
        samples = self._clean(samples)
        packets: list[ReceivedPacket] = []
        for first in range(0, len(samples), _PIECE):
            piece = samples[first : first + _PIECE]
            held = self._position if self._found is None else self._found.start
            self._buffer.append(piece, held - self._history)
            self.counters.samples += len(piece)
            while self._buffer.end >= self._needed:
                packet = self._advance()
                if packet is not None:
                    self.counters.packets += 1
                    packets.append(packet)
        return packets

    def _clean(self, samples: np.ndarray) -> np.ndarray:
        samples = np.ascontiguousarray(samples, np.complex64).ravel()
        parts = samples.view(np.float32)
        if parts.size == 0 or max(parts.max(), -parts.min()) < MAX_AMPLITUDE:
            return samples
        good = (np.abs(samples.real) < MAX_AMPLITUDE) & (np.abs(samples.imag) < MAX_AMPLITUDE)
        self.counters.bad_samples += int(len(samples) - np.count_nonzero(good))
        return np.where(good, samples, np.complex64(0))

    def _advance(self) -> ReceivedPacket | None:
        """One step. Either makes progress or sets `_needed` beyond the end of the buffer."""
        if self._found is None:
            self._search()
        elif self._burst is None:
            self._read_header(self._found)
        else:
            return self._read_payload(self._burst)
        return None

    def _search(self) -> None:
        """Look for a preamble from `_position` on. The grid of the search is that of the absolute sample index, whatever the pieces were."""
        sync = self._sync
        first = -(-self._position // sync.step) * sync.step
        last = min(self._buffer.end, first + self._block + sync.window + sync.half)
        correlation, energy = sync.metric(self._buffer.view(first, last))
        entries = len(correlation)
        batch: list[tuple[int, float]] = []
        resume = first + entries * sync.step
        for hit, best, cfo in sync.candidates(correlation, energy):
            if hit * sync.step + sync.span > entries * sync.step or first + best * sync.step + sync.lookahead > self._buffer.end:
                resume = first + hit * sync.step
                break
            batch.append((first + best * sync.step, cfo))
        if batch and self._confirm(batch):
            return
        stuck = resume < first + entries * sync.step
        self._block = min(2 * self._block, _SEARCH_BLOCK)
        self._position = resume
        more = sync.span + sync.window + sync.half + (sync.lookahead + sync.span if stuck else sync.span)
        self._needed = max(resume + more, 0)

    def _confirm(self, batch: list[tuple[int, float]]) -> bool:
        """Check candidates in order, few at first and then more at a time, and keep the first that is a preamble."""
        begin = self._buffer.start
        samples = self._buffer.view(begin, self._buffer.end)
        done, size = 0, 1
        while done < len(batch):
            part = batch[done : done + size]
            found = self._sync.confirm(samples, np.array([at - begin for at, _ in part]), np.array([cfo for _, cfo in part]))
            self.counters.candidates += len(part)
            if found is not None:
                self._found = Sync(found.start + begin, found.cfo, found.quality)
                self.counters.detections += 1
                self._needed = self._found.start + self._demodulator.header_length
                return True
            done, size = done + size, min(4 * size, 16)
        return False

    def _read_header(self, found: Sync) -> None:
        samples = self._buffer.view(found.start, self._buffer.end)
        burst = self._demodulator.header(samples, found.cfo)
        if burst is None or burst.header.payload_symbols > self.max_payload:
            self.counters.header_errors += 1
            self._resume(found.start + PREAMBLE_SYMBOLS * self.numerology.symbol)
            return
        self._burst = burst
        self._needed = found.start + self._demodulator.payload_length(burst.header)

    def _read_payload(self, burst: Burst) -> ReceivedPacket:
        start = self._found.start
        packet = self._demodulator.payload(self._buffer.view(start, self._buffer.end), burst, start)
        rows = self.numerology.overhead_symbols + self.numerology.payload_rows(burst.header.payload_symbols)
        self._resume(start + rows * self.numerology.symbol)
        return packet

    def _resume(self, position: int) -> None:
        """Search again from `position` on."""
        self._found = self._burst = None
        self._position = position
        self._block = 4 * self.numerology.symbol
        self._needed = position + self._block + self._sync.window + self._sync.half


@dataclass(frozen=True)
class Burst:
    """A burst whose header is known: header, refined CFO [subcarriers], and the preliminary channel and noise variance."""

    header: Header
    cfo: float
    channel: np.ndarray
    noise_variance: float
    known: np.ndarray


class Demodulator:
    """From the samples of one burst, sample 0 being its first, to the header and then to the equalised payload."""

    def __init__(self, numerology: Numerology):
        self.numerology = numerology
        self._preamble = preamble_carriers(numerology)
        energy = np.abs(self._preamble) ** 2
        self._from_preamble = est.ChannelEstimator(numerology, energy.sum(axis=0))
        self._from_header = est.ChannelEstimator(numerology, energy.sum(axis=0) + numerology.header_symbols)
        self._even = numerology.carriers % 2 == 0
        self._first_window = numerology.cp - est.window_margin(numerology)
        self._header_rows = np.arange(numerology.overhead_symbols)
        self.header_length = self._length(numerology.overhead_symbols)

    def payload_length(self, header: Header) -> int:
        """Samples from the start of the burst that `payload` needs, the most that the clocks may differ included."""
        rows = self.numerology.overhead_symbols + self.numerology.payload_rows(header.payload_symbols)
        return self._length(rows) + int(np.ceil(est.MAX_DRIFT * rows * self.numerology.symbol))

    def _length(self, rows: int) -> int:
        return (rows - 1) * self.numerology.symbol + self._first_window + self.numerology.n_fft

    def header(self, samples: np.ndarray, cfo: float) -> Burst | None:
        """Decode the header; None when it does not decode. `cfo` must be good to a fifth of a subcarrier."""
        n = self.numerology
        rows = est.occupied_carriers(n, samples, self._header_rows * n.symbol + self._first_window, cfo)
        halves = np.conj(self._preamble[:, self._even]) * rows[:2, self._even]
        turn = float(np.angle(np.vdot(halves[0], halves[1])))
        rows *= np.exp(-1j * turn * self._header_rows).astype(np.complex64)[:, None]
        cfo += turn * n.n_fft / (2 * np.pi * n.symbol)
        matched = np.sum(np.conj(self._preamble) * rows[:2], axis=0)
        unused = rows[0, ~self._even]
        noise = float(np.mean(unused.real**2 + unused.imag**2))
        channel = self._from_preamble.estimate(matched, noise)
        power = np.maximum(channel.real**2 + channel.imag**2, 1e-30)
        equalised = np.conj(channel) * rows
        equalised *= self._header_rotation(equalised)
        data = equalised[2:]
        variance = est.smooth_variance(2 * np.mean(data.imag**2, axis=0) / power, n.header_symbols / 2)
        llr = self._header_llr(data.real * (4 / np.maximum(variance, 1e-30)))
        header = _decode(llr)
        if header is None:
            return None
        known = np.concatenate([self._preamble, header_grid(n, _reencode(header))])
        rate, _ = est.fit_rotation(np.sum(np.conj(known) * np.conj(channel) * rows, axis=1))
        return Burst(header, cfo + rate * n.n_fft / (2 * np.pi * n.symbol), channel, noise, known)

    def _header_rotation(self, equalised: np.ndarray) -> np.ndarray:
        """Phasors (rows, 1) that undo the rotation of the header rows, from the preamble and the pilots."""
        n = self.numerology
        phasors = np.empty(len(equalised), np.complex64)
        phasors[:2] = np.sum(np.conj(self._preamble) * equalised[:2], axis=1)
        phasors[2:] = np.sum(equalised[2:, n.pilot_index] * pilot_symbols(n, n.header_symbols), axis=1)
        rate, phase = est.fit_rotation(phasors)
        return est.unit_phasors(-phase - rate * self._header_rows)[:, None]

    def _header_llr(self, soft: np.ndarray) -> np.ndarray:
        """Soft BPSK (header rows, used) -> LLRs (624,), those of repeated bits added up."""
        mapping = header_mapping(self.numerology)
        values = np.zeros(-(-mapping.place.size // HEADER_SYMBOLS) * HEADER_SYMBOLS, np.float32)
        values[: mapping.place.size] = soft[:, self.numerology.data_index].ravel()[mapping.place] * mapping.phases
        return values.reshape(-1, HEADER_SYMBOLS).sum(axis=0) * _BIT_ZERO

    def payload(self, samples: np.ndarray, burst: Burst, start: int) -> ReceivedPacket:
        """Equalise the payload of a burst whose header is known; `start` is the index of its first sample in the stream."""
        n, header_rows = self.numerology, self.numerology.overhead_symbols
        count = header_rows + n.payload_rows(burst.header.payload_symbols)
        index = np.arange(count) - est.REFERENCE_ROW
        nominal = np.arange(count) * n.symbol + self._first_window
        rows = est.occupied_carriers(n, samples, nominal, burst.cfo)
        pilots = pilot_symbols(n, count - PREAMBLE_SYMBOLS)
        received = rows[PREAMBLE_SYMBOLS:, n.pilot_index] * np.conj(burst.channel[n.pilot_index]) * pilots
        drift = est.fit_drift(n, received, index[PREAMBLE_SYMBOLS:], burst.noise_variance)
        shift = np.rint(drift * index).astype(np.int64)
        if shift.any():
            rows = est.occupied_carriers(n, samples, nominal + shift, burst.cfo)
        delay = drift * index - shift
        rows *= est.unit_phasors((2 * np.pi / n.n_fft) * np.outer(delay, n.carriers))
        channel, variance = self._refine(rows[:header_rows], burst)
        phasors = np.concatenate([
            np.sum(np.conj(self._preamble) * np.conj(channel) * rows[:2], axis=1),
            np.sum(rows[2:, n.pilot_index] * (np.conj(channel[n.pilot_index]) * pilots), axis=1),
        ])  # fmt: skip
        phase = est.smooth_phase(n, phasors)
        power = np.maximum(channel.real**2 + channel.imag**2, 1e-30)
        rows *= est.unit_phasors(-phase)[:, None]
        rows *= np.conj(channel) / power
        size = burst.header.payload_symbols
        mapping = _received_mapping(n, count - header_rows)
        symbols = rows[header_rows:].ravel()[mapping.entry[:size]]
        symbols *= mapping.phases[:size]
        left = (variance / power).astype(np.float32)
        return ReceivedPacket(
            header=burst.header,
            symbols=symbols,
            noise_variance=left[mapping.carrier[:size]],
            snr_db=float(10 * np.log10(max(float(np.mean(1 / np.maximum(left, 1e-30))), 1e-30))),
            cfo=burst.cfo,
            sfo_ppm=drift / n.symbol * 1e6,
            sample_index=start,
        )

    def _refine(self, rows: np.ndarray, burst: Burst) -> tuple[np.ndarray, np.ndarray]:
        """Channel and noise variance per carrier from preamble and header, whose drift is already undone."""
        known = burst.known
        phasors = np.sum(np.conj(known) * np.conj(burst.channel) * rows, axis=1)
        rate, phase = est.fit_rotation(phasors)
        level = rows * est.unit_phasors(-phase - rate * self._header_rows)[:, None]
        channel = self._from_header.estimate(np.sum(np.conj(known) * level, axis=0), burst.noise_variance)
        rest = level - known * channel
        share = 1 - self._from_header.taps / rest.size
        raw = np.mean(rest.real**2 + rest.imag**2, axis=0) / share
        return channel, est.smooth_variance(raw, len(rows))


@dataclass(frozen=True)
class _ReceivedMapping:
    """For payload symbol i: entry of the flattened (rows, used) grid, its carrier, and the conjugate of the phase it was sent with."""

    entry: np.ndarray
    carrier: np.ndarray
    phases: np.ndarray


@lru_cache(maxsize=16)
def _received_mapping(numerology: Numerology, rows: int) -> _ReceivedMapping:
    mapping = payload_mapping(numerology, rows)
    row, column = np.divmod(mapping.place, numerology.data)
    carrier = numerology.data_index[column]
    return _ReceivedMapping(row.astype(np.int64) * numerology.used + carrier, carrier, np.conj(mapping.phases))


_BIT_ZERO = float(qam_modulate(np.zeros(1, np.uint8), 1)[0].real)


def _decode(llr: np.ndarray) -> Header | None:
    """624 LLRs -> header. Without noise worth the name the information bits are right as they stand, else the LDPC decoder is asked."""
    header = unpack(np.packbits(llr[: 8 * HEADER_BYTES] < 0).tobytes())
    for candidate in (header, None):
        header = candidate or decode_header(llr)
        if header is not None and np.mean((_reencode(header).real * _BIT_ZERO < 0) == (llr < 0)) >= _AGREEMENT:
            return header
    return None


def _reencode(header: Header) -> np.ndarray:
    """The 624 BPSK symbols of a header, as `packet.encode_header`, by exclusive or of the rows of the generator matrix: ten times as fast."""
    bits = np.unpackbits(np.frombuffer(pack(header), np.uint8))
    coded = np.unpackbits(np.bitwise_xor.reduce(_generator()[bits > 0], axis=0))[:HEADER_SYMBOLS]
    return qam_modulate(coded, 1)


@lru_cache(maxsize=1)
def _generator() -> np.ndarray:
    """Generator matrix of the header code, uint8 (288, 78), each row packed to bytes."""
    size = 8 * HEADER_BYTES
    return np.packbits(shortened("1/2", size).encode(np.eye(size, dtype=np.uint8)), axis=1)
