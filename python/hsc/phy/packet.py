"""Packet header, splitting a message over numbered packets, and putting it together again from those that
arrived.

Every packet repeats the whole layout of its message, so that a receiver may start with any packet and knows
what it lacks. The format is written down in docs/packet-format.md.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from dataclasses import dataclass, field, replace

import numpy as np

from ..errors import HscError
from ..message import MAX_DIGITAL_STREAMS, MAX_PARAMETER_BYTES
from . import digital, interleaver, ldpc, mcs, qam
from .crc import crc16

VERSION = 1
HEADER_BYTES = 36
HEADER_SYMBOLS = 624
MAX_PACKET_SYMBOLS = 1 << 17
MAX_MESSAGE_SYMBOLS = 1 << 24
MAX_SIDE = 1 << 14
DEFAULT_PACKET_SYMBOLS = 4096

# version and channels, codec, message id, index, count, height, width, analog symbols, scale, 2 x (MCS,
# bytes), parameters, reserved
_LAYOUT = struct.Struct(">BBHHHHH3sHB3sB3s8sx")
_NO_MCS = 0xFF
_REMEMBERED = 16  # messages that left


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
        """Symbols of each stream (analog first) that packet `index` carries. Digital slices end between LDPC
        blocks.
        """
        i = self.index if index is None else index
        parts = [slice(self.analog_symbols * i // self.count, self.analog_symbols * (i + 1) // self.count)]
        for name, n_bytes in self.digital:
            blocks, size = digital.block_count(n_bytes, name), digital.symbols_per_block(name)
            parts.append(slice(blocks * i // self.count * size, blocks * (i + 1) // self.count * size))
        return parts

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


def pack(header: Header) -> bytes:
    """Header -> 36 bytes, the last two a CRC-16 over the rest. Raises HscError when a field does not fit the
    format.
    """
    h, w, c = header.shape
    if not (1 <= h <= MAX_SIDE and 1 <= w <= MAX_SIDE and c in (1, 3)):
        raise HscError(
            f"image of {h} x {w} x {c} cannot be sent: sides must be 1 to {MAX_SIDE} pixels, 1 or 3 channels"
        )
    if len(header.digital) > MAX_DIGITAL_STREAMS or len(header.parameters) > MAX_PARAMETER_BYTES:
        raise HscError("a message holds at most 2 digital streams and 8 bytes of parameters")
    if header.message_symbols > MAX_MESSAGE_SYMBOLS or header.count > 0xFFFF:
        raise HscError(
            f"message of {header.message_symbols} symbols is too long: lower the CBR or the rank, or send a smaller image"
        )
    streams = [(mcs.TABLE[name].index, n.to_bytes(3, "big")) for name, n in header.digital]
    streams += [(_NO_MCS, bytes(3))] * (MAX_DIGITAL_STREAMS - len(streams))
    count = header.analog_symbols.to_bytes(3, "big")
    identity = (VERSION << 4 | c, header.codec, header.message_id, header.index, header.count, h, w)
    body = _LAYOUT.pack(
        *identity,
        count,
        header.scale,
        *streams[0],
        *streams[1],
        header.parameters.ljust(MAX_PARAMETER_BYTES, b"\0"),
    )
    return body + crc16(body).to_bytes(2, "big")


def unpack(data: bytes) -> Header | None:
    """36 received bytes -> Header, or None when the CRC fails or a field is impossible. Never raises on any
    bytes.
    """
    if len(data) != HEADER_BYTES or crc16(data[:-2]) != int.from_bytes(data[-2:], "big"):
        return None
    first, codec, message_id, index, count, h, w, n_analog, scale, m0, n0, m1, n1, parameters = (
        _LAYOUT.unpack(data[:-2])
    )
    streams = [(m, int.from_bytes(n, "big")) for m, n in ((m0, n0), (m1, n1)) if m != _NO_MCS]
    try:
        header = Header(
            codec=codec, message_id=message_id, index=index, count=count, shape=(h, w, first & 0xF),
            analog_symbols=int.from_bytes(n_analog, "big"), scale=scale,
            digital=tuple((mcs.by_index(m).name, n) for m, n in streams), parameters=parameters,
        )  # fmt: skip
    except HscError:
        return None
    return header if first >> 4 == VERSION and _possible(header) else None


def _possible(header: Header) -> bool:
    h, w, c = header.shape
    return (
        header.index < header.count
        and 1 <= h <= MAX_SIDE
        and 1 <= w <= MAX_SIDE
        and c in (1, 3)
        and header.message_symbols <= MAX_MESSAGE_SYMBOLS
        and header.payload_symbols <= MAX_PACKET_SYMBOLS
    )


def encode_header(header: Header) -> np.ndarray:
    """Header -> 624 BPSK symbols, complex64: 802.11ad LDPC 1/2 shortened to 288 information bits."""
    bits = np.unpackbits(np.frombuffer(pack(header), np.uint8))
    return qam.modulate(ldpc.shortened("1/2", 8 * HEADER_BYTES).encode(bits[None])[0], 1)


def decode_header(llr: np.ndarray) -> Header | None:
    """624 LLRs -> Header, or None when it did not survive."""
    return decode_headers(np.asarray(llr)[None])[0]


def decode_headers(llr: np.ndarray) -> list[Header | None]:
    """LLRs (B, 624) -> B headers, None for each that did not survive."""
    bits, _ = ldpc.shortened("1/2", 8 * HEADER_BYTES).decode(llr)
    return [unpack(row.tobytes()) for row in np.packbits(bits, axis=1)]


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
    """Modulated streams -> `Modulated`. Each digital stream is (symbols, MCS name, bytes). Raises HscError as
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
    """Message -> packets. Analog symbols are interleaved over all packets, so that a lost packet is a
    sprinkling of erasures.
    """
    first, *rest = message.streams
    streams = [first[interleaver.permutation(len(first))], *rest]
    headers = [replace(message.header, index=i) for i in range(message.header.count)]
    return [
        Packet(
            h,
            np.concatenate([s[part] for s, part in zip(streams, h.slices(), strict=True)]).astype(
                np.complex64
            ),
        )
        for h in headers
    ]


@dataclass
class AssembledMessage:
    """The symbols of one message as far as they arrived.

    Attributes:
        header: the layout (index 0).
        streams: for each stream (analog first) complex64 symbols and float32 noise variance, inf where lost.
        packets: indices of the packets that arrived.
        snr_db: mean measured SNR of those packets [dB].
        sample_index: where the last of them began in the sample stream.
    """

    header: Header
    streams: tuple[tuple[np.ndarray, np.ndarray], ...]
    packets: tuple[int, ...]
    snr_db: float
    sample_index: int = 0

    @property
    def complete(self) -> bool:
        """True when every packet arrived."""
        return len(self.packets) == self.header.count


def join(packets: list[ReceivedPacket]) -> AssembledMessage:
    """Received packets of one message (at least one) -> its symbols in order, erasures where packets are
    missing.
    """
    header = packets[0].header.layout
    sizes = [header.analog_symbols, *(digital.symbol_count(n, name) for name, n in header.digital)]
    streams = [(np.zeros(n, np.complex64), np.full(n, np.inf, np.float32)) for n in sizes]
    for packet in packets:
        offset = 0
        for (symbols, variance), part in zip(streams, packet.header.slices(), strict=True):
            end = offset + part.stop - part.start
            symbols[part], variance[part] = packet.symbols[offset:end], packet.noise_variance[offset:end]
            offset = end
    order = interleaver.permutation(header.analog_symbols)
    spread = [np.empty_like(a) for a in streams[0]]
    for source, target in zip(streams[0], spread, strict=True):
        target[order] = source
    snr = 10 * np.log10(np.mean([10 ** (p.snr_db / 10) for p in packets]))
    return AssembledMessage(
        header,
        (tuple(spread), *streams[1:]),
        tuple(sorted(p.header.index for p in packets)),
        float(snr),
        max(p.sample_index for p in packets),
    )


_SAME_CONTENT = (
    0.2  # correlation of two receptions of one packet is 0.5 at 0 dB; of two different ones 1 / sqrt(symbols)
)


def _same_content(a: ReceivedPacket, b: ReceivedPacket) -> bool:
    """Whether two packets with equal headers hold the same symbols; what is noisy in either counts little."""
    with np.errstate(over="ignore", invalid="ignore"):
        weight = 1 / (1.0 + a.noise_variance) / (1.0 + b.noise_variance)
        power = np.vdot(weight, np.abs(a.symbols) ** 2) * np.vdot(weight, np.abs(b.symbols) ** 2)
        return bool(
            power == 0 or abs(np.vdot(a.symbols, weight * b.symbols)) > _SAME_CONTENT * np.sqrt(power)
        )


@dataclass
class MessageAssembler:
    """Collects packets of several messages, in any order, and gives each message back once: whole, or as far
    as it came.

    A message leaves whole as soon as its last packet is in; else when `max_open` newer messages have begun,
    when `expire` finds it older than `hold` samples, or on `flush`. Memory is bounded by `max_open` messages
    of MAX_MESSAGE_SYMBOLS symbols; late packets of a message that already left are counted in `late`.

    A transmitter that was restarted may use a message id again, even with the same layout. Its packets are
    told from those of the former message by `memory` samples that lie between them, or by a packet that came
    before and now holds something else.
    """

    max_open: int = 4
    memory: int = 1 << 22
    late: int = 0
    duplicates: int = 0
    _open: OrderedDict[Header, dict[int, ReceivedPacket]] = field(default_factory=OrderedDict)
    _left: OrderedDict[Header, int] = field(default_factory=OrderedDict)

    def push(self, packet: ReceivedPacket) -> list[AssembledMessage]:
        """Take one packet; returns the messages that leave because of it."""
        key, index = packet.header.layout, packet.header.index
        if key in self._left:
            if abs(packet.sample_index - self._left[key]) <= self.memory:
                self.late += 1
                return []
            del self._left[key]
        leaving = []
        if index in self._open.get(key, {}) and not _same_content(self._open[key][index], packet):
            leaving.append(self._begin_again(key))
        parts = self._open.setdefault(key, {})
        self.duplicates += index in parts
        parts.setdefault(index, packet)
        if len(parts) == key.count:
            leaving.append(self._leave(key))
        elif len(self._open) > self.max_open:
            leaving.append(self._leave(next(iter(self._open))))
        return leaving

    def parts(self, header: Header) -> list[ReceivedPacket]:
        """Packets of a message that is still open, as far as they came; empty when it is not."""
        return list(self._open.get(header.layout, {}).values())

    def expire(self, sample_index: int, hold: int) -> list[AssembledMessage]:
        """Messages whose newest packet began more than `hold` samples before `sample_index`."""
        last = {key: max(p.sample_index for p in parts.values()) for key, parts in self._open.items()}
        return [self._leave(key) for key, index in last.items() if index + hold < sample_index]

    def begin_run(self) -> None:
        """The sample clock begins again at 0: messages that left may come again, those still open wait for
        the rest from now on.
        """
        self._left.clear()
        for parts in self._open.values():
            parts.update({index: replace(packet, sample_index=0) for index, packet in parts.items()})

    def flush(self) -> list[AssembledMessage]:
        """All messages still open."""
        return [self._leave(key) for key in list(self._open)]

    def _leave(self, key: Header) -> AssembledMessage:
        message = join(list(self._open.pop(key).values()))
        self._left[key] = message.sample_index
        if len(self._left) > _REMEMBERED:
            self._left.popitem(last=False)
        return message

    def _begin_again(self, key: Header) -> AssembledMessage:
        """What came before a message of the same layout began anew: packets come in order, so that is where
        the index last fell.
        """
        parts = list(self._open.pop(key).values())
        falls = [i for i in range(1, len(parts)) if parts[i].header.index < parts[i - 1].header.index]
        cut = falls[-1] if falls else len(parts)
        if parts[cut:]:
            self._open[key] = {p.header.index: p for p in parts[cut:]}
        return join(parts[:cut])
