"""Symbols of a latent ↔ bytes of a digital stream, through the interleaver, and what lost bytes leave."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from ...errors import HscError
from .interleaver import block_of, block_sizes


def block_count(shape: tuple[int, int, int], block_bytes: int) -> int:
    """Blocks of a latent (C, h, w) of one bit an element."""
    return -(-math.prod(shape) // (8 * block_bytes))


def byte_count(shape: tuple[int, int, int], block_bytes: int) -> int:
    """Bytes of the stream of a latent (C, h, w): all blocks but the last are whole, filled up with zeros."""
    blocks = block_count(shape, block_bytes)
    return (blocks - 1) * block_bytes + -(-int(block_sizes(math.prod(shape), blocks)[-1]) // 8)


def pack(symbols: np.ndarray) -> bytes:
    """Symbols −1 and 1, int8 (C, h, w) → bytes, in the latent's order: −1 is bit 0."""
    return np.packbits(symbols.ravel() > 0).tobytes()


def interleave(data: bytes, shape: tuple[int, int, int], block_bytes: int) -> bytes:
    """What `pack` gives of a latent (C, h, w) → the stream: blocks of `block_bytes` one after the other, each
    with its elements in the latent's order. Raises HscError for another length.
    """
    count = math.prod(shape)
    _require(len(data), -(-count // 8), shape, "")
    bits = np.zeros(8 * byte_count(shape, block_bytes), np.uint8)
    bits[_places(shape, block_bytes)] = np.unpackbits(np.frombuffer(data, np.uint8), count=count)
    return np.packbits(bits).tobytes()


def deinterleave(
    data: bytes, received: np.ndarray, shape: tuple[int, int, int], block_bytes: int, told: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """The stream as it came → symbols int8 (C, h, w), and which of them are known, bool (C, h, w).

    Args:
        data: the stream, zeros where it was lost.
        received: bool (len(data),), False for lost bytes.
        shape: (C, h, w).
        block_bytes: as of `interleave`.
        told: True: a lost symbol is 0. False, the paper's receiver: no loss is known, and a lost symbol is
            read as bit 0, −1.

    Raises:
        HscError: another length than that of a latent of this shape.
    """
    _require(len(data), byte_count(shape, block_bytes), shape, f" in blocks of {block_bytes} bytes")
    return _read(data, received, shape, _places(shape, block_bytes), told)


def unpack(
    data: bytes, received: np.ndarray, shape: tuple[int, int, int], told: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """What `pack` gives, without an interleaver, as it came → as of `deinterleave`, which has the arguments
    and errors too.
    """
    count = math.prod(shape)
    _require(len(data), -(-count // 8), shape, "")
    return _read(data, received, shape, np.arange(count), told)


def _read(
    data: bytes, received: np.ndarray, shape: tuple[int, int, int], places: np.ndarray, told: bool
) -> tuple[np.ndarray, np.ndarray]:
    _require(len(received), len(data), shape, "")
    bits = np.unpackbits(np.frombuffer(data, np.uint8))[places]
    known = np.asarray(received, bool)[places // 8] if told else np.ones(len(places), bool)
    symbols = np.where(known, 2 * bits.astype(np.int8) - 1, 0).astype(np.int8)
    return symbols.reshape(shape), known.reshape(shape)


def _require(found: int, wanted: int, shape: tuple[int, int, int], how: str) -> None:
    if found != wanted:
        raise HscError(
            f"a residual of {'x'.join(map(str, shape))} symbols{how} has {wanted} bytes, not {found}: both "
            "ends must use the same channels and MCS"
        )


@lru_cache(maxsize=4)
def _places(shape: tuple[int, int, int], block_bytes: int) -> np.ndarray:
    """Bit of the stream that carries each element, int64 (C · h · w,), read-only."""
    blocks = block_count(shape, block_bytes)
    block = block_of(*shape, blocks).ravel()
    sizes = block_sizes(block.size, blocks)
    by_block = np.argsort(block, kind="stable")
    within = np.arange(block.size) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    places = np.empty(block.size, np.int64)
    places[by_block] = block[by_block] * 8 * block_bytes + within
    places.flags.writeable = False
    return places
