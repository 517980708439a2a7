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


def pack(symbols: np.ndarray, block_bytes: int) -> bytes:
    """Symbols −1 and 1, int8 (C, h, w) → the stream: −1 is bit 0; blocks of `block_bytes` one after the
    other, each with its elements in the latent's order.
    """
    bits = np.zeros(8 * byte_count(symbols.shape, block_bytes), np.uint8)
    bits[_places(symbols.shape, block_bytes)] = symbols.ravel() > 0
    return np.packbits(bits).tobytes()


def unpack(
    data: bytes, received: np.ndarray, shape: tuple[int, int, int], block_bytes: int, told: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """The stream as it came → symbols int8 (C, h, w), and which of them are known, bool (C, h, w).

    Args:
        data: the stream, zeros where it was lost.
        received: bool (len(data),), False for lost bytes.
        shape: (C, h, w).
        told: True: a lost symbol is 0. False, the paper's receiver: no loss is known, and a lost symbol is
            read as bit 0, −1.

    Raises:
        HscError: another length than that of a latent of this shape.
    """
    wanted = byte_count(shape, block_bytes)
    if len(data) != wanted or len(received) != wanted:
        raise HscError(
            f"a residual of {'x'.join(map(str, shape))} symbols in blocks of {block_bytes} bytes has "
            f"{wanted} bytes, not {len(data)}: both ends must use the same channels and MCS"
        )
    places = _places(shape, block_bytes)
    bits = np.unpackbits(np.frombuffer(data, np.uint8))[places]
    known = np.asarray(received, bool)[places // 8] if told else np.ones(len(places), bool)
    symbols = np.where(known, 2 * bits.astype(np.int8) - 1, 0).astype(np.int8)
    return symbols.reshape(shape), known.reshape(shape)


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
