"""CRC against published check values and an independent bit-by-bit implementation."""

import zlib

import numpy as np
import pytest
from gnuradio.hsc.phy import crc
from hypothesis import given
from hypothesis import strategies as st


def bitwise_crc16(data: bytes) -> int:
    register = 0xFFFF
    for byte in data:
        register ^= byte << 8
        for _ in range(8):
            register = ((register << 1) ^ (0x1021 if register & 0x8000 else 0)) & 0xFFFF
    return register


def test_check_values():
    assert crc.crc16(b"123456789") == 0x29B1  # catalogue of CRC algorithms, CRC-16/CCITT-FALSE (IBM-3740)
    assert crc.crc32(b"123456789") == 0xCBF43926
    assert crc.crc16(b"") == 0xFFFF


@given(st.binary(max_size=200))
def test_against_bitwise(data):
    assert crc.crc16(data) == bitwise_crc16(data)
    assert crc.crc32(data) == zlib.crc32(data)


@pytest.mark.parametrize("length", [0, 1, 2, 40, 66, 1024, 1500])
def test_rows_equal_single(length):
    rows = np.random.default_rng(length).integers(0, 256, (17, length), dtype=np.uint8)
    result = crc.crc16_rows(rows)
    assert result.dtype == np.uint16
    assert result.tolist() == [bitwise_crc16(row.tobytes()) for row in rows]


def test_row_with_its_crc_has_crc_zero():
    rows = np.random.default_rng(1).integers(0, 256, (100, 30), dtype=np.uint8)
    check = crc.crc16_rows(rows).astype(">u2").view(np.uint8).reshape(-1, 2)
    assert not crc.crc16_rows(np.hstack([rows, check])).any()


def test_every_burst_up_to_16_bits_is_detected():
    row = np.random.default_rng(2).integers(0, 2, 400, dtype=np.uint8)
    sent = crc.crc16(np.packbits(row))
    changed = np.repeat(row[None], 400 - 16, axis=0)
    burst = np.random.default_rng(3).integers(0, 2, (len(changed), 16), dtype=np.uint8)
    burst[:, 0] = 1
    for start, (word, pattern) in enumerate(zip(changed, burst, strict=True)):
        word[start : start + 16] ^= pattern
    assert not (crc.crc16_rows(np.packbits(changed, axis=1)) == sent).any()


def test_empty_batch():
    assert crc.crc16_rows(np.zeros((0, 5), dtype=np.uint8)).shape == (0,)
