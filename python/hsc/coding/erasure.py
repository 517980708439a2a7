"""Protection of a digital stream against lost blocks: RaptorQ (RFC 6330), package raptorq.

The source symbols come first and are the data themselves, repair symbols follow; any K of all symbols, and
seldom one or two more, give the K source symbols back. A symbol has the payload of one LDPC block, so that a
lost block is one lost symbol. How many there are: `protection`.
"""

from __future__ import annotations

import logging
import math
from bisect import bisect_right

import numpy as np
import raptorq

from ..errors import HscError
from ..message import ReceivedDigital
from .protection import LARGEST_SHARE, Protection

_log = logging.getLogger(__name__)

# Most symbols of one source block (RFC 6330, section 4.4.1.2).
MOST_SOURCE_SYMBOLS = 56403
# Largest symbol [bytes]; it keeps the longest stream within one source block of the package.
LARGEST_SYMBOL = 128
# The package's symbols are whole multiples of this [bytes].
_ALIGNMENT = 8
# Bytes before a symbol: its payload id (RFC 6330, section 3.2).
_ID_BYTES = 4


def protected_bytes(n_bytes: int, protection: Protection, symbol_bytes: int) -> int:
    """Length of what `protect` makes of `n_bytes`. Raises HscError as it does."""
    source = _source_symbols(n_bytes, symbol_bytes)
    repair = protection.repair_symbols(source)
    return (source + repair) * symbol_bytes if repair else n_bytes


def source_room(n_bytes: int, protection: Protection, symbol_bytes: int) -> int:
    """Most bytes of data that `protect` makes at most `n_bytes` of. Raises HscError as it does."""
    if not protection.repair_symbols(_source_symbols(n_bytes, symbol_bytes)):
        return n_bytes
    symbols = n_bytes // symbol_bytes
    taken = range(symbols + 1)
    source = bisect_right(taken, symbols, key=lambda count: count + protection.repair_symbols(count)) - 1
    return source * symbol_bytes


def protect(data: bytes, protection: Protection, symbol_bytes: int) -> bytes:
    """Data, filled up with zeros to whole symbols, and repair symbols; the data alone where there are none.

    Args:
        data: any bytes.
        protection: says how many repair symbols there are.
        symbol_bytes: bytes of a symbol, as many as an LDPC block carries
            (`phy.digital.payload_bytes_per_block`).

    Raises:
        HscError: a symbol out of range, or data of more than 56403 symbols.
    """
    source = _source_symbols(len(data), symbol_bytes)
    repair = protection.repair_symbols(source)
    if not repair:
        return bytes(data)
    if source > MOST_SOURCE_SYMBOLS:
        raise HscError(
            f"{len(data)} bytes are too many to protect: give repair share 0, "
            f"or at most {MOST_SOURCE_SYMBOLS * symbol_bytes}"
        )
    filled = np.frombuffer(data.ljust(source * symbol_bytes, b"\0"), np.uint8)
    padded = np.zeros((source, _aligned(symbol_bytes)), np.uint8)
    padded[:, :symbol_bytes] = filled.reshape(source, symbol_bytes)
    packets = raptorq.Encoder.with_defaults(padded.tobytes(), padded.shape[1]).get_encoded_packets(repair)
    symbols = np.frombuffer(b"".join(packets), np.uint8).reshape(source + repair, _ID_BYTES + padded.shape[1])
    # The code works on each byte column by itself: columns of padding stay zero and are not sent.
    return symbols[:, _ID_BYTES : _ID_BYTES + symbol_bytes].tobytes()


def recover(received: ReceivedDigital, source_bytes: int, symbol_bytes: int) -> tuple[bytes, np.ndarray]:
    """What `protect` was given, as far as it can be had.

    Args:
        received: the stream; symbols of which a byte is missing are not used.
        source_bytes: length of the data.
        symbol_bytes: as for `protect`.

    Returns:
        data, bytes (source_bytes,), zeros where lost; and which bytes are there, bool (source_bytes,): all of
        them when enough symbols arrived, else those that arrived themselves.

    Raises:
        HscError: a stream that is shorter than its data, or symbols out of range.
    """
    if not 0 <= source_bytes <= len(received.data):
        raise HscError(
            f"a stream of {len(received.data)} bytes cannot hold {source_bytes} bytes of data: "
            "the message is damaged"
        )
    source = _source_symbols(source_bytes, symbol_bytes)
    mask = np.asarray(received.received, bool)
    if not mask[:source_bytes].all() and source <= MOST_SOURCE_SYMBOLS:
        whole = _solve(received.data, mask, source, symbol_bytes)
        if whole is not None:
            return whole[:source_bytes], np.ones(source_bytes, bool)
    return received.data[:source_bytes], mask[:source_bytes]


def _solve(data: bytes, mask: np.ndarray, source: int, symbol_bytes: int) -> bytes | None:
    """The source symbols from whatever symbols are whole; None when they are too few."""
    count = min(len(data) // symbol_bytes, math.ceil(source / (1 - LARGEST_SHARE)) + 1)
    whole = np.flatnonzero(mask[: count * symbol_bytes].reshape(count, symbol_bytes).all(axis=1))
    if len(whole) < source or count <= source:
        return None
    width = _aligned(symbol_bytes)
    came = np.frombuffer(data, np.uint8)[: count * symbol_bytes].reshape(count, symbol_bytes)[whole]
    symbols = np.zeros((len(whole), _ID_BYTES + width), np.uint8)
    # source block 0, number of the symbol
    symbols[:, :_ID_BYTES] = whole.astype(">u4").view(np.uint8).reshape(-1, _ID_BYTES)
    symbols[:, _ID_BYTES : _ID_BYTES + symbol_bytes] = came
    try:
        decoder = raptorq.Decoder.with_defaults(source * width, width)
        solved = next((s for s in (decoder.decode(row.tobytes()) for row in symbols) if s is not None), None)
    except BaseException as error:
        # a panic in Rust is no Exception to Python
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        _log.warning("repair symbols cannot be used (%s): what arrived is used as it is", error)
        return None
    if solved is None:
        return None
    return np.frombuffer(solved, np.uint8).reshape(source, width)[:, :symbol_bytes].tobytes()


def _aligned(symbol_bytes: int) -> int:
    return -(-symbol_bytes // _ALIGNMENT) * _ALIGNMENT


def _source_symbols(n_bytes: int, symbol_bytes: int) -> int:
    if not 1 <= symbol_bytes <= LARGEST_SYMBOL:
        raise HscError(f"a symbol of {symbol_bytes} bytes cannot be protected: give 1 to {LARGEST_SYMBOL}")
    return -(-n_bytes // symbol_bytes)
