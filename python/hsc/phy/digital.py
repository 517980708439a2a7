"""Digital streams: bytes ↔ QAM symbols, one LDPC codeword to a block.

A block's information bits are its payload bytes, zero bits up to the code's length (0 to 4 of them), and a
CRC-16 of the payload in the last 16. The codeword is interleaved, so that the bits of one QAM symbol lie far
apart in it, scrambled, and mapped; 672 bits fill whole symbols of every modulation. The last block's payload
is filled up with zero bytes.
"""

from __future__ import annotations

import numpy as np

from ..errors import HscError
from ..message import ReceivedDigital
from . import crc, interleaver, ldpc, qam
from . import mcs as mcs_table
from .mcs import Mcs

# Bits of a block's CRC.
CRC_BITS = 16
# Longest stream [bytes].
LARGEST_STREAM = 1 << 24
# Blocks handled at once: bounds the memory.
_CHUNK = 2048


def payload_bytes_per_block(mcs: str | Mcs) -> int:
    """Payload bytes in one block."""
    return (_code(mcs).k - CRC_BITS) // 8


def block_count(n_bytes: int, mcs: str | Mcs) -> int:
    """Blocks of a stream of `n_bytes`. HscError outside 0 … 2^24 bytes."""
    if not 0 <= n_bytes <= LARGEST_STREAM:
        raise HscError(f"a digital stream has 0 to {LARGEST_STREAM} bytes, not {n_bytes}")
    return -(-n_bytes // payload_bytes_per_block(mcs))


def symbols_per_block(mcs: str | Mcs) -> int:
    """Complex channel uses of one block."""
    return ldpc.N // _resolve(mcs).bits_per_symbol


def symbol_count(n_bytes: int, mcs: str | Mcs) -> int:
    """Complex channel uses of a stream of `n_bytes`."""
    return block_count(n_bytes, mcs) * symbols_per_block(mcs)


def modulate(data: bytes, mcs: str | Mcs) -> np.ndarray:
    """A stream → its symbols, complex64 (symbol_count(len(data), mcs),), unit mean power."""
    mcs = _resolve(mcs)
    blocks, size = block_count(len(data), mcs), payload_bytes_per_block(mcs)
    payload = np.zeros((blocks, size), dtype=np.uint8)
    payload.reshape(-1)[: len(data)] = np.frombuffer(data, dtype=np.uint8)
    symbols = np.empty((blocks, symbols_per_block(mcs)), dtype=np.complex64)
    for first in range(0, blocks, _CHUNK):
        part = slice(first, first + _CHUNK)
        words = _code(mcs).encode(_information(payload[part], _code(mcs).k))
        bits = words[:, interleaver.bit_permutation(ldpc.N, mcs.bits_per_symbol)]
        bits ^= interleaver.pn_bits(bits.size, first * ldpc.N).reshape(bits.shape)
        symbols[part] = qam.modulate(bits, mcs.bits_per_symbol).reshape(len(bits), -1)
    return symbols.ravel()


def demodulate(
    symbols: np.ndarray,
    noise_variance: np.ndarray | float,
    n_bytes: int,
    mcs: str | Mcs,
    *,
    iterations: int = 30,
    exact: bool = False,
) -> ReceivedDigital:
    """Received symbols → the stream, with its lost blocks named.

    Args:
        symbols: complex (symbol_count(n_bytes, mcs),), equalised.
        noise_variance: N0 of each symbol, float (n,) or one for all; inf for symbols that never came.
        n_bytes: length of the stream.
        mcs: its MCS.
        iterations: most iterations of the LDPC decoder.
        exact: exact LLRs instead of max-log.

    Returns:
        ReceivedDigital; a block is good when every parity check and its CRC-16 hold.

    Raises:
        HscError: unknown MCS, a length out of range, or a wrong number of symbols.
    """
    mcs = _resolve(mcs)
    blocks, per_block = block_count(n_bytes, mcs), symbols_per_block(mcs)
    symbols = np.asarray(symbols).ravel()
    if symbols.size != blocks * per_block:
        raise HscError(f"{n_bytes} bytes at {mcs.name} are {blocks * per_block} symbols, not {symbols.size}")
    noise_variance = np.broadcast_to(np.asarray(noise_variance, dtype=np.float32), symbols.shape)
    payload = np.empty((blocks, payload_bytes_per_block(mcs)), dtype=np.uint8)
    good = np.empty(blocks, dtype=bool)
    inverse = interleaver.inverse(interleaver.bit_permutation(ldpc.N, mcs.bits_per_symbol))
    for first in range(0, blocks, _CHUNK):
        part = slice(first, first + _CHUNK)
        chunk = slice(first * per_block, (first + _CHUNK) * per_block)
        llr = qam.demodulate(symbols[chunk], noise_variance[chunk], mcs.bits_per_symbol, exact)
        llr *= interleaver.pn_signs(llr.size, first * ldpc.N)
        bits, ok = _code(mcs).decode(llr.reshape(-1, ldpc.N)[:, inverse], iterations)
        payload[part], good[part] = _check(bits, ok)
    payload[~good] = 0
    return ReceivedDigital(
        data=payload.reshape(-1)[:n_bytes].tobytes(),
        received=np.repeat(good, payload.shape[1])[:n_bytes],
        lost_blocks=tuple(np.flatnonzero(~good).tolist()),
        block_bytes=payload.shape[1],
    )


def _information(payload: np.ndarray, k: int) -> np.ndarray:
    """Payload, uint8 (B, size) → information bits, uint8 (B, k)."""
    bits = np.zeros((len(payload), k), dtype=np.uint8)
    bits[:, : payload.shape[1] * 8] = np.unpackbits(payload, axis=1)
    check = crc.crc16_rows(payload).astype(">u2").view(np.uint8).reshape(-1, 2)
    bits[:, k - CRC_BITS :] = np.unpackbits(check, axis=1)
    return bits


def _check(bits: np.ndarray, ok: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Decoded information bits (B, k) and the decoder's verdict → payload, uint8 (B, size), and which blocks
    are good, bool (B,).
    """
    size = (bits.shape[1] - CRC_BITS) // 8
    payload = np.packbits(bits[:, : size * 8], axis=1)
    tail = bits[:, size * 8 :]
    check = np.packbits(tail[:, -CRC_BITS:], axis=1).view(">u2").ravel()
    spare_zero = ~tail[:, :-CRC_BITS].any(axis=1)
    return payload, ok & spare_zero & (check == crc.crc16_rows(payload))


def _resolve(mcs: str | Mcs) -> Mcs:
    return mcs if isinstance(mcs, Mcs) else mcs_table.by_name(mcs)


def _code(mcs: str | Mcs) -> ldpc.Code:
    return ldpc.code(_resolve(mcs).rate)
