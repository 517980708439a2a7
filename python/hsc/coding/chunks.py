"""A digital stream as a row of checked chunks: what arrived intact from the beginning is used, the rest is
left alone.

A chunk is its payload's length (LEB128, at most 3 bytes), a CRC-16 of length and payload, and the payload.
"""

from __future__ import annotations

import numpy as np

from ..phy.crc import crc16

# Payloads are shorter [bytes]: 3 bytes of LEB128 hold 21 bits.
_LONGEST = 1 << 21


def frame(payload: bytes) -> bytes:
    """One chunk around a payload of fewer than 2²¹ bytes."""
    if len(payload) >= _LONGEST:
        raise ValueError(f"a chunk holds fewer than {_LONGEST} bytes, not {len(payload)}")
    length = _leb128(len(payload))
    return length + crc16(length + payload).to_bytes(2, "big") + payload


def intact_prefix(data: bytes, received: np.ndarray | None = None) -> list[bytes]:
    """Payloads of the leading chunks that are whole and pass their CRC.

    Args:
        data: any bytes.
        received: bool (len(data),), False for bytes that were lost; None when all came.
    """
    end = len(data) if received is None or received.all() else int(np.argmin(received))
    payloads, position = [], 0
    while position < end:
        length, body = _read_length(data, position, end)
        if length is None or body + 2 + length > end:
            break
        payload = data[body + 2 : body + 2 + length]
        if crc16(data[position:body] + payload) != int.from_bytes(data[body : body + 2], "big"):
            break
        payloads.append(payload)
        position = body + 2 + length
    return payloads


def _leb128(value: int) -> bytes:
    out = bytearray()
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _read_length(data: bytes, position: int, end: int) -> tuple[int | None, int]:
    value = 0
    for count, byte in enumerate(data[position : min(end, position + 3)]):
        value |= (byte & 127) << (7 * count)
        if byte < 128:
            return value, position + count + 1
    return None, position
