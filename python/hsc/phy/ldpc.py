"""The IEEE 802.11ad LDPC codes, n = 672, rates 1/2, 5/8, 3/4 and 13/16 (IEEE Std 802.11ad-2012, clause
21.3.8).

Encoding is the back substitution that the block lower triangular parity part allows; decoding is in
`ldpc_decoder`. Bits are uint8 0/1; LLR > 0 means bit 0.
"""

from __future__ import annotations

from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from ..errors import HscError
from .ldpc_decoder import LayeredDecoder
from .ldpc_tables import BASE_MATRICES, N, Z

RATES = tuple(BASE_MATRICES)
# Wrong parity bits of an otherwise settled word that are put right. A wrong information bit changes dozens.
_PARITY_SLIPS = 4


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
        self._decoder = LayeredDecoder(self.base, Z)

    @cached_property
    def parity_check_matrix(self) -> np.ndarray:
        """H, uint8 (n − k, n), read-only."""
        matrix = np.zeros((self.n - self.k, self.n), dtype=np.uint8)
        checks = np.arange(Z)
        for row, column in np.argwhere(self.base >= 0):
            matrix[row * Z + checks, column * Z + (checks + self.base[row, column]) % Z] = 1
        matrix.flags.writeable = False
        return matrix

    def encode(self, bits: np.ndarray) -> np.ndarray:
        """Information bits, uint8 0/1 (B, k) → codewords, uint8 (B, n)."""
        bits = np.asarray(bits, dtype=np.uint8)
        if bits.ndim != 2 or bits.shape[1] != self.k:
            raise HscError(
                f"LDPC rate {self.rate} encodes rows of {self.k} bits, not an array of shape {bits.shape}"
            )
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

    def decode(self, llr: np.ndarray, iterations: int = 30) -> tuple[np.ndarray, np.ndarray]:
        """Layered normalised min-sum with early stop for each codeword.

        Args:
            llr: natural log likelihood ratios, float (B, n), > 0 for bit 0. NaN counts as 0, infinities as
                certain.
            iterations: at most this many passes over all checks, at least 1.

        Returns:
            Information bits, uint8 (B, k), and bool (B,): they belong to a codeword that was found, and the
            LLRs were not all 0.
        """
        llr = np.asarray(llr)
        if llr.ndim != 2 or llr.shape[1] != self.n:
            raise HscError(f"LDPC decoder takes rows of {self.n} LLRs, not an array of shape {llr.shape}")
        words, ok = self._decoder.decode(llr, iterations)
        # The last parity bits take part in one or two checks only and may stay wrong when all else is
        # settled. A wrong information bit, on the other hand, changes dozens of parity bits. (A word without
        # any information is all zeros and stays lost.)
        doubtful = np.flatnonzero(~ok & words.any(axis=1))
        slips = self.encode(words[doubtful, : self.k]) != words[doubtful]
        ok[doubtful] = np.count_nonzero(slips, axis=1) <= _PARITY_SLIPS
        return words[:, : self.k], ok


class ShortenedCode:
    """The first `k` information bits of a code; the other information bits are zeros that are known and not
    sent.

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
            raise HscError(
                f"this shortened code encodes rows of {self.k} bits, not an array of shape {bits.shape}"
            )
        words = self.mother.encode(np.pad(bits, ((0, 0), (0, self.mother.k - self.k))))
        return np.delete(words, slice(self.k, self.mother.k), axis=1)

    def decode(self, llr: np.ndarray, iterations: int = 30) -> tuple[np.ndarray, np.ndarray]:
        """LLRs, float (B, n) → information bits, uint8 (B, k), and bool (B,), as `Code.decode`."""
        llr = np.asarray(llr)
        if llr.ndim != 2 or llr.shape[1] != self.n:
            raise HscError(
                f"this shortened code decodes rows of {self.n} LLRs, not an array of shape {llr.shape}"
            )
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
