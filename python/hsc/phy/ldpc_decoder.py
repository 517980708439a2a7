"""Layered normalised min-sum decoding of quasi-cyclic LDPC codes on 8-bit messages, many codewords at once.

Layered schedule: Hocevar, "A reduced complexity decoder architecture via layered decoding of LDPC codes", SiPS 2004. Normalised min-sum:
Chen and Fossorier, "Near optimum universal belief propagation based decoding of LDPC codes", IEEE Trans. Commun. 50(3), 2002.
The codewords lie along the contiguous axis, so that every numpy call is one SIMD loop over bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BATCH = 512

# 8-bit arithmetic that cannot overflow: |posterior| <= CHANNEL_LIMIT + 4 · 24 = 127, 4 being the largest column weight and 24 the largest
# message, 13/16 of MESSAGE_LIMIT.
_CHANNEL_LIMIT = 31
_MESSAGE_LIMIT = 30
_CHANNEL_MEAN = 10.0
_LLR_LIMIT = 1e6
_CERTAIN = 16.0


@dataclass(frozen=True)
class Layer:
    """The checks of one row of the base matrix.

    Attributes:
        rows: (degree · checks,) codeword bits of the checks: first the first bit of every check, then the second of every check, …
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
    """Decoder of one code, of column weight at most 4, given as layers of checks that share no bit."""

    def __init__(self, layers: list[Layer]):
        self.layers = layers
        self.messages = sum(len(layer.rows) for layer in layers)

    def decode(self, llr: np.ndarray, iterations: int) -> tuple[np.ndarray, np.ndarray]:
        """LLRs, float (B, n) → hard decisions, uint8 (B, n), and bool (B,): all checks hold, for a word that was not erased altogether."""
        words = np.empty(llr.shape, dtype=np.uint8)
        ok = np.zeros(len(llr), dtype=bool)
        work = self._load(llr, 0, 0)
        loaded = 0
        while loaded < len(llr) or len(work):
            if loaded < len(llr) and 2 * len(work) <= BATCH:
                end = min(loaded + BATCH - len(work), len(llr))
                work = work.join(self._load(llr, loaded, end))
                loaded = end
            work.iterate(self.layers)
            satisfied = self.satisfied(np.packbits(work.posterior < 0, axis=1), len(work))
            expired = ~satisfied & (work.age >= iterations)
            leaving = satisfied | expired
            if expired.any() or 2 * np.count_nonzero(leaving) >= len(work):
                owner = work.owner[leaving]
                words[owner] = (np.compress(leaving, work.posterior, axis=1) < 0).T
                ok[owner] = (satisfied & work.informed)[leaving]
                work = work.keep(~leaving)
        return words, ok

    def satisfied(self, packed: np.ndarray, batch: int) -> np.ndarray:
        """bool (batch,): which words satisfy every check. `packed` has a word to a bit column, uint8 (n, ceil(batch / 8))."""
        failed = np.zeros(packed.shape[1], dtype=np.uint8)
        for layer in self.layers:
            parity = np.bitwise_xor.reduce(packed[layer.rows].reshape(layer.degree, layer.checks, -1), axis=0)
            failed |= np.bitwise_or.reduce(parity, axis=0)
        return np.unpackbits(failed, count=batch) == 0

    def _load(self, llr: np.ndarray, start: int, end: int) -> _Work:
        posterior = quantise(llr[start:end])
        messages = np.zeros((self.messages, end - start), dtype=np.int8)
        return _Work(posterior, messages, np.arange(start, end), np.zeros(end - start, dtype=np.int64), posterior.any(axis=0))


@dataclass
class _Work:
    """The codewords in hand, one to a column: finished ones leave, new ones join, so that the arrays stay at least half full.

    Attributes:
        posterior: int8 (n, B). messages: int8 (edges, B).
        owner: row of the caller's array. age: iterations done. informed: False where every LLR was 0. All (B,).
    """

    posterior: np.ndarray
    messages: np.ndarray
    owner: np.ndarray
    age: np.ndarray
    informed: np.ndarray

    def __post_init__(self):
        self._scratch: _Scratch | None = None

    def __len__(self) -> int:
        return len(self.owner)

    def iterate(self, layers: list[Layer]) -> None:
        """One iteration: all layers in turn."""
        if self._scratch is None:
            self._scratch = _Scratch(max(layer.degree for layer in layers), max(layer.checks for layer in layers), len(self))
        for layer in layers:
            _update(self.posterior, self.messages, layer, self._scratch)
        self.age += 1

    def join(self, other: _Work) -> _Work:
        if not len(self):
            return other
        return _Work(*(np.concatenate([a, b], axis=-1) for a, b in zip(self._columns(), other._columns(), strict=True)))

    def keep(self, which: np.ndarray) -> _Work:
        return _Work(*(np.compress(which, a, axis=-1) for a in self._columns()))

    def _columns(self) -> tuple[np.ndarray, ...]:
        return self.posterior, self.messages, self.owner, self.age, self.informed


class _Scratch:
    """Work arrays of one batch size, so that no step of the decoder allocates much."""

    def __init__(self, degree: int, checks: int, batch: int):
        half = (degree + 1) // 2
        self.extrinsic, self.magnitude = (np.empty((degree, checks, batch), dtype=np.int8) for _ in range(2))
        self.low, self.high, self.spare = (np.empty((half, checks, batch), dtype=np.int8) for _ in range(3))
        self.is_low = np.empty((degree, checks, batch), dtype=bool)


def _update(posterior: np.ndarray, messages: np.ndarray, layer: Layer, scratch: _Scratch) -> None:
    """One layer: take its old messages out of the posterior, form new ones by min-sum, put them in."""
    degree = layer.degree
    shape = (degree, layer.checks, posterior.shape[1])
    extrinsic, magnitude, is_low = scratch.extrinsic[:degree], scratch.magnitude[:degree], scratch.is_low[:degree]
    message = messages[layer.start : layer.start + len(layer.rows)].reshape(shape)
    np.take(posterior, layer.rows, axis=0, out=extrinsic.reshape(-1, shape[2]), mode="clip")
    np.subtract(extrinsic, message, out=extrinsic)
    np.abs(extrinsic, out=magnitude)
    low, high = _two_smallest(magnitude, scratch)
    np.equal(magnitude, low, out=is_low)
    for smallest in (low, high):
        np.minimum(smallest, _MESSAGE_LIMIT, out=smallest)
        smallest -= (3 * smallest + 8) >> 4  # normalisation by 13/16
    # the edge that holds the smallest magnitude gets the second smallest, all others the smallest
    np.subtract(high, low, out=high)
    np.multiply(is_low.view(np.int8), high, out=message)
    np.add(message, low, out=message)
    # the sign bit of an XOR is the product of the signs
    signs = np.bitwise_xor.reduce(extrinsic, axis=0, out=high)
    np.bitwise_xor(extrinsic, signs, out=magnitude)
    np.bitwise_or(magnitude, 1, out=magnitude)
    np.sign(magnitude, out=magnitude)
    np.multiply(message, magnitude, out=message)
    np.add(extrinsic, message, out=extrinsic)
    posterior[layer.rows] = extrinsic.reshape(-1, shape[2])


def _two_smallest(values: np.ndarray, scratch: _Scratch) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and second smallest over axis 0 of int8 (d, checks, B), by a tournament of pairs."""
    half = len(values) // 2
    count = len(values) - half
    low, high, spare = scratch.low, scratch.high, scratch.spare
    np.minimum(values[:half], values[count:], out=low[:half])
    np.maximum(values[:half], values[count:], out=high[:half])
    if count > half:
        low[half], high[half] = values[half], 127
    while count > 1:
        half = count // 2
        count -= half
        np.maximum(low[:half], low[count : count + half], out=spare[:half])
        np.minimum(low[:half], low[count : count + half], out=low[:half])
        np.minimum(high[:half], high[count : count + half], out=high[:half])
        np.minimum(high[:half], spare[:half], out=high[:half])
    return low[0], high[0]


def quantise(llr: np.ndarray) -> np.ndarray:
    """LLRs, float (B, n) → int8 (n, B), each codeword scaled by its own mean magnitude, erasures left out and certain bits capped.

    Min-sum does not care for the scale: it only has to use the 8 bits well. NaN becomes 0.
    """
    llr = np.clip(llr, -_LLR_LIMIT, _LLR_LIMIT, dtype=np.float32)
    if np.isnan(llr.sum()):
        llr = np.nan_to_num(llr, nan=0.0)
    size = np.minimum(np.abs(llr), _CERTAIN)
    mean = size.sum(axis=1) / np.maximum(np.count_nonzero(size, axis=1), 1)
    llr *= (_CHANNEL_MEAN / np.maximum(mean, 1e-30))[:, None]
    np.clip(llr, -_CHANNEL_LIMIT, _CHANNEL_LIMIT, out=llr)
    np.rint(llr, out=llr)
    return np.ascontiguousarray(llr.astype(np.int8).T)
