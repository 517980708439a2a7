"""CRC-16/CCITT-FALSE, CRC-32 and the CRCs of 5G NR, over one byte string or over many rows at once.

CRC-16/CCITT-FALSE: polynomial x^16 + x^12 + x^5 + 1, initial value 0xFFFF, no reflection, no final XOR (ITU-T
V.41's polynomial). A row followed by its own CRC, high byte first, has CRC 0.
"""

from __future__ import annotations

import binascii
import zlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

# Initial value of CRC-16/CCITT-FALSE.
INITIAL = 0xFFFF
# Longest row of which all bytes have a table [bytes]: half a kilobyte for each of them.
_LONGEST_TABLE = 1024


def crc16(data: bytes | bytearray | memoryview | np.ndarray) -> int:
    """CRC-16/CCITT-FALSE of a byte string (or uint8 array), 0…65535."""
    return binascii.crc_hqx(bytes(data), INITIAL)


def crc32(data: bytes | bytearray | memoryview | np.ndarray) -> int:
    """CRC-32 of a byte string (ISO 3309, as in zlib), 0…2³²−1."""
    return zlib.crc32(bytes(data))


@dataclass(frozen=True)
class Crc:
    """A cyclic redundancy check of many rows at once, its register beginning with zeros.

    It is linear over GF(2): an XOR of one table entry per byte, which depends on its value and its place.

    Attributes:
        length: L, check bits: 16 or 24.
        polynomial: its generator without the highest term.
    """

    length: int
    polynomial: int

    def of_bytes(self, rows: np.ndarray) -> np.ndarray:
        """Check bits of rows, uint8 (B, n) → unsigned integers (B,)."""
        tables = _tables(self.length, self.polynomial, rows.shape[1])
        terms = tables.ravel()[rows + np.arange(rows.shape[1], dtype=np.intp) * 256]
        return np.bitwise_xor.reduce(terms, axis=1)

    def of(self, bits: np.ndarray) -> np.ndarray:
        """Check bits of rows, uint8 0/1 (B, n) → (B, L), first the highest power."""
        # zeros before a row change nothing
        rows = np.packbits(np.pad(bits, ((0, 0), (-bits.shape[1] % 8, 0))), axis=1)
        places = np.arange(self.length - 1, -1, -1, dtype=np.uint32)
        return (self.of_bytes(rows).astype(np.uint32)[:, None] >> places & 1).astype(np.uint8)

    def attached(self, bits: np.ndarray) -> np.ndarray:
        """Rows with their check bits behind them: (B, n) → (B, n + L)."""
        return np.concatenate([bits, self.of(bits)], axis=1)

    def holds(self, bits: np.ndarray) -> np.ndarray:
        """bool (B,): which rows, (B, n + L), end in their own check bits."""
        return ~(self.of(bits[:, : -self.length]) ^ bits[:, -self.length :]).any(axis=1)


# 3GPP TS 38.212, clause 5.1.
CRC24A = Crc(24, 0x864CFB)
CRC24B = Crc(24, 0x800063)
CRC16 = Crc(16, 0x1021)


def crc16_rows(rows: np.ndarray) -> np.ndarray:
    """CRC-16/CCITT-FALSE of every row: uint8 (B, n) → uint16 (B,): what n zeros have, and what is linear."""
    rows = np.atleast_2d(np.asarray(rows, dtype=np.uint8))
    batch, length = rows.shape
    if length > _LONGEST_TABLE:
        return np.fromiter((crc16(row) for row in rows), dtype=np.uint16, count=batch)
    return CRC16.of_bytes(rows) ^ np.uint16(crc16(bytes(length)))


@lru_cache(maxsize=64)
def _tables(length: int, polynomial: int, size: int) -> np.ndarray:
    """uint16 or uint32 (size, 256): what byte value v at place j adds to the CRC of a row of `size` bytes."""
    high, mask = 1 << length - 1, (1 << length) - 1
    step = np.arange(256, dtype=np.uint32) << length - 8
    for _ in range(8):
        step = np.where(step & high, step << 1 ^ polynomial, step << 1) & mask
    tables = np.empty((size, 256), dtype=np.uint32)
    later = step
    for place in range(size - 1, -1, -1):
        tables[place] = later
        later = (later << 8 & mask) ^ step[later >> length - 8]  # one more zero byte behind it
    return tables.astype(np.uint16) if length == 16 else tables
