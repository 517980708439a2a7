"""Layered decoding of quasi-cyclic LDPC codes on 8-bit messages, many codewords at once.

Layered schedule: Hocevar, "A reduced complexity decoder architecture via layered decoding of LDPC codes",
SiPS 2004. Checks by normalised min-sum: Chen and Fossorier, "Near optimum universal belief propagation based
decoding of LDPC codes", IEEE Trans. Commun. 50(3), 2002; or from their three least reliable bits: Guilloud,
Boutillon and Danger, "λ-min decoding algorithm of regular and irregular LDPC codes", ISTC 2003. The codewords
lie along the contiguous axis, so that every numpy call is one SIMD loop over bytes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
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


class Rule(ABC):
    """What a check tells its bits, and how that uses 8 bits.

    Attributes:
        channel_limit: largest |LLR| of the channel.
        message_limit: largest magnitude of a bit that a check looks at.
        largest_message: of a check.
        saturates: extrinsic values are cut, so that no sum overflows at any column weight.
    """

    channel_limit: int
    message_limit: int
    largest_message: int
    saturates: bool

    @property
    def extrinsic_limit(self) -> int:
        """Leaves room for two messages, one that is added and one that is taken out."""
        return 127 - 2 * self.largest_message

    @abstractmethod
    def scales(self, llr: np.ndarray) -> np.ndarray:
        """LLRs of words, float (B, n), without NaN → what each word's are multiplied by, float (B,)."""

    @abstractmethod
    def magnitudes(self, values: np.ndarray, scratch: _Scratch) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Magnitudes of the bits of checks, int8 (d, checks, B) → the smallest; what the check tells the bit
        that has it; and what it tells all others. int8 (checks, B), the last two to be written over.
        """


@dataclass(frozen=True)
class MinSum(Rule):
    """Normalised min-sum. It does not care for the scale of the LLRs. Messages must be able to outweigh the
    channel, or wrong parity bits hold each other up.

    Attributes:
        mean: |LLR| that the mean of a codeword is scaled to.
        channel_limit, message_limit: as of `Rule`.
        factor, offset, divisor: a message is (factor · magnitude + offset) / divisor, rounded down.
    """

    mean: float
    channel_limit: int
    message_limit: int
    factor: int
    offset: int
    divisor: int
    saturates = False  # sums stay within 8 bits by its limits

    @property
    def largest_message(self) -> int:
        """As of `Rule`."""
        return (self.factor * self.message_limit + self.offset) // self.divisor

    def scales(self, llr: np.ndarray) -> np.ndarray:
        """Each word's own mean magnitude, erasures left out and certain bits capped."""
        size = np.minimum(np.abs(llr), _CERTAIN, dtype=np.float32)
        # weighted by itself: zeros do not count
        mean = np.einsum("ij,ij->i", size, size) / np.maximum(size.sum(axis=1), 1e-30)
        return self.mean / np.maximum(mean, 1e-30)

    def magnitudes(self, values: np.ndarray, scratch: _Scratch) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The second smallest for the bit with the smallest, which is for all others."""
        low, high = _two_smallest(values, scratch)
        scaled = scratch.scaled
        np.minimum(high, scratch.limit, out=scaled[0])
        np.minimum(low, scratch.limit, out=scaled[1])
        scaled *= self.factor
        scaled += self.offset
        return low, *np.floor_divide(scaled, self.divisor, out=scaled)


@dataclass(frozen=True)
class ThreeLeast(Rule):
    """λ-min with λ = 3: sums of LLRs as in belief propagation, of the three least reliable bits of a check;
    but only the least of all is told the sum of the others. It needs LLRs in their true scale. A message is
    7/8 of that, which suits 8 bits better. Limits and steps were chosen by trial.

    Attributes:
        nat: steps of one nat of LLR.
        channel_limit, message_limit: as of `Rule`.
    """

    nat: int
    channel_limit: int
    message_limit: int
    saturates = True

    @property
    def largest_message(self) -> int:
        """As of `Rule`."""
        return self._message(self.message_limit)

    def scales(self, llr: np.ndarray) -> np.ndarray:
        """The same for all."""
        return np.full(len(llr), self.nat, np.float32)

    def magnitudes(self, values: np.ndarray, scratch: _Scratch) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The sum of the next two for the least, of all three for the others."""
        least = _three_smallest(values, scratch)
        low, middle, high = (np.minimum(each, scratch.limit) for each in least)
        rest = self._sum(middle, high, scratch.zero)
        return least[0], self._message(rest), self._message(self._sum(low, rest, scratch.zero))

    def _sum(self, a: np.ndarray, b: np.ndarray, zero: np.ndarray) -> np.ndarray:
        """Magnitude of the LLR of two bits' sum: min(a, b) − ln(1 + e^−|a − b|) + ln(1 + e^−(a + b))."""
        found = np.minimum(a, b) - self._correction(np.abs(a - b), zero) + self._correction(a + b, zero)
        return np.maximum(found, zero)

    def _correction(self, x: np.ndarray, zero: np.ndarray) -> np.ndarray:
        """ln(1 + e^−x), as a line that is right at 0: max(0, ln 2 − x / 4)."""
        # numpy's maximum takes ten times as long with a number as with an array, and >> twice as long as //
        return np.maximum(round(4 * np.log(2) * self.nat) - x, zero) // 4

    def _message(self, x: np.ndarray | int) -> np.ndarray | int:
        return x - (x + 4) // 8


# For column weights up to 4: |posterior| ≤ 19 + 4 · 25 = 119. Chosen by trial: with limits of 31 and 30 and a
# mean of 16, six times as many blocks of 16QAM-1/2 fail at 9 dB (4e-5), for 0.02 dB at the threshold.
LIGHT = MinSum(mean=10.0, channel_limit=19, message_limit=31, factor=4, offset=2, divisor=5)


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


class LayeredDecoder:
    """Decoder of a quasi-cyclic code.

    Args:
        base: base matrix (m, n), −1 for zero, else the rotation to the right.
        lift: order Z of the circulants.
        rule: of its checks.
        certain: bits that are known to be 0, whatever their LLRs.
    """

    def __init__(self, base: np.ndarray, lift: int, rule: Rule = LIGHT, certain: slice = slice(0)):
        self.n = base.shape[1] * lift
        self._certain = certain
        self._rule = rule
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
        channel = quantise(llr, self._rule)
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
        work = _Work(posterior, messages, owner, age, informed, self._rule)
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
    rule: Rule

    def __post_init__(self):
        self._scratch: dict[int, _Scratch] = {}

    def __len__(self) -> int:
        return len(self.owner)

    def iterate(self, layers: list[Layer]) -> None:
        """One iteration: all layers in turn."""
        for layer in layers:
            if layer.checks not in self._scratch:
                degree = max(other.degree for other in layers if other.checks == layer.checks)
                self._scratch[layer.checks] = _Scratch(degree, layer.checks, len(self), self.rule)
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
        return _Work(*(np.compress(which, array, axis=-1) for array in columns), self.rule)


class _Scratch:
    """Work arrays of one batch size and one number of checks: no step of the decoder allocates much."""

    def __init__(self, degree: int, checks: int, batch: int, rule: Rule):
        self.rule = rule
        self.extrinsic, self.magnitude = (np.empty((degree, checks, batch), dtype=np.int8) for _ in range(2))
        self.halves = np.empty((9, (degree + 1) // 2, checks, batch), dtype=np.int8)
        self.limit = np.full((checks, batch), rule.message_limit, dtype=np.int8)
        self.zero = np.zeros((checks, batch), dtype=np.int8)
        self.lowest = np.full((checks, batch), -rule.extrinsic_limit, dtype=np.int8)
        self.highest = -self.lowest
        self.scaled = np.empty((2, checks, batch), dtype=np.int8)
        self.product = np.empty((checks, batch), dtype=np.int8)


def _update(posterior: np.ndarray, messages: np.ndarray, layer: Layer, scratch: _Scratch) -> None:
    """One layer: take its old messages out of the posterior, form new ones, put them in."""
    degree = layer.degree
    shape = (degree, layer.checks, posterior.shape[1])
    extrinsic, magnitude = scratch.extrinsic[:degree], scratch.magnitude[:degree]
    message = messages[layer.start : layer.start + len(layer.rows)].reshape(shape)
    np.take(posterior, layer.rows, axis=0, out=extrinsic.reshape(-1, shape[2]), mode="clip")
    np.subtract(extrinsic, message, out=extrinsic)
    if scratch.rule.saturates:  # twice as fast as clip, and not in place for the reason below
        np.minimum(extrinsic, scratch.highest, out=magnitude)
        np.maximum(magnitude, scratch.lowest, out=extrinsic)
    np.abs(extrinsic, out=magnitude)
    low, difference, usual = scratch.rule.magnitudes(magnitude, scratch)
    is_low = np.equal(magnitude, low, out=message.view(bool)).view(np.int8)
    difference -= usual
    # the product of all signs is the sign bit of the XOR; `| 1` gives zero a sign and changes no other
    product = np.bitwise_xor.reduce(extrinsic, axis=0, out=scratch.product)
    product |= 1
    np.sign(product, out=product)
    usual *= product
    difference *= product
    np.multiply(is_low, difference, out=message)
    message += usual
    np.bitwise_or(extrinsic, 1, out=magnitude)
    np.sign(magnitude, out=magnitude)
    message *= magnitude
    extrinsic += message
    posterior[layer.rows] = extrinsic.reshape(-1, shape[2])


def _two_smallest(values: np.ndarray, scratch: _Scratch) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and second smallest over axis 0 of int8 (d, checks, B), by a tournament of pairs.

    Never in place: numpy's minimum and maximum are ten times slower when an input is also the output.
    """
    low, high, next_low, loser, runner_up = scratch.halves[:5]
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


def _three_smallest(values: np.ndarray, scratch: _Scratch) -> np.ndarray:
    """The three smallest, in rising order, over axis 0 of int8 (d, checks, B): (3, checks, B), 127 for those
    that there are not. By a tournament, as `_two_smallest`.
    """
    best, following, (loser, runner_up, last) = scratch.halves.reshape(3, 3, *scratch.halves.shape[1:])
    half = len(values) // 2
    count = len(values) - half
    np.minimum(values[:half], values[count:], out=best[0, :half])
    np.maximum(values[:half], values[count:], out=best[1, :half])
    if count > half:  # the odd one out has no partner yet
        best[0, half], best[1, half] = values[half], 127
    best[2, :count] = 127
    while count > 1:
        half = count // 2
        count -= half
        mine, theirs = best[:, :half], best[:, count : count + half]
        np.minimum(mine[0], theirs[0], out=following[0, :half])
        np.maximum(mine[0], theirs[0], out=loser[:half])
        np.minimum(mine[1], theirs[1], out=runner_up[:half])
        np.minimum(loser[:half], runner_up[:half], out=following[1, :half])
        np.minimum(mine[2], theirs[2], out=last[:half])
        np.maximum(loser[:half], runner_up[:half], out=best[2, :half])
        np.minimum(best[2, :half], last[:half], out=following[2, :half])
        if count > half:
            following[:, half] = best[:, half]
        best, following = following, best
    return best[:, 0]


def quantise(llr: np.ndarray, rule: Rule = LIGHT) -> np.ndarray:
    """LLRs, float (B, n) → int8 (n, B), in the scale of the rule. NaN becomes 0."""
    if np.isnan(llr.min(initial=0.0)):
        return quantise(np.nan_to_num(llr, nan=0.0, posinf=_CERTAIN, neginf=-_CERTAIN), rule)
    scaled = np.multiply(llr, rule.scales(llr)[:, None], dtype=np.float32)
    np.clip(scaled, -rule.channel_limit, rule.channel_limit, out=scaled)
    np.rint(scaled, out=scaled)
    return np.ascontiguousarray(scaled.astype(np.int8).T)
