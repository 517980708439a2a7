"""Packets sent again: what a transmitter keeps for it, and what a receiver asks for."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np

from .departed import Departed
from .header import Header
from .packets import Packet
from .reports import Nak

# Messages that a receiver asks packets for at a time; the oldest is given up.
_OPEN_MESSAGES = 4


@dataclass
class RepeatBuffer:
    """Packets that a transmitter may have to send again: those of the last few messages.

    Attributes:
        messages: how many messages are kept.
        symbols: how many payload symbols in all; the oldest messages leave first.
        repeats: how often a packet is sent again at most.
    """

    messages: int = 8
    symbols: int = 1 << 22
    repeats: int = 2
    _kept: OrderedDict[Header, dict[int, Packet]] = field(default_factory=OrderedDict)
    _sent: dict[Header, dict[int, int]] = field(default_factory=dict)
    _size: int = 0

    def add(self, packet: Packet) -> None:
        """Keep a packet that is being sent."""
        key, index = packet.header.layout, packet.header.index
        if index == 0 and key in self._kept:
            self._drop(key)  # a message of the same layout begins anew
        parts = self._kept.setdefault(key, {})
        if index not in parts:
            parts[index] = packet
            self._size += packet.symbols.size
        while self._kept and (len(self._kept) > self.messages or self._size > self.symbols):
            self._drop(next(iter(self._kept)))

    def repeat(self, nak: Nak) -> list[Packet]:
        """What is to be sent again: packets that are still kept and have not been repeated too often."""
        parts, sent = self._kept.get(nak.layout, {}), self._sent.setdefault(nak.layout, {})
        again = [parts[i] for i in nak.indices if i in parts and sent.get(i, 0) < self.repeats]
        for packet in again:
            sent[packet.header.index] = sent.get(packet.header.index, 0) + 1
        if not sent:
            del self._sent[nak.layout]
        return again

    def _drop(self, key: Header) -> None:
        self._size -= sum(packet.symbols.size for packet in self._kept.pop(key).values())
        self._sent.pop(key, None)


@dataclass
class _Heard:
    newest: int
    indices: set[int] = field(default_factory=set)
    asked: int = 0


@dataclass
class MissingPackets:
    """Which packets of open messages to ask for, and when: at a receiver.

    A message is asked for when none of its packets came for `wait` samples, and again after each further
    `wait` samples, `rounds` times.

    Attributes:
        wait: [samples]; `rounds` + 1 times as long must be less than the receiver's patience.
        rounds: requests a message.
    """

    wait: int
    rounds: int = 2
    _open: OrderedDict[Header, _Heard] = field(default_factory=OrderedDict)
    _left: Departed = field(default_factory=Departed)

    def packet(self, header: Header, sample_index: int) -> None:
        """A packet came."""
        key = header.layout
        if self._left.holds(key, sample_index):
            return
        heard = self._open.setdefault(key, _Heard(sample_index))
        heard.indices.add(header.index)
        heard.newest = max(heard.newest, sample_index)
        if len(heard.indices) == key.count:
            self.close(key)
        while len(self._open) > _OPEN_MESSAGES:
            self._open.popitem(last=False)

    def close(self, layout: Header) -> None:
        """The message has left: nothing more is asked for."""
        heard = self._open.pop(layout, None)
        if heard is not None:
            self._left.add(layout, heard.newest)

    def due(self, sample_index: int) -> list[Nak]:
        """Requests to be sent now. Only packets with digital symbols are asked for: analog ones are a
        sprinkling of erasures.
        """
        wanted = []
        for layout, heard in self._open.items():
            if heard.asked >= self.rounds or sample_index - heard.newest < self.wait:
                continue
            indices = tuple(i for i in np.flatnonzero(layout.with_digital).tolist() if i not in heard.indices)
            heard.asked += 1
            heard.newest = sample_index
            if indices:
                wanted.append(Nak(layout, indices))
        return wanted
