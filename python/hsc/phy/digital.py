"""Digital streams: bytes ↔ QAM symbols, by blocks (`code_blocks`).

The coded bits are scrambled and mapped. The last block's payload is filled up with zero bytes.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..errors import HscError
from ..message import ReceivedDigital
from . import interleaver, qam
from . import mcs as mcs_table
from .code_blocks import Account, CodeBlocks, code_blocks
from .mcs import Mcs

# Longest stream [bytes].
LARGEST_STREAM = 1 << 24
# Blocks handled at once: bounds the memory.
_CHUNK = 2048


def payload_bytes_per_block(mcs: str | Mcs) -> int:
    """Payload bytes in one block."""
    return _code_blocks(mcs).block_bytes


def block_count(n_bytes: int, mcs: str | Mcs) -> int:
    """Blocks of a stream of `n_bytes`. HscError outside 0 … 2^24 bytes."""
    if not 0 <= n_bytes <= LARGEST_STREAM:
        raise HscError(f"a digital stream has 0 to {LARGEST_STREAM} bytes, not {n_bytes}")
    return -(-n_bytes // payload_bytes_per_block(mcs))


def symbols_per_block(mcs: str | Mcs) -> int:
    """Complex channel uses of one block."""
    return _code_blocks(mcs).block_symbols


def margin_db(uses: float, mcs: str | Mcs) -> float:
    """How far the threshold of an MCS should stay below an SNR that is known, for a stream that takes about
    so many channel uses [dB].
    """
    return _code_blocks(mcs).margin_db(int(uses // symbols_per_block(mcs)))


def code_block_count(uses: float, mcs: str | Mcs) -> int:
    """Code blocks of a stream that takes about so many channel uses."""
    return _code_blocks(mcs).count(max(int(uses // symbols_per_block(mcs)), 1))


def symbol_count(n_bytes: int, mcs: str | Mcs) -> int:
    """Complex channel uses of a stream of `n_bytes`."""
    return block_count(n_bytes, mcs) * symbols_per_block(mcs)


def symbol_bounds(n_bytes: int, mcs: str | Mcs, part: np.ndarray | int, parts: int) -> np.ndarray | int:
    """First symbol of a stream of part `part` of `parts`, whole code blocks each; `parts` for the end."""
    form, blocks = _code_blocks(mcs), block_count(n_bytes, mcs)
    return form.bounds(blocks, form.count(blocks) * part // parts) * form.block_symbols


def account(n_bytes: int, mcs: str | Mcs) -> Account:
    """What the coded bits of a stream of `n_bytes` are; its padding to whole blocks counts as data."""
    mcs = _resolve(mcs)
    total = Account(0, 0, 0, 0)
    for run, count in _runs(block_count(n_bytes, mcs), mcs):
        total += code_blocks(mcs).account((run.stop - run.start) // count) * count
    return total


def modulate(data: bytes, mcs: str | Mcs) -> np.ndarray:
    """A stream → its symbols, complex64 (symbol_count(len(data), mcs),), unit mean power."""
    mcs = _resolve(mcs)
    blocks, size = block_count(len(data), mcs), payload_bytes_per_block(mcs)
    payload = np.zeros((blocks, size), dtype=np.uint8)
    payload.reshape(-1)[: len(data)] = np.frombuffer(data, dtype=np.uint8)
    symbols = np.empty((blocks, symbols_per_block(mcs)), dtype=np.complex64)
    for run, count in _runs(blocks, mcs):
        bits = code_blocks(mcs).encode(payload[run].reshape(count, -1))
        scrambling = interleaver.pn_bits(bits.size, _coded_bits(run.start, mcs))
        coded = qam.modulate(bits.ravel() ^ scrambling, mcs.bits_per_symbol, mcs.levels)
        symbols[run] = coded.reshape(run.stop - run.start, -1)
    return symbols.ravel()


def _coded_bits(blocks: int, mcs: Mcs) -> int:
    return blocks * symbols_per_block(mcs) * mcs.bits_per_symbol


def _runs(blocks: int, mcs: Mcs) -> Iterator[tuple[slice, int]]:
    """Blocks in runs of code blocks of equal length: which blocks, and how many code blocks they are."""
    form = code_blocks(mcs)
    bounds = form.bounds(blocks, np.arange(form.count(blocks) + 1, dtype=np.int64))
    lengths = np.diff(bounds)
    first = 0
    while first < len(lengths):
        most = max(1, _CHUNK // int(lengths[first]))
        changes = np.flatnonzero(lengths[first : first + most] != lengths[first])
        count = int(changes[0]) if len(changes) else min(most, len(lengths) - first)
        yield slice(int(bounds[first]), int(bounds[first + count])), count
        first += count


def demodulate(
    symbols: np.ndarray,
    noise_variance: np.ndarray | float,
    n_bytes: int,
    mcs: str | Mcs,
    *,
    iterations: int | None = None,
    exact: bool | None = None,
) -> ReceivedDigital:
    """Received symbols → the stream, with its lost blocks named.

    Args:
        symbols: complex (symbol_count(n_bytes, mcs),), equalised.
        noise_variance: N0 of each symbol, float (n,) or one for all; inf for symbols that never came.
        n_bytes: length of the stream.
        mcs: its MCS.
        iterations: most iterations of the LDPC decoder; None: as suits the code.
        exact: exact LLRs instead of max-log; None: as suits the code.

    Returns:
        ReceivedDigital; a block is good when all checks of its code block hold.

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
    form = code_blocks(mcs)
    exact = form.exact if exact is None else exact
    iterations = form.iterations if iterations is None else iterations
    for run, count in _runs(blocks, mcs):
        part = slice(run.start * per_block, run.stop * per_block)
        llr = qam.demodulate(symbols[part], noise_variance[part], mcs.bits_per_symbol, exact, mcs.levels)
        llr *= interleaver.pn_signs(llr.size, _coded_bits(run.start, mcs))
        decoded, ok = form.decode(llr.reshape(count, -1), iterations)
        payload[run] = decoded.reshape(-1, payload.shape[1])
        good[run] = np.repeat(ok, (run.stop - run.start) // count)
    payload[~good] = 0
    return ReceivedDigital(
        data=payload.reshape(-1)[:n_bytes].tobytes(),
        received=np.repeat(good, payload.shape[1])[:n_bytes],
        lost_blocks=tuple(np.flatnonzero(~good).tolist()),
        block_bytes=payload.shape[1],
    )


def _resolve(mcs: str | Mcs) -> Mcs:
    return mcs if isinstance(mcs, Mcs) else mcs_table.by_name(mcs)


def _code_blocks(mcs: str | Mcs) -> CodeBlocks:
    return code_blocks(_resolve(mcs))
