"""Metadata keys and vectors of PDUs: how a value is written to a PMT, and read from one with type and bounds
checked.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pmt

from ..errors import HscError
from ..phy import mcs
from ..phy.header import HEADER_BYTES, MAX_SIDE, Header, pack, unpack
from ..phy.numerology import PRESETS

# Items of a vector at most.
MAX_VECTOR_ITEMS = 1 << 26
_DTYPES = {"u8": np.uint8, "s32": np.int32, "f32": np.float32, "c32": np.complex64}
_IS = {"u8": pmt.is_u8vector, "s32": pmt.is_s32vector, "f32": pmt.is_f32vector, "c32": pmt.is_c32vector}
# Vectors cross in PMT's serial form, big-endian after 8 bytes: tag, type, number of items, length of padding,
# padding (pmt_serial_tags.h). The binding's own functions make a Python object of every item: 4 (c32) to 80
# (u8) times as slow, measured with 4096 to 12288 items.
_SERIAL = {
    "u8": (b"\x0a\x00", "u1"),
    "s32": (b"\x0a\x05", ">i4"),
    "f32": (b"\x0a\x08", ">f4"),
    "c32": (b"\x0a\x0a", ">c8"),
}
# Bytes before the first item.
_SERIAL_HEADER = 8


@dataclass(frozen=True)
class Key:
    """How a metadata value is written to a PMT and read from one; `read` raises HscError for a wrong type or
    a value out of bounds.
    """

    write: Callable[[Any], Any]
    read: Callable[[Any], Any]
    text: str


def require(condition: bool, text: str) -> None:
    """Raise HscError with this text unless the condition holds."""
    if not condition:
        raise HscError(text)


def integer(low: int, high: int) -> Key:
    """An integer from `low` to `high`."""

    def read(value: Any) -> int:
        inside = pmt.is_integer(value) and low <= pmt.to_long(value) <= high
        require(inside, f"must be an integer from {low} to {high}")
        return pmt.to_long(value)

    return Key(lambda value: pmt.from_long(int(value)), read, f"integer {low} … {high}")


def real() -> Key:
    """A real number, not NaN."""

    def read(value: Any) -> float:
        number = pmt.is_real(value) or pmt.is_integer(value)
        require(number and not math.isnan(pmt.to_double(value)), "must be a real number")
        return pmt.to_double(value)

    return Key(lambda value: pmt.from_double(float(value)), read, "real")


# Different texts that are written with a bounded number of them, in a process: GNU Radio never forgets a
# symbol, and each takes 200 bytes and slows down the search for all others.
_MOST_TEXTS = 10_000
_texts: set[str] = set()


def text_key(limit: int, bounded: bool = False) -> Key:
    """A symbol of at most `limit` printable characters; longer text is cut when written. `bounded`: text that
    says what was received, of which somebody else may make ever new ones: behind the first 10 000 different
    ones its numbers are left out.
    """

    def read(value: Any) -> str:
        require(pmt.is_symbol(value), "must be a symbol")
        text = pmt.symbol_to_string(value)
        require(len(text) <= limit and text.isprintable(), f"must be at most {limit} printable characters")
        return text

    def write(value: Any) -> Any:
        text = "".join(c if c.isprintable() else " " for c in str(value)[:limit])
        return pmt.intern(_familiar(text) if bounded else text)

    return Key(write, read, f"symbol, at most {limit} characters")


def _familiar(text: str) -> str:
    """A text, or the same without its numbers where there have been too many; at last none at all."""
    for form, most in ((text, _MOST_TEXTS), (re.sub(r"\d+", "…", text), 2 * _MOST_TEXTS)):
        if form in _texts or len(_texts) < most:
            _texts.add(form)
            return form
    return "too many different texts"


def write_vector(values: np.ndarray | bytes, item: str) -> Any:
    """Array or bytes → uniform vector of item "u8", "s32", "f32" or "c32"."""
    flat = np.frombuffer(values, np.uint8) if isinstance(values, bytes) else np.ravel(values)
    tag, dtype = _SERIAL[item]
    head = tag + len(flat).to_bytes(4, "big") + b"\x01\x00"
    return pmt.deserialize_str(head + flat.astype(dtype).tobytes())


def read_vector(value: Any, item: str, limit: int = MAX_VECTOR_ITEMS) -> np.ndarray:
    """Uniform vector → flat array. Raises HscError for another type or more than `limit` items."""
    require(_IS[item](value), f"must be a vector of {item}")
    require(pmt.length(value) <= limit, f"must have at most {limit} items")
    serial = np.frombuffer(pmt.serialize_str(value), _SERIAL[item][1], offset=_SERIAL_HEADER)
    return serial.astype(_DTYPES[item])


def vector(item: str, limit: int = MAX_VECTOR_ITEMS) -> Key:
    """A uniform vector of at most `limit` items."""
    write, read = partial(write_vector, item=item), partial(read_vector, item=item, limit=limit)
    return Key(write, read, f"vector of {item}")


def octets(limit: int) -> Key:
    """Bytes, at most `limit`."""

    def read(value: Any) -> bytes:
        return read_vector(value, "u8", limit).tobytes()

    return Key(partial(write_vector, item="u8"), read, f"vector of u8, at most {limit}")


def shape_key() -> Key:
    """Height, width and channels of an image."""

    def read(value: Any) -> tuple[int, int, int]:
        shape = tuple(read_vector(value, "s32", 3).tolist())
        fits = len(shape) == 3 and all(1 <= side <= MAX_SIDE for side in shape[:2]) and shape[2] in (1, 3)
        require(fits, f"must be height and width from 1 to {MAX_SIDE} and 1 or 3 channels")
        return shape

    def write(value: Any) -> Any:
        return write_vector(np.array(value), "s32")

    return Key(write, read, "vector of s32: height, width, channels")


def mcs_key() -> Key:
    """Name of an MCS."""
    text = text_key(16)

    def read(value: Any) -> str:
        name = text.read(value)
        require(name in mcs.TABLE, f"is no MCS of this version: '{name}'")
        return name

    return Key(text.write, read, "symbol, a name in phy.mcs.TABLE")


def numerology_key() -> Key:
    """Name of a numerology, or nothing."""
    text = text_key(16)

    def read(value: Any) -> str:
        name = text.read(value)
        require(name in ("", *PRESETS), f"is no numerology of this version: '{name}'")
        return name

    return Key(text.write, read, "symbol, a name in phy.numerology.PRESETS, or empty")


def header_key() -> Key:
    """A packet header."""

    def read(value: Any) -> Header:
        header = unpack(read_vector(value, "u8", HEADER_BYTES).tobytes())
        require(header is not None, "is no packet header of this version")
        return header

    def write(value: Any) -> Any:
        return write_vector(pack(value), "u8")

    return Key(write, read, "vector of u8, the header of docs/packet-format.md")
