"""The digital part of the HDA codecs: one sealed chunk per region, and a directory of their lengths at both
ends of the stream.

directory ‖ chunk 0 ‖ chunk 1 ‖ … ‖ directory; a directory is the chunks' lengths (3 bytes each) and a CRC-16.
A chunk (`phy.cipher.seal`) holds its region's first place among the analog values (3 bytes) and what the
codec coded for the region; behind the regions' there may be one that serves the image as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...errors import HscError
from ...phy import cipher
from ...phy.crc import crc16

# Bytes of a chunk's length, and of a place among the analog values.
_LENGTH = _PLACE = 3
# Bytes of a directory's checksum.
_CRC = 2


@dataclass(frozen=True)
class RegionPart:
    """What the digital part says of one region.

    Attributes:
        first: place of the region's first analog value; 0 where there is none.
        code: the codec's bytes.
    """

    first: int
    code: bytes


@dataclass(frozen=True)
class OpenedParts:
    """What could be opened.

    Attributes:
        parts: by number of the chunk.
        closed: chunks that came whole and did not open: altered, or another key.
    """

    parts: dict[int, RegionPart]
    closed: int


def overhead(count: int, key: bytes | None) -> int:
    """Bytes of the stream beyond the codec's own, for `count` chunks."""
    return 2 * (count * _LENGTH + _CRC) + count * (_PLACE + cipher.overhead(key))


def seal(parts: list[RegionPart], key: bytes | None) -> bytes:
    """Parts of all chunks, in order → the stream."""
    chunks = [
        cipher.seal(key, part.first.to_bytes(_PLACE, "big") + part.code, index)
        for index, part in enumerate(parts)
    ]
    lengths = b"".join(len(chunk).to_bytes(_LENGTH, "big") for chunk in chunks)
    directory = lengths + crc16(lengths).to_bytes(_CRC, "big")
    return directory + b"".join(chunks) + directory


def unseal(data: bytes, received: np.ndarray, count: int, key: bytes | None) -> OpenedParts:
    """The stream, as far as it arrived → its parts.

    Args:
        data: bytes of the stream.
        received: bool (len(data),), False where lost.
        count: chunks that were sent.
        key: 32 bytes, or None.
    """
    lengths = _directory(data, received, count)
    if lengths is None:
        return OpenedParts({}, 0)
    ends = count * _LENGTH + _CRC + np.cumsum(lengths)
    parts, closed = {}, 0
    for index, (end, length) in enumerate(zip(ends, lengths, strict=True)):
        if end > len(data) or not received[end - length : end].all():
            continue
        try:
            plain = cipher.unseal(key, data[end - length : end], index)
        except HscError:
            closed += 1
            continue
        if len(plain) >= _PLACE:
            parts[index] = RegionPart(int.from_bytes(plain[:_PLACE], "big"), plain[_PLACE:])
    return OpenedParts(parts, closed)


def _directory(data: bytes, received: np.ndarray, count: int) -> np.ndarray | None:
    """Lengths of the chunks, from whichever directory arrived; None when neither did."""
    size = count * _LENGTH + _CRC
    for first in (0, len(data) - size):
        field = data[first : first + size]
        if first < 0 or len(field) < size or not received[first : first + size].all():
            continue
        if crc16(field[:-_CRC]) == int.from_bytes(field[-_CRC:], "big"):
            digits = np.frombuffer(field[:-_CRC], np.uint8).reshape(count, _LENGTH).astype(np.int64)
            return digits @ np.array([1 << 16, 1 << 8, 1])
    return None
