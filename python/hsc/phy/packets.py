"""Packets: a message's symbols as slices, each with a header, so that any of them may be lost."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..errors import HscError
from ..message import MAX_PARAMETER_BYTES
from . import interleaver
from .header import MAX_PACKET_SYMBOLS, Header, pack

# Payload symbols of a packet unless something else is asked for.
DEFAULT_PACKET_SYMBOLS = 4096


@dataclass(frozen=True)
class Packet:
    """Header and its slice of the message's symbols, complex64 (header.payload_symbols,), analog before
    digital.
    """

    header: Header
    symbols: np.ndarray


@dataclass(frozen=True)
class ReceivedPacket:
    """A packet after equalisation.

    Attributes:
        header: as decoded, CRC verified.
        symbols: complex64 (payload_symbols,), zero-forced.
        noise_variance: float32 (payload_symbols,), complex noise variance left on each symbol.
        snr_db: measured mean Es/N0 over the carriers [dB].
        cfo: measured carrier frequency offset [subcarriers].
        sfo_ppm: measured sample-clock offset [parts per million].
        sample_index: position of the burst's first sample in the stream.
        numerology: name of the preset that the burst has, empty for symbols that came without OFDM.
    """

    header: Header
    symbols: np.ndarray
    noise_variance: np.ndarray
    snr_db: float = 0.0
    cfo: float = 0.0
    sfo_ppm: float = 0.0
    sample_index: int = 0
    numerology: str = ""


@dataclass(frozen=True)
class Modulated:
    """A whole message as symbols: the layout header and one complex64 array for each stream, analog first
    (maybe empty).
    """

    header: Header
    streams: tuple[np.ndarray, ...]


def assemble(
    codec: int,
    message_id: int,
    shape: tuple[int, int, int],
    parameters: bytes,
    analog_symbols: np.ndarray,
    scale: int,
    digital_streams: list[tuple[np.ndarray, str, int]],
    packet_symbols: int = DEFAULT_PACKET_SYMBOLS,
) -> Modulated:
    """Modulated streams → `Modulated`. Each digital stream is (symbols, MCS name, bytes). Raises HscError as
    `pack` does.
    """
    if not 1 <= packet_symbols <= MAX_PACKET_SYMBOLS // 2:
        raise HscError(f"{packet_symbols} symbols in a packet: choose 1 to {MAX_PACKET_SYMBOLS // 2}")
    total = len(analog_symbols) + sum(len(s) for s, _, _ in digital_streams)
    header = Header(
        codec=codec,
        message_id=message_id & 0xFFFF,
        index=0,
        count=max(1, -(-total // packet_symbols)),
        shape=shape,
        analog_symbols=len(analog_symbols),
        scale=scale,
        digital=tuple((name, n) for _, name, n in digital_streams),
        parameters=parameters.ljust(MAX_PARAMETER_BYTES, b"\0"),
    )
    pack(header)  # refuses here, at the transmitter, what no header can carry
    return Modulated(header, (analog_symbols, *(s for s, _, _ in digital_streams)))


def split(message: Modulated) -> list[Packet]:
    """Message → packets. Analog symbols are interleaved over all packets, so that a lost packet is a
    sprinkling of erasures.
    """
    first, *rest = message.streams
    streams = [first[interleaver.permutation(len(first))], *rest]
    headers = [replace(message.header, index=i) for i in range(message.header.count)]
    parts = ([s[part] for s, part in zip(streams, h.slices(), strict=True)] for h in headers)
    symbols = (np.concatenate(part).astype(np.complex64) for part in parts)
    return [Packet(h, each) for h, each in zip(headers, symbols, strict=True)]
