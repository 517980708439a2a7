"""The CRCs of 3GPP TS 38.212, clause 5.1, of many rows at once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np


@dataclass(frozen=True)
class Crc:
    """A cyclic redundancy check with a register that begins with zeros.

    Attributes:
        length: L, check bits.
        polynomial: its generator without the highest term.
    """

    length: int
    polynomial: int

    def of(self, bits: np.ndarray) -> np.ndarray:
        """Check bits of rows, uint8 0/1 (B, n) → (B, L), first the highest power."""
        rows = np.packbits(
            np.pad(bits, ((0, 0), (-bits.shape[1] % 8, 0))), axis=1
        )  # zeros before change nothing
        places = np.arange(rows.shape[1], dtype=np.intp) * 256
        terms = _tables(self.length, self.polynomial, rows.shape[1]).ravel()[rows + places]
        total = np.bitwise_xor.reduce(terms, axis=1) if rows.shape[1] else np.zeros(len(rows), np.uint32)
        return (total[:, None] >> np.arange(self.length - 1, -1, -1, dtype=np.uint32) & 1).astype(np.uint8)

    def attached(self, bits: np.ndarray) -> np.ndarray:
        """Rows with their check bits behind them: (B, n) → (B, n + L)."""
        return np.concatenate([bits, self.of(bits)], axis=1)

    def holds(self, bits: np.ndarray) -> np.ndarray:
        """bool (B,): which rows, (B, n + L), end in their own check bits."""
        return ~(self.of(bits[:, : -self.length]) ^ bits[:, -self.length :]).any(axis=1)


CRC24A = Crc(24, 0x864CFB)
CRC24B = Crc(24, 0x800063)
CRC16 = Crc(16, 0x1021)


@lru_cache(maxsize=16)
def _tables(length: int, polynomial: int, size: int) -> np.ndarray:
    """uint32 (size, 256): what byte value v at place j adds to the CRC of a row of `size` bytes."""
    high, mask = 1 << length - 1, (1 << length) - 1
    step = np.arange(256, dtype=np.uint32) << length - 8
    for _ in range(8):
        step = np.where(step & high, step << 1 ^ polynomial, step << 1) & mask
    tables = np.empty((size, 256), dtype=np.uint32)
    for place in range(size - 1, -1, -1):  # one place earlier: one more zero byte is shifted in behind it
        later = step if place == size - 1 else tables[place + 1]
        tables[place] = later if place == size - 1 else (later << 8 & mask) ^ step[later >> length - 8]
    return tables
