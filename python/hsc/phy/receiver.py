"""The receiver: a stream of samples in, in pieces of any size, packets out.

`BurstReceiver` keeps the samples and goes from search to header to payload.
The air interface is written down in docs/air-interface.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from .demodulator import Burst, Demodulator
from .header import MAX_PACKET_SYMBOLS
from .lines import BLOCK, EDGE, Lines, find_lines, without
from .numerology import PREAMBLE_SYMBOLS, Numerology
from .packets import ReceivedPacket
from .sync import Cells, Sync, Synchroniser

# Samples larger than this, or not finite, are set to zero: their squares stay within float32.
MAX_AMPLITUDE = 1e9
# Most samples that are taken at once.
_PIECE = 1 << 17
# Most samples that a search takes at once.
_SEARCH_BLOCK = 1 << 14
# Samples for which the same steady carriers are left out.
_STRETCH = 1 << 14
# Samples before a stretch in which they are looked for.
_LINE_SAMPLES = 1 << 10
# Samples that must be there before the search sees the last one: the notches look ahead, in blocks.
_LATE = EDGE + BLOCK
# Symbols between two runs of hits that have nothing to do with each other.
_APART = 8
# A run stands out whose 1 - |P| / R is this share of the mean of the two before: noise alone makes that of
# one in thirty.
_OUTSTANDING = 0.6
# Stretches whose steady carriers are kept: the searches for several numerologies are never further apart.
_REMEMBERED = 8
# Candidates that are confirmed together, at first and at most: the first ones are most likely preambles.
_CONFIRMED_AT_FIRST = 4
_CONFIRMED_AT_MOST = 16


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
        """Samples first … last − 1, complex64, valid until the next `append`."""
        return self._data[first - self.start : last - self.start]


@dataclass
class _Search:
    """How far the search for bursts of one numerology has come.

    Attributes:
        position: it goes on from here.
        block: samples that it takes at once.
        needed: no progress is possible before this many samples are in.
        found: a preamble whose header is not read yet.
        last: ends of the last two runs of hits, and by how much |P| / R was less than 1 there, float64 (2,
            2).
    """

    numerology: Numerology
    sync: Synchroniser
    demodulator: Demodulator
    position: int = 0
    block: int = 0
    needed: int = 0
    found: Sync | None = None
    last: np.ndarray = field(default_factory=lambda: np.zeros((2, 2)))

    def resume(self, position: int) -> None:
        """Search again from `position` on. A header from there on is not complete before `needed`."""
        self.found, self.last = None, np.array([[position - _APART * self.sync.span] * 2, [1.0] * 2])
        self.block = 4 * self.numerology.symbol
        self.proceed(position)

    def proceed(self, position: int) -> None:
        """All before `position` is searched. A run of hits from there on must be complete, and its header is
        not there any sooner.
        """
        sync = self.sync
        self.position = position
        self.needed = position + max(
            self.demodulator.header_length - sync.lookback, sync.span + sync.window + sync.half + _LATE
        )

    def tell_apart(self, starts: np.ndarray, ratio: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which of the next runs of hits are candidates, and which may be, bool (runs,) each, by where they
        start and their |P| / R.

        Three close together are rare in noise and around a preamble; a carrier's that moves are so all along,
        each much like those before. From the third on only one that stands out may be a preamble.
        """
        ends, rest = np.hstack([self.last, [starts + self.sync.span, 1 - ratio]])
        self.last = np.stack([ends[-2:], rest[-2:]])
        alone = starts - ends[:-2] >= _APART * self.sync.span
        return alone, ~alone & (rest[2:] < _OUTSTANDING * (rest[1:-1] + rest[:-2]) / 2)

    @property
    def held(self) -> int:
        """The first sample that it still has to do with."""
        return self.position if self.found is None else self.found.start


@dataclass(frozen=True)
class _Part:
    """A part of the stream as the searches see it, without lines.

    Attributes:
        stretch: the stretch of the stream that it lies in.
        received: samples of the stream that were there when it was made.
        start: index of its first sample.
    """

    stretch: int
    received: int
    start: int
    samples: np.ndarray
    cells: Cells

    @property
    def end(self) -> int:
        return self.start + len(self.samples)


@dataclass(frozen=True)
class _Found:
    """A burst whose header is read and whose payload is on its way."""

    search: _Search
    burst: Burst
    start: int
    needed: int


class BurstReceiver:
    """Receiver of one or several numerologies. Not thread-safe; memory is bounded by the longest packet.

    All are searched for; what a burst covers, from its header on, is left to that burst.

    Args:
        numerologies: what transmitters may use.
        max_payload: packets that claim more symbols are taken for header errors.

    Attributes:
        counters: what was seen so far.
    """

    def __init__(self, *numerologies: Numerology, max_payload: int = MAX_PACKET_SYMBOLS):
        self.max_payload = max_payload
        self.counters = Counters()
        self._searches = [_Search(n, Synchroniser(n), Demodulator(n)) for n in numerologies]
        syncs = [search.sync for search in self._searches]
        self._finest = min(sync.step for sync in syncs)
        self._grid = max(BLOCK, *(sync.step for sync in syncs))
        self._before = _whole(max(sync.lookback for sync in syncs), self._grid)
        ahead = (max(sync.window + sync.half, sync.lookahead) for sync in syncs)
        self._behind = _whole(max(sync.span + more for sync, more in zip(syncs, ahead, strict=True)), BLOCK)
        self._history = _STRETCH + _LINE_SAMPLES + 2 * self._before + EDGE
        longest = max(n.burst_length(max_payload) + 4 * n.symbol for n in numerologies)
        self._buffer = SampleBuffer(longest + self._history + 2 * (_PIECE + _SEARCH_BLOCK), self._history)
        self._receiving: _Found | None = None
        self._lines: dict[int, Lines] = {}
        self._part: _Part | None = None
        self._resume(0)

    def push(self, samples: np.ndarray) -> list[ReceivedPacket]:
        """Take complex samples (n,) and return the packets whose last sample is among them. Never raises on
        any values.
        """
        return list(self.packets(samples))

    def packets(self, samples: np.ndarray) -> Iterator[ReceivedPacket]:
        """As `push`, each packet as soon as it is there. A burst is given one try: a mistake in it is not met
        again.
        """
        samples, taken = self._clean(samples), 0
        while taken < len(samples):
            # a piece ends with what the search of a stretch needs behind it
            piece = samples[taken : taken + _PIECE - (self._buffer.end - self._behind - _LATE) % _PIECE]
            taken += len(piece)
            self._buffer.append(piece, self._held() - self._history)
            self.counters.samples += len(piece)
            while (step := self._next()) is not None:
                packet = step()
                if packet is not None:
                    self.counters.packets += 1
                    yield packet

    def _held(self) -> int:
        """The first sample that a search or a burst has still to do with."""
        if self._receiving is not None:
            return self._receiving.start
        return min(search.held for search in self._searches)

    def _clean(self, samples: np.ndarray) -> np.ndarray:
        samples = np.ascontiguousarray(samples, np.complex64).ravel()
        parts = samples.view(np.float32)
        with np.errstate(invalid="ignore"):  # a signalling NaN
            if parts.size == 0 or max(parts.max(), -parts.min()) < MAX_AMPLITUDE:
                return samples
        good = (np.abs(samples.real) < MAX_AMPLITUDE) & (np.abs(samples.imag) < MAX_AMPLITUDE)
        self.counters.bad_samples += int(len(samples) - np.count_nonzero(good))
        return np.where(good, samples, np.complex64(0))

    def _next(self) -> Callable[[], ReceivedPacket | None] | None:
        """The next step, in the order in which the samples for it come: so no numerology is favoured, however
        the stream is cut.
        """
        if self._receiving is not None:
            complete = self._buffer.end >= self._receiving.needed
            return partial(self._read_payload, self._receiving) if complete else None
        search = min(self._searches, key=lambda search: search.needed)
        if self._buffer.end < search.needed:
            return None
        return partial(self._search if search.found is None else self._read_header, search)

    def _search(self, search: _Search) -> None:
        """Look for a preamble from its position on, on a grid of the absolute sample index, whatever the
        pieces were.
        """
        sync = search.sync
        first = _whole(search.position, sync.step)
        stop = min(first + search.block, (first // _STRETCH + 1) * _STRETCH)
        part = self._part_from(first, sync.lookback)
        begin = first - part.start
        end = min(part.end, stop + sync.span + sync.window + sync.half) - part.start
        correlation, energy = sync.metric(part.samples[begin:end], part.cells.between(begin, end, sync.step))
        searched = first + len(correlation) * sync.step
        search.proceed(min(searched, stop))
        search.block = min(2 * search.block, _SEARCH_BLOCK)
        runs = sync.candidates(correlation, energy)
        if not runs.first.size:
            return
        starts, at = first + runs.first * sync.step, first + runs.best * sync.step
        count = int(np.searchsorted(starts, stop))  # those from `stop` on are for the next time
        count = self._complete(search, part, starts[:count], at[:count], searched)
        if count:
            places = at[:count] - part.start
            chosen, doubtful = search.tell_apart(starts[:count], runs.ratio[:count])
            if doubtful.any():
                chosen[doubtful] = sync.wide_band(part.samples, places[doubtful])
            self._confirm(search, part, places[chosen], runs.cfo[:count][chosen])

    def _complete(
        self, search: _Search, part: _Part, starts: np.ndarray, at: np.ndarray, searched: int
    ) -> int:
        """How many runs of hits are all there; the search goes on behind them.

        Args:
            starts, at: int64 (runs,), samples where they begin and where their maxima are.
            searched: all before it has been looked at.
        """
        sync = search.sync
        complete = (starts + sync.span <= searched) & (at + sync.lookahead <= part.end)
        if not complete.all():
            count = int(complete.argmin())
            search.proceed(int(starts[count]))
            search.needed = max(search.needed, int(at[count]) + sync.lookahead + _LATE)
            return count
        if len(starts):
            search.proceed(max(search.position, int(starts[-1]) + sync.span))
        return len(starts)

    def _part_from(self, first: int, lookback: int) -> _Part:
        """What is there of the stretch that sample `first` is in and of what its searches need behind it,
        from `lookback` before on.

        It is made once for all searches, as they go on side by side.
        """
        stretch, part = first // _STRETCH, self._part
        if (
            part is None
            or (part.stretch, part.received) != (stretch, self._buffer.end)
            or first - lookback < part.start
        ):
            slowest = max(stretch * _STRETCH, min(first, *(search.position for search in self._searches)))
            start = slowest // self._grid * self._grid - self._before
            end = min(self._buffer.end - EDGE, (stretch + 1) * _STRETCH + self._behind) // BLOCK * BLOCK
            samples = without(self._buffer.view(start - EDGE, end + EDGE), self._lines_of(stretch))
            part = self._part = _Part(
                stretch, self._buffer.end, start, samples, Cells.of(samples, self._finest)
            )
        return part

    def _lines_of(self, stretch: int) -> Lines:
        """Steady carriers to be left out in a stretch of the stream, from the samples before it (from its own
        in the first).
        """
        if stretch not in self._lines:
            end = max(stretch * _STRETCH, _LINE_SAMPLES)
            recent = {known: lines for known, lines in self._lines.items() if known > stretch - _REMEMBERED}
            self._lines = recent | {stretch: find_lines(self._buffer.view(end - _LINE_SAMPLES, end))}
        return self._lines[stretch]

    def _confirm(self, search: _Search, part: _Part, at: np.ndarray, cfo: np.ndarray) -> None:
        """Check candidates in order, few at first and then more at a time, and keep the first that is a
        preamble.
        """
        done, size = 0, _CONFIRMED_AT_FIRST
        while done < len(at):
            found = search.sync.confirm(part.samples, at[done : done + size], cfo[done : done + size])
            self.counters.candidates += len(at[done : done + size])
            if found is not None:
                search.found = Sync(found.start + part.start, found.cfo, found.quality)
                self.counters.detections += 1
                search.needed = search.found.start + search.demodulator.header_length
                return
            done, size = done + size, min(2 * size, _CONFIRMED_AT_MOST)

    def _read_header(self, search: _Search) -> None:
        found, numerology = search.found, search.numerology
        samples = self._buffer.view(found.start, self._buffer.end)
        search.resume(found.start + PREAMBLE_SYMBOLS * numerology.symbol)
        burst = search.demodulator.header(samples, found.cfo)
        if burst is None or burst.size > self.max_payload:
            self.counters.header_errors += 1
            return
        needed = found.start + search.demodulator.payload_length(burst.size)
        self._receiving = _Found(search, burst, found.start, needed)

    def _read_payload(self, receiving: _Found) -> ReceivedPacket:
        numerology, burst = receiving.search.numerology, receiving.burst
        samples = self._buffer.view(receiving.start, self._buffer.end)
        rows = numerology.overhead_symbols + numerology.payload_rows(burst.size)
        self._resume(receiving.start + rows * numerology.symbol)
        return receiving.search.demodulator.payload(samples, burst, receiving.start)

    def _resume(self, position: int) -> None:
        """Search for all numerologies from `position` on."""
        self._receiving = None
        for search in self._searches:
            search.resume(position)


def _whole(count: int, size: int) -> int:
    """The next multiple of `size` that is not below `count`."""
    return -(-count // size) * size
