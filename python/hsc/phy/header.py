"""The header that every packet carries: 36 bytes, sent as 624 BPSK symbols.

It repeats the whole layout of its message, so that a receiver may start with any packet and knows what it
lacks. The format is written down in docs/packet-format.md.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from ..errors import HscError
from ..message import MAX_DIGITAL_STREAMS, MAX_PARAMETER_BYTES
from . import digital, ldpc, mcs, qam
from .crc import crc16

# Version of the format, the upper four bits of the first byte.
VERSION = 1
# Length with its CRC-16 [bytes].
HEADER_BYTES = 36
# BPSK symbols: 288 information bits and the 336 parity bits of the shortened LDPC 1/2.
HEADER_SYMBOLS = 624
# Most payload symbols in a packet that a receiver takes.
MAX_PACKET_SYMBOLS = 1 << 17
# Most symbols of a message: the 24 bits of the count of analog symbols.
MAX_MESSAGE_SYMBOLS = 1 << 24
# Longest side of an image [pixels].
MAX_SIDE = 1 << 14

# The fields of `_Fields` in their order, and a reserved byte.
_LAYOUT = struct.Struct(">BBHHHHH3sHB3sB3s8sx")
# In the place of an MCS: the message lacks this digital stream.
_NO_MCS = 0xFF


@dataclass(frozen=True)
class Header:
    """What every packet says of itself and of its message.

    Attributes:
        codec: the codec's number in `codecs.registry`.
        message_id: 0..65535, consecutive messages count up from a random start.
        index, count: this is packet `index` of `count`.
        shape: (H, W, C) of the image.
        analog_symbols: complex symbols of the whole message's analog stream.
        scale: log-coded RMS of the analog stream (`phy.analog`).
        digital: for each digital stream (MCS name, bytes).
        parameters: 8 bytes for the codec's receiver, zero padded.
    """

    codec: int
    message_id: int
    index: int
    count: int
    shape: tuple[int, int, int]
    analog_symbols: int = 0
    scale: int = 0
    digital: tuple[tuple[str, int], ...] = ()
    parameters: bytes = bytes(MAX_PARAMETER_BYTES)

    @property
    def layout(self) -> Header:
        """The header with index 0: equal for all packets of one message."""
        return replace(self, index=0)

    def slices(self, index: int | None = None) -> list[slice]:
        """Symbols of each stream (analog first) that packet `index` carries. Digital slices end between code
        blocks.
        """
        i = self.index if index is None else index
        parts = [slice(self.analog_symbols * i // self.count, self.analog_symbols * (i + 1) // self.count)]
        for name, n_bytes in self.digital:
            ends = (digital.symbol_bounds(n_bytes, name, each, self.count) for each in (i, i + 1))
            parts.append(slice(*map(int, ends)))
        return parts

    @property
    def with_digital(self) -> np.ndarray:
        """Which packets carry digital symbols, bool (count,)."""
        bounds = [
            digital.symbol_bounds(n_bytes, name, np.arange(self.count + 1), self.count)
            for name, n_bytes in self.digital
        ]
        return np.any([np.diff(each) > 0 for each in bounds] or [np.zeros(self.count, bool)], axis=0)

    @property
    def payload_symbols(self) -> int:
        """Complex symbols in this packet."""
        return sum(part.stop - part.start for part in self.slices())

    @property
    def message_symbols(self) -> int:
        """Complex symbols of the whole message."""
        return self.analog_symbols + sum(
            digital.symbol_count(n_bytes, name) for name, n_bytes in self.digital
        )


class _Fields(NamedTuple):
    """A header on the air, before it is understood. Counts of 3 bytes are big-endian."""

    version_and_channels: int
    codec: int
    message_id: int
    index: int
    count: int
    height: int
    width: int
    analog_symbols: bytes
    scale: int
    first_mcs: int
    first_bytes: bytes
    second_mcs: int
    second_bytes: bytes
    parameters: bytes

    @property
    def header(self) -> Header:
        """What it says. Raises HscError for an unknown MCS."""
        pairs = ((self.first_mcs, self.first_bytes), (self.second_mcs, self.second_bytes))
        return Header(
            codec=self.codec,
            message_id=self.message_id,
            index=self.index,
            count=self.count,
            shape=(self.height, self.width, self.version_and_channels & 0xF),
            analog_symbols=_integer(self.analog_symbols),
            scale=self.scale,
            digital=tuple((mcs.by_index(m).name, _integer(n)) for m, n in pairs if m != _NO_MCS),
            parameters=self.parameters,
        )


def _integer(data: bytes) -> int:
    return int.from_bytes(data, "big")


def pack(header: Header) -> bytes:
    """Header → 36 bytes, the last two a CRC-16 over the rest. Raises HscError when a field does not fit the
    format.
    """
    h, w, c = header.shape
    if not _sendable(header.shape):
        raise HscError(
            f"image of {h} x {w} x {c} cannot be sent: sides must be 1 to {MAX_SIDE} pixels, 1 or 3 channels"
        )
    if len(header.digital) > MAX_DIGITAL_STREAMS or len(header.parameters) > MAX_PARAMETER_BYTES:
        raise HscError("a message holds at most 2 digital streams and 8 bytes of parameters")
    if header.message_symbols > MAX_MESSAGE_SYMBOLS or header.count > 0xFFFF:
        raise HscError(
            f"message of {header.message_symbols} symbols is too long: "
            "lower the CBR or the rank, or send a smaller image"
        )
    streams = [(mcs.TABLE[name].index, n.to_bytes(3, "big")) for name, n in header.digital]
    streams += [(_NO_MCS, bytes(3))] * (MAX_DIGITAL_STREAMS - len(streams))
    fields = _Fields(
        VERSION << 4 | c,
        header.codec,
        header.message_id,
        header.index,
        header.count,
        h,
        w,
        header.analog_symbols.to_bytes(3, "big"),
        header.scale,
        *streams[0],
        *streams[1],
        parameters=header.parameters.ljust(MAX_PARAMETER_BYTES, b"\0"),
    )
    body = _LAYOUT.pack(*fields)
    return body + crc16(body).to_bytes(2, "big")


def unpack(data: bytes) -> Header | None:
    """36 received bytes → Header, or None when the CRC fails or a field is impossible. Never raises on any
    bytes.
    """
    if len(data) != HEADER_BYTES or crc16(data[:-2]) != _integer(data[-2:]):
        return None
    fields = _Fields._make(_LAYOUT.unpack(data[:-2]))
    try:
        header = fields.header
    except HscError:
        return None
    return header if fields.version_and_channels >> 4 == VERSION and _possible(header) else None


def _sendable(shape: tuple[int, int, int]) -> bool:
    h, w, c = shape
    return 1 <= h <= MAX_SIDE and 1 <= w <= MAX_SIDE and c in (1, 3)


def _possible(header: Header) -> bool:
    return (
        header.index < header.count
        and _sendable(header.shape)
        and header.message_symbols <= MAX_MESSAGE_SYMBOLS
        and header.payload_symbols <= MAX_PACKET_SYMBOLS
    )


def encode_header(header: Header) -> np.ndarray:
    """Header → 624 BPSK symbols, complex64: 802.11ad LDPC 1/2 shortened to 288 information bits."""
    bits = np.unpackbits(np.frombuffer(pack(header), np.uint8))
    return qam.modulate(ldpc.shortened("1/2", 8 * HEADER_BYTES).encode(bits[None])[0], 1)


def decode_header(llr: np.ndarray) -> Header | None:
    """624 LLRs → Header, or None when it did not survive."""
    return decode_headers(np.asarray(llr)[None])[0]


def decode_headers(llr: np.ndarray) -> list[Header | None]:
    """LLRs (B, 624) → B headers, None for each that did not survive."""
    bits, _ = ldpc.shortened("1/2", 8 * HEADER_BYTES).decode(llr)
    return [unpack(row.tobytes()) for row in np.packbits(bits, axis=1)]
