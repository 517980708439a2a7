"""Layered normalised min-sum decoding of quasi-cyclic LDPC codes on 8-bit messages, many codewords at once.

Layered schedule: Hocevar, "A reduced complexity decoder architecture via layered decoding of LDPC codes",
SiPS 2004. Normalised min-sum: Chen and Fossorier, "Near optimum universal belief propagation based decoding
of LDPC codes", IEEE Trans. Commun. 50(3), 2002. The codewords lie along the contiguous axis, so that every
numpy call is one SIMD loop over bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Codewords decoded together. 9 · 64: rows start on cache lines, and their stride is no power of two, which
# would throw the caches of one column together.
BATCH = 576

# Bits of the words that are decoded together where one has 672 of them.
_BATCH_BITS = 672
# |LLR| beyond which a bit is certain, and counts for no more in the mean.
_CERTAIN = 8.0
# Posterior of a filler bit: 0 beyond doubt, and far from overflow when its one message is added.
_FILLER = 75
# Share of finished codewords from which on they make room for new ones. Chosen by trial: making room costs
# as much as some iterations.
_LEAVING_SHARE = 0.2


@dataclass(frozen=True)
class Arithmetic:
    """How a code uses 8 bits. Messages must be able to outweigh the channel, or wrong parity bits hold each
    other up.

    Attributes:
        mean: |LLR| that the mean of a codeword is scaled to.
        channel_limit: largest |LLR| of the channel.
        message_limit: largest magnitude before it is normalised.
        factor, offset, divisor: a message is (factor · magnitude + offset) / divisor, rounded down.
        saturates: extrinsic values are cut, so that no sum overflows at any column weight.
    """

    mean: float
    channel_limit: int
    message_limit: int
    factor: int
    offset: int
    divisor: int
    saturates: bool = False

    @property
    def largest_message(self) -> int:
        """Of a check."""
        return (self.factor * self.message_limit + self.offset) // self.divisor

    @property
    def extrinsic_limit(self) -> int:
        """Leaves room for two messages, one that is added and one that is taken out."""
        return 127 - 2 * self.largest_message


# For column weights up to 4: |posterior| ≤ 19 + 4 · 25 = 119. Chosen by trial: with limits of 31 and 30 and a
# mean of 16, six times as many blocks of 16QAM-1/2 fail at 9 dB (4e-5), for 0.02 dB at the threshold.
LIGHT = Arithmetic(mean=10.0, channel_limit=19, message_limit=31, factor=4, offset=2, divisor=5)


@dataclass(frozen=True)
class Layer:
    """Checks that share no bit, all of one degree: filler bits, which are always 0, make up for missing ones.

    Attributes:
        rows: (degree · checks,) bits of the checks: first the first bit of every check, then the second of
            every check, …
        degree: bits in a check. start: place of the layer's first message.
    """

    rows: np.ndarray
    degree: int
    start: int

    @property
    def checks(self) -> int:
        """Number of checks."""
        return len(self.rows) // self.degree


class MinSumDecoder:
    """Decoder of a quasi-cyclic code.

    Args:
        base: base matrix (m, n), −1 for zero, else the rotation to the right.
        lift: order Z of the circulants.
        arithmetic: how it uses 8 bits.
        certain: bits that are known to be 0, whatever their LLRs.
    """

    def __init__(
        self, base: np.ndarray, lift: int, arithmetic: Arithmetic = LIGHT, certain: slice = slice(0)
    ):
        self.n = base.shape[1] * lift
        self._certain = certain
        self._arithmetic = arithmetic
        # of short words more are decoded together: the same memory, rows on cache lines
        self._batch = max(64, BATCH * _BATCH_BITS // self.n // 64 * 64)
        self.layers: list[Layer] = []
        self._fillers = self._messages = 0
        for group in _disjoint_rows(base):
            self._add_layer(base[group], lift)

    def decode(self, llr: np.ndarray, iterations: int) -> tuple[np.ndarray, np.ndarray]:
        """LLRs, float (B, n) → hard decisions, uint8 (B, n), and bool (B,): all checks hold, for a word that
        was not erased altogether.
        """
        words = np.empty(llr.shape, dtype=np.uint8)
        ok = np.zeros(len(llr), dtype=bool)
        work = self._load(llr[: self._batch])
        loaded = len(work)
        while len(work):
            work.iterate(self.layers)
            satisfied = self._satisfied(work.posterior < 0)
            expired = ~satisfied & (work.age >= iterations)
            leaving = satisfied | expired
            if not expired.any() and np.count_nonzero(leaving) < _LEAVING_SHARE * len(work):
                continue
            columns = np.flatnonzero(leaving)
            words[work.owner[columns]] = (np.compress(leaving, work.posterior[: self.n], axis=1) < 0).T
            ok[work.owner[columns]] = satisfied[columns] & work.informed[columns]
            fresh = min(len(columns), len(llr) - loaded)
            work.replace(columns[:fresh], self._channel(llr[loaded : loaded + fresh]), loaded)
            loaded += fresh
            if fresh < len(columns):
                leaving[columns[:fresh]] = False
                work = work.keep(~leaving)
        return words, ok

    def _channel(self, llr: np.ndarray) -> np.ndarray:
        channel = quantise(llr, self._arithmetic)
        channel[self._certain] = _FILLER
        return channel

    def _satisfied(self, bits: np.ndarray) -> np.ndarray:
        """bool (B,): which words, bool (n + fillers, B), satisfy every check; eight words to a byte."""
        packed = np.packbits(bits, axis=1)
        failed = np.zeros(packed.shape[1], dtype=np.uint8)
        for layer in self.layers:
            parity = np.bitwise_xor.reduce(packed[layer.rows].reshape(layer.degree, layer.checks, -1), axis=0)
            failed |= np.bitwise_or.reduce(parity, axis=0)
        return np.unpackbits(failed, count=bits.shape[1]) == 0

    def _add_layer(self, base_rows: np.ndarray, lift: int) -> None:
        degree = (base_rows >= 0).sum(axis=1).max()
        members = []
        for row in base_rows:
            columns = np.flatnonzero(row >= 0)
            bits = columns[:, None] * lift + (np.arange(lift) + row[columns, None]) % lift
            missing = degree - len(columns)
            fillers = self.n + self._fillers + np.arange(missing * lift).reshape(missing, lift)
            self._fillers += missing * lift
            members.append(np.concatenate([bits, fillers]))
        rows = np.concatenate(members, axis=1).ravel()
        self.layers.append(Layer(rows, degree, self._messages))
        self._messages += len(rows)

    def _load(self, llr: np.ndarray) -> _Work:
        count = len(llr)
        posterior = np.full((self.n + self._fillers, count), _FILLER, dtype=np.int8)
        messages = np.zeros((self._messages, count), dtype=np.int8)
        owner, age = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
        informed = np.zeros(count, dtype=bool)
        work = _Work(posterior, messages, owner, age, informed, self._arithmetic)
        work.replace(np.arange(count), self._channel(llr), 0)
        return work


def _disjoint_rows(base: np.ndarray) -> list[list[int]]:
    """Rows of the base matrix in groups that share no column: fewer and larger layers, the same schedule."""
    groups: list[list[int]] = []
    for index, row in enumerate(base >= 0):
        group = next((group for group in groups if not (row & (base[group] >= 0).any(axis=0)).any()), None)
        if group is None:
            groups.append([index])
        else:
            group.append(index)
    return groups


@dataclass
class _Work:
    """The codewords in hand, one to a column: where one is finished, a new one takes its place.

    Attributes:
        posterior: int8 (n + fillers, B). messages: int8 (edges, B).
        owner: row of the caller's array. age: iterations done. informed: False where every LLR was 0. All
            (B,).
    """

    posterior: np.ndarray
    messages: np.ndarray
    owner: np.ndarray
    age: np.ndarray
    informed: np.ndarray
    arithmetic: Arithmetic

    def __post_init__(self):
        self._scratch: dict[int, _Scratch] = {}

    def __len__(self) -> int:
        return len(self.owner)

    def iterate(self, layers: list[Layer]) -> None:
        """One iteration: all layers in turn."""
        for layer in layers:
            if layer.checks not in self._scratch:
                degree = max(other.degree for other in layers if other.checks == layer.checks)
                self._scratch[layer.checks] = _Scratch(degree, layer.checks, len(self), self.arithmetic)
            _update(self.posterior, self.messages, layer, self._scratch[layer.checks])
        self.age += 1

    def replace(self, columns: np.ndarray, channel: np.ndarray, first_owner: int) -> None:
        """Put new codewords, int8 (n, len(columns)), into these columns."""
        stay = np.ones(len(self), dtype=np.int8)
        stay[columns] = 0
        self.messages *= stay
        self.posterior[: len(channel), columns] = channel
        self.posterior[len(channel) :, columns] = _FILLER
        self.owner[columns] = np.arange(first_owner, first_owner + len(columns))
        self.age[columns] = 0
        self.informed[columns] = channel.any(axis=0)

    def keep(self, which: np.ndarray) -> _Work:
        """The chosen columns only."""
        columns = (self.posterior, self.messages, self.owner, self.age, self.informed)
        return _Work(*(np.compress(which, array, axis=-1) for array in columns), self.arithmetic)


class _Scratch:
    """Work arrays of one batch size and one number of checks: no step of the decoder allocates much."""

    def __init__(self, degree: int, checks: int, batch: int, arithmetic: Arithmetic):
        self.arithmetic = arithmetic
        self.extrinsic, self.magnitude = (np.empty((degree, checks, batch), dtype=np.int8) for _ in range(2))
        self.pairs = tuple(np.empty(((degree + 1) // 2, checks, batch), dtype=np.int8) for _ in range(5))
        self.limit = np.full((checks, batch), arithmetic.message_limit, dtype=np.int8)
        self.scaled = np.empty((2, checks, batch), dtype=np.int8)
        self.product = np.empty((checks, batch), dtype=np.int8)


def _update(posterior: np.ndarray, messages: np.ndarray, layer: Layer, scratch: _Scratch) -> None:
    """One layer: take its old messages out of the posterior, form new ones by min-sum, put them in."""
    degree = layer.degree
    shape = (degree, layer.checks, posterior.shape[1])
    extrinsic, magnitude = scratch.extrinsic[:degree], scratch.magnitude[:degree]
    message = messages[layer.start : layer.start + len(layer.rows)].reshape(shape)
    np.take(posterior, layer.rows, axis=0, out=extrinsic.reshape(-1, shape[2]), mode="clip")
    np.subtract(extrinsic, message, out=extrinsic)
    if scratch.arithmetic.saturates:
        limit = scratch.arithmetic.extrinsic_limit
        np.clip(extrinsic, -limit, limit, out=extrinsic)
    np.abs(extrinsic, out=magnitude)
    low, high = _two_smallest(magnitude, scratch)
    is_low = np.equal(magnitude, low, out=message.view(bool)).view(np.int8)
    smallest, difference = _normalised(low, high, scratch)
    difference -= smallest
    # the product of all signs is the sign bit of the XOR; `| 1` gives zero a sign and changes no other
    product = np.bitwise_xor.reduce(extrinsic, axis=0, out=scratch.product)
    product |= 1
    np.sign(product, out=product)
    smallest *= product
    difference *= product
    # the edge that holds the smallest magnitude gets the second smallest, all others the smallest
    np.multiply(is_low, difference, out=message)
    message += smallest
    np.bitwise_or(extrinsic, 1, out=magnitude)
    np.sign(magnitude, out=magnitude)
    message *= magnitude
    extrinsic += message
    posterior[layer.rows] = extrinsic.reshape(-1, shape[2])


def _normalised(low: np.ndarray, high: np.ndarray, scratch: _Scratch) -> np.ndarray:
    """int8 (2, checks, B): the two smallest magnitudes, limited and normalised."""
    scaled, how = scratch.scaled, scratch.arithmetic
    np.minimum(low, scratch.limit, out=scaled[0])
    np.minimum(high, scratch.limit, out=scaled[1])
    scaled *= how.factor
    scaled += how.offset
    return np.floor_divide(scaled, how.divisor, out=scaled)


def _two_smallest(values: np.ndarray, scratch: _Scratch) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and second smallest over axis 0 of int8 (d, checks, B), by a tournament of pairs.

    Never in place: numpy's minimum and maximum are ten times slower when an input is also the output.
    """
    low, high, next_low, loser, runner_up = scratch.pairs
    half = len(values) // 2
    count = len(values) - half
    np.minimum(values[:half], values[count:], out=low[:half])
    np.maximum(values[:half], values[count:], out=high[:half])
    if count > half:  # the odd one out has no partner yet
        low[half], high[half] = values[half], 127
    while count > 1:
        half = count // 2
        count -= half
        pair = slice(count, count + half)
        np.minimum(low[:half], low[pair], out=next_low[:half])
        np.maximum(low[:half], low[pair], out=loser[:half])
        np.minimum(high[:half], high[pair], out=runner_up[:half])
        np.minimum(loser[:half], runner_up[:half], out=high[:half])
        if count > half:
            next_low[half] = low[half]
        low, next_low = next_low, low
    return low[0], high[0]


def quantise(llr: np.ndarray, arithmetic: Arithmetic = LIGHT) -> np.ndarray:
    """LLRs, float (B, n) → int8 (n, B), each codeword scaled by its own mean magnitude, erasures left out and
    certain bits capped.

    Min-sum does not care for the scale: it only has to use the 8 bits well. NaN becomes 0.
    """
    size = np.minimum(np.abs(llr), _CERTAIN, dtype=np.float32)
    total = size.sum(axis=1)
    if np.isnan(total).any():
        return quantise(np.nan_to_num(llr, nan=0.0, posinf=_CERTAIN, neginf=-_CERTAIN), arithmetic)
    # weighted by itself: zeros do not count
    mean = np.einsum("ij,ij->i", size, size) / np.maximum(total, 1e-30)
    scaled = np.multiply(llr, (arithmetic.mean / np.maximum(mean, 1e-30))[:, None], dtype=np.float32)
    np.clip(scaled, -arithmetic.channel_limit, arithmetic.channel_limit, out=scaled)
    np.rint(scaled, out=scaled)
    return np.ascontiguousarray(scaled.astype(np.int8).T)
