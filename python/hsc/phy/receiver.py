"""The receiver: a stream of samples in, in pieces of any size, packets out.

`BurstReceiver` keeps the samples and goes from search to header to payload.
The air interface is written down in docs/air-interface.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .demodulator import Burst, Demodulator
from .numerology import PREAMBLE_SYMBOLS, Numerology
from .packet import MAX_PACKET_SYMBOLS, ReceivedPacket
from .sync import Sync, Synchroniser

# Samples larger than this, or not finite, are set to zero: their squares stay within float32.
MAX_AMPLITUDE = 1e9
_PIECE = 1 << 16
_SEARCH_BLOCK = 1 << 14


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
        return list(self.packets(samples))

    def packets(self, samples: np.ndarray) -> Iterator[ReceivedPacket]:
        """As `push`, each packet as soon as it is there. A burst is given one try: a mistake in it is not met again."""
        samples = self._clean(samples)
        for first in range(0, len(samples), _PIECE):
            piece = samples[first : first + _PIECE]
            held = self._position if self._found is None else self._found.start
            self._buffer.append(piece, held - self._history)
            self.counters.samples += len(piece)
            while self._buffer.end >= self._needed:
                packet = self._advance()
                if packet is not None:
                    self.counters.packets += 1
                    yield packet

    def _clean(self, samples: np.ndarray) -> np.ndarray:
        samples = np.ascontiguousarray(samples, np.complex64).ravel()
        parts = samples.view(np.float32)
        with np.errstate(invalid="ignore"):  # a signalling NaN
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
        """Look for a preamble from `_position` on, on a grid of the absolute sample index, whatever the pieces were."""
        sync = self._sync
        first = -(-self._position // sync.step) * sync.step
        last = min(self._buffer.end, first + self._block + sync.window + sync.half)
        correlation, energy = sync.metric(self._buffer.view(first, last))
        self._position = first + len(correlation) * sync.step
        self._needed = self._position + sync.span + sync.window + sync.half
        batch: list[tuple[int, float]] = []
        for hit, best, cfo in sync.candidates(correlation, energy):
            at = first + best * sync.step
            run_end = first + hit * sync.step + sync.span
            if run_end > self._position or at + sync.lookahead > self._buffer.end:
                self._needed = run_end + sync.window + sync.half if run_end > self._position else at + sync.lookahead
                self._position = run_end - sync.span
                break
            batch.append((at, cfo))
        self._block = min(2 * self._block, _SEARCH_BLOCK)
        self._confirm(batch)

    def _confirm(self, batch: list[tuple[int, float]]) -> None:
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
                return
            done, size = done + size, min(4 * size, 16)

    def _read_header(self, found: Sync) -> None:
        samples = self._buffer.view(found.start, self._buffer.end)
        self._resume(found.start + PREAMBLE_SYMBOLS * self.numerology.symbol)
        burst = self._demodulator.header(samples, found.cfo)
        if burst is None or burst.size > self.max_payload:
            self.counters.header_errors += 1
            return
        self._found, self._burst = found, burst
        self._needed = found.start + self._demodulator.payload_length(burst.size)

    def _read_payload(self, burst: Burst) -> ReceivedPacket:
        start = self._found.start
        samples = self._buffer.view(start, self._buffer.end)
        rows = self.numerology.overhead_symbols + self.numerology.payload_rows(burst.size)
        self._resume(start + rows * self.numerology.symbol)
        return self._demodulator.payload(samples, burst, start)

    def _resume(self, position: int) -> None:
        """Search again from `position` on."""
        self._found = self._burst = None
        self._position = position
        self._block = 4 * self.numerology.symbol
        self._needed = position + self._block + self._sync.window + self._sync.half
