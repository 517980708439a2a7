"""The IEEE 802.11ad LDPC codes, n = 672, rates 1/2, 5/8, 3/4 and 13/16 (IEEE Std 802.11ad-2012, clause 21.3.8).

Encoding is the back substitution that the block lower triangular parity part allows. Decoding is layered normalised min-sum
(Hocevar 2004; Chen and Fossorier 2002) on 8-bit messages, a batch of codewords at a time, the batch on the contiguous axis so that
every numpy call is one SIMD loop. Bits are uint8 0/1; LLR > 0 means bit 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from ..errors import HscError
from .ldpc_tables import BASE_MATRICES, N, Z

RATES = tuple(BASE_MATRICES)
BATCH = 512

# 8-bit arithmetic that cannot overflow: |posterior| <= CHANNEL_LIMIT + 4 · 3/4 · MESSAGE_LIMIT = 127, 4 being the largest column weight.
_CHANNEL_LIMIT = 31
_MESSAGE_LIMIT = 32
_CHANNEL_MEAN = 8.0
_LLR_LIMIT = 1e6
_CERTAIN = 16.0


@dataclass(frozen=True)
class _Layer:
    """One row of the base matrix: `rows` (d · Z,) indexes the codeword bits of its Z checks, edge by edge; `start` is its first message."""

    rows: np.ndarray
    degree: int
    start: int


class Code:
    """One rate of the 802.11ad LDPC family. Use `code(rate)`, which keeps one instance per rate.

    Attributes:
        rate: "1/2", "5/8", "3/4" or "13/16".
        n, k: codeword and information length in bits; the codeword starts with the information bits.
    """

    def __init__(self, rate: str):
        if rate not in BASE_MATRICES:
            raise HscError(f"unknown LDPC rate '{rate}': choose one of {', '.join(RATES)}")
        self.rate = rate
        self.base = np.array(BASE_MATRICES[rate])
        self.n = N
        self.k = N - len(self.base) * Z
        self._layers: list[_Layer] = []
        start = 0
        for row in self.base:
            columns = np.flatnonzero(row >= 0)
            bits = columns[:, None] * Z + (np.arange(Z) + row[columns, None]) % Z
            self._layers.append(_Layer(bits.ravel(), len(columns), start))
            start += bits.size
        self._messages = start

    @cached_property
    def parity_check_matrix(self) -> np.ndarray:
        """H, uint8 (n − k, n), read-only."""
        matrix = np.zeros((self.n - self.k, self.n), dtype=np.uint8)
        for index, layer in enumerate(self._layers):
            checks = index * Z + np.tile(np.arange(Z), layer.degree)
            matrix[checks, layer.rows] = 1
        matrix.flags.writeable = False
        return matrix

    def encode(self, bits: np.ndarray) -> np.ndarray:
        """Information bits, uint8 0/1 (B, k) → codewords, uint8 (B, n)."""
        bits = np.asarray(bits, dtype=np.uint8)
        if bits.ndim != 2 or bits.shape[1] != self.k:
            raise HscError(f"LDPC rate {self.rate} encodes rows of {self.k} bits, not an array of shape {bits.shape}")
        words = np.empty((self.n // Z, Z, len(bits)), dtype=np.uint8)
        words.reshape(self.n, -1)[: self.k] = bits.T
        first_parity = self.k // Z
        for index, row in enumerate(self.base):
            parity = first_parity + index
            known = np.flatnonzero(row[:parity] >= 0)
            total = np.zeros_like(words[0])
            for column in known:
                total ^= np.roll(words[column], -row[column], axis=0)
            words[parity] = np.roll(total, row[parity], axis=0)  # check r holds parity bit (r + s) mod Z
        return np.ascontiguousarray(words.reshape(self.n, -1).T)

    def syndrome_ok(self, words: np.ndarray) -> np.ndarray:
        """bool (B,): which rows of uint8 (B, n) satisfy every check."""
        packed = np.packbits(np.asarray(words, dtype=np.uint8).T, axis=1)
        return self._satisfied(packed, len(words))

    def decode(self, llr: np.ndarray, iterations: int = 30) -> tuple[np.ndarray, np.ndarray]:
        """Layered normalised min-sum with early stop for each codeword.

        Args:
            llr: natural log likelihood ratios, float (B, n), > 0 for bit 0. NaN counts as 0, infinities as certain.
            iterations: at most this many passes over all checks.

        Returns:
            Information bits, uint8 (B, k), and bool (B,): every check satisfied by a codeword that was not erased altogether.
        """
        llr = np.asarray(llr)
        if llr.ndim != 2 or llr.shape[1] != self.n:
            raise HscError(f"LDPC decoder takes rows of {self.n} LLRs, not an array of shape {llr.shape}")
        bits = np.empty((len(llr), self.k), dtype=np.uint8)
        ok = np.zeros(len(llr), dtype=bool)
        for first in range(0, len(llr), BATCH):
            part = slice(first, first + BATCH)
            posterior = _quantise(llr[part])
            informed = posterior.any(axis=0)
            self._decode_batch(posterior, iterations, bits[part], ok[part])
            ok[part] &= informed
        return bits, ok

    def _decode_batch(self, posterior: np.ndarray, iterations: int, bits: np.ndarray, ok: np.ndarray) -> None:
        """Decode int8 (n, B) into `bits` (B, k) and `ok` (B,). Finished codewords leave when half of the batch is done."""
        owner = np.arange(posterior.shape[1])
        messages = np.zeros((self._messages, len(owner)), dtype=np.int8)
        scratch = _Scratch(max(layer.degree for layer in self._layers), len(owner))
        done = np.zeros(len(owner), dtype=bool)
        for _ in range(iterations):
            for layer in self._layers:
                _update(posterior, messages, layer, scratch)
            packed = np.packbits(posterior < 0, axis=1)
            done = self._satisfied(packed, len(owner))
            if 2 * np.count_nonzero(done) < len(owner):
                continue
            left = np.flatnonzero(done)
            bits[owner[left]] = (posterior[: self.k, left] < 0).T
            ok[owner[left]] = True
            keep = np.flatnonzero(~done)
            owner, done = owner[keep], done[keep]
            if not len(owner):
                return
            posterior, messages = posterior[:, keep], messages[:, keep]
            scratch = _Scratch(scratch.degree, len(owner))
        bits[owner] = (posterior[: self.k] < 0).T
        ok[owner] = done

    def _satisfied(self, packed: np.ndarray, batch: int) -> np.ndarray:
        """bool (batch,): hard decisions, packed along the batch, uint8 (n, ceil(batch / 8)), against every check."""
        failed = np.zeros(packed.shape[1], dtype=np.uint8)
        for layer in self._layers:
            checks = np.bitwise_xor.reduce(packed[layer.rows].reshape(layer.degree, Z, -1), axis=0)
            failed |= np.bitwise_or.reduce(checks, axis=0)
        return np.unpackbits(failed, count=batch) == 0


class _Scratch:
    """Work arrays of one batch size, so that no step of the decoder allocates."""

    def __init__(self, degree: int, batch: int):
        self.degree = degree
        half = (degree + 1) // 2
        self.extrinsic, self.magnitude, self.equal = (np.empty((degree, Z, batch), dtype=np.int8) for _ in range(3))
        self.low, self.high, self.spare = (np.empty((half, Z, batch), dtype=np.int8) for _ in range(3))
        self.sign = np.empty((Z, batch), dtype=np.int8)


def _update(posterior: np.ndarray, messages: np.ndarray, layer: _Layer, scratch: _Scratch) -> None:
    """One layer: take its old messages out of the posterior, form new ones by min-sum, put them in."""
    degree = layer.degree
    shape = (degree, Z, posterior.shape[1])
    extrinsic, magnitude, equal = scratch.extrinsic[:degree], scratch.magnitude[:degree], scratch.equal[:degree]
    message = messages[layer.start : layer.start + degree * Z].reshape(shape)
    np.take(posterior, layer.rows, axis=0, out=extrinsic.reshape(-1, shape[2]), mode="clip")
    np.subtract(extrinsic, message, out=extrinsic)
    np.abs(extrinsic, out=magnitude)
    first, second = _two_smallest(magnitude, scratch)
    np.equal(magnitude, first, out=equal.view(bool))
    for smallest in (first, second):
        np.minimum(smallest, _MESSAGE_LIMIT, out=smallest)
        smallest -= smallest >> 2  # normalisation by 3/4
    np.subtract(second, first, out=second)
    np.multiply(equal, second, out=message)  # the edge that holds the minimum gets the second smallest, all others the smallest
    np.add(message, first, out=message)
    np.bitwise_xor.reduce(extrinsic, axis=0, out=scratch.sign)  # the sign bit of an XOR is the parity of the signs
    np.bitwise_xor(extrinsic, scratch.sign, out=magnitude)
    np.bitwise_or(magnitude, 1, out=magnitude)
    np.sign(magnitude, out=magnitude)
    np.multiply(message, magnitude, out=message)
    np.add(extrinsic, message, out=extrinsic)
    posterior[layer.rows] = extrinsic.reshape(-1, shape[2])


def _two_smallest(values: np.ndarray, scratch: _Scratch) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and second smallest over axis 0 of int8 (d, Z, B), by a tournament of pairs."""
    count = len(values)
    half = count // 2
    count -= half
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


def _quantise(llr: np.ndarray) -> np.ndarray:
    """LLRs float (B, n) → int8 (n, B), each codeword scaled by its own mean magnitude, erasures left out and certain bits capped.

    Min-sum does not care for the scale: it only has to use the 8 bits well.
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


class ShortenedCode:
    """The first `k` information bits of a code; the other information bits are zeros that are known and not sent.

    Attributes:
        n, k: bits sent and information bits of a codeword.
    """

    def __init__(self, mother: Code, k: int):
        if not 0 < k <= mother.k:
            raise HscError(f"a shortened rate {mother.rate} code carries 1 to {mother.k} bits, not {k}")
        self.mother = mother
        self.k = k
        self.n = mother.n - mother.k + k

    def encode(self, bits: np.ndarray) -> np.ndarray:
        """Information bits, uint8 (B, k) → bits to send, uint8 (B, n)."""
        bits = np.asarray(bits, dtype=np.uint8)
        if bits.ndim != 2 or bits.shape[1] != self.k:
            raise HscError(f"this shortened code encodes rows of {self.k} bits, not an array of shape {bits.shape}")
        words = self.mother.encode(np.pad(bits, ((0, 0), (0, self.mother.k - self.k))))
        return np.delete(words, slice(self.k, self.mother.k), axis=1)

    def decode(self, llr: np.ndarray, iterations: int = 30) -> tuple[np.ndarray, np.ndarray]:
        """LLRs, float (B, n) → information bits, uint8 (B, k), and bool (B,), as `Code.decode`."""
        llr = np.asarray(llr)
        if llr.ndim != 2 or llr.shape[1] != self.n:
            raise HscError(f"this shortened code decodes rows of {self.n} LLRs, not an array of shape {llr.shape}")
        known = np.full((len(llr), self.mother.k - self.k), np.inf, dtype=np.float32)
        full = np.concatenate([llr[:, : self.k], known, llr[:, self.k :]], axis=1)
        bits, ok = self.mother.decode(full, iterations)
        return bits[:, : self.k], ok & llr.any(axis=1)


@lru_cache(maxsize=len(RATES))
def code(rate: str) -> Code:
    """The code of a rate, "1/2", "5/8", "3/4" or "13/16". Raises HscError for any other."""
    return Code(rate)


@lru_cache(maxsize=16)
def shortened(rate: str, k: int) -> ShortenedCode:
    """The code of a rate shortened to `k` information bits, e.g. ("1/2", 288): 288 bits in, 624 bits sent."""
    return ShortenedCode(code(rate), k)


def write_alist(matrix: np.ndarray, path: str | Path) -> None:
    """Write a parity check matrix, uint8 (m, n), as an alist file (MacKay's format, ones counted from 1)."""
    by_column = [np.flatnonzero(column) + 1 for column in matrix.T]
    by_row = [np.flatnonzero(row) + 1 for row in matrix]
    lines = [f"{matrix.shape[1]} {matrix.shape[0]}", f"{max(map(len, by_column))} {max(map(len, by_row))}"]
    lines += [" ".join(str(len(ones)) for ones in side) for side in (by_column, by_row)]
    lines += [" ".join(map(str, ones)) for side in (by_column, by_row) for ones in side]
    Path(path).write_text("\n".join(lines) + "\n")
