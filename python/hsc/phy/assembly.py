"""Messages put together again from the packets that arrived."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass, field, replace

import numpy as np

from . import digital, interleaver
from .departed import Departed
from .effective import effective_snr_db
from .header import Header
from .packets import ReceivedPacket

# Least correlation of two receptions of one packet. It is 0.5 at 0 dB; of two different packets it is
# 1 / sqrt(symbols).
_SAME_CONTENT = 0.2
# Largest SNR that counts in a mean, either way [dB]: more is not measured, and powers of ten stay finite.
_MOST_SNR_DB = 200.0


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

    @property
    def effective_snr_db(self) -> float:
        """The SNR that a code can count on [dB]; the mean one where no symbol came."""
        found = effective_snr_db(np.concatenate([variance for _, variance in self.streams]))
        return found if math.isfinite(found) else self.snr_db


def join(packets: list[ReceivedPacket]) -> AssembledMessage:
    """Received packets of one message (at least one) → its symbols in order, erasures where packets are
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
    snrs_db = np.clip([p.snr_db for p in packets], -_MOST_SNR_DB, _MOST_SNR_DB)
    snr = 10 * np.log10(np.mean(10 ** (snrs_db / 10)))
    return AssembledMessage(
        header,
        (tuple(spread), *streams[1:]),
        tuple(sorted(p.header.index for p in packets)),
        float(snr),
        max(p.sample_index for p in packets),
    )


@dataclass
class MessageAssembler:
    """Collects packets of several messages, in any order, and gives each message back once: whole, or as far
    as it came.

    A message leaves whole as soon as its last packet is in; else when `max_open` newer messages have begun,
    when `expire` finds it older than `hold` samples, or on `flush`. Memory is bounded by `max_open` messages
    of MAX_MESSAGE_SYMBOLS symbols; late packets of a message that already left are counted in `late`.

    A transmitter that was restarted may use a message id again, even with the same layout. Its packets are
    told from those of the former message by the samples that lie between them, or by a packet that came
    before and now holds something else.
    """

    max_open: int = 4
    late: int = 0
    duplicates: int = 0
    _open: OrderedDict[Header, dict[int, ReceivedPacket]] = field(default_factory=OrderedDict)
    _left: Departed = field(default_factory=Departed)

    def push(self, packet: ReceivedPacket) -> list[AssembledMessage]:
        """Take one packet; returns the messages that leave because of it."""
        key, index = packet.header.layout, packet.header.index
        if self._left.holds(key, packet.sample_index):
            self.late += 1
            return []
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
        self._left.add(key, message.sample_index)
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


def _same_content(a: ReceivedPacket, b: ReceivedPacket) -> bool:
    """Whether two packets with equal headers hold the same symbols; what is noisy in either counts little."""
    with np.errstate(over="ignore", invalid="ignore"):
        weight = 1 / (1.0 + a.noise_variance) / (1.0 + b.noise_variance)
        power = np.vdot(weight, np.abs(a.symbols) ** 2) * np.vdot(weight, np.abs(b.symbols) ** 2)
        return bool(
            power == 0 or abs(np.vdot(a.symbols, weight * b.symbols)) > _SAME_CONTENT * np.sqrt(power)
        )
