"""CRC-16/CCITT-FALSE and CRC-32, over one byte string or over many rows at once.

CRC-16/CCITT-FALSE: polynomial x^16 + x^12 + x^5 + 1, initial value 0xFFFF, no reflection, no final XOR (ITU-T
V.41's polynomial). A row followed by its own CRC, high byte first, has CRC 0.
"""

from __future__ import annotations

import binascii
import zlib
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


def crc16_rows(rows: np.ndarray) -> np.ndarray:
    """CRC-16/CCITT-FALSE of every row: uint8 (B, n) → uint16 (B,).

    A CRC is affine over GF(2): the CRC of n zeros, XOR one table entry per byte that depends on its value and
    its place.
    """
    rows = np.atleast_2d(np.asarray(rows, dtype=np.uint8))
    batch, length = rows.shape
    if length > _LONGEST_TABLE:
        return np.fromiter((crc16(row) for row in rows), dtype=np.uint16, count=batch)
    if length == 0 or batch == 0:
        return np.full(batch, INITIAL, dtype=np.uint16)
    places = np.arange(length, dtype=np.intp) * 256
    terms = _tables(length).ravel()[rows + places]
    return np.bitwise_xor.reduce(terms, axis=1) ^ np.uint16(binascii.crc_hqx(bytes(length), INITIAL))


@lru_cache(maxsize=64)
def _tables(length: int) -> np.ndarray:
    """uint16 (length, 256): what byte value v at place j adds to the CRC of a row of `length` bytes."""
    step = np.array([binascii.crc_hqx(bytes([value]), 0) for value in range(256)], dtype=np.uint16)
    tables = np.empty((length, 256), dtype=np.uint16)
    tables[-1] = step
    for place in range(length - 2, -1, -1):  # one place earlier: one more zero byte is shifted in behind it
        later = tables[place + 1]
        tables[place] = (later << 8) ^ step[later >> 8]
    return tables
