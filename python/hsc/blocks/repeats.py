"""Packets sent again: Packet Repeater at the transmitter, Repeat Requester at the receiver."""

from __future__ import annotations

import threading

from ..errors import HscError
from ..phy.repeats import MissingPackets, RepeatBuffer
from . import pdu
from .base import MessageBlock


class packet_repeater(MessageBlock):
    """Passes packets on, keeps those of the last few messages, and sends again what a receiver lacks.

    Message ports: in `packets` (`Packet`), `naks` (optional, `Nak`); out `packets`.

    Args:
        messages: how many messages are kept.
        repeats: how often a packet is sent again at most.
        linger: how long the end waits for requests after the last packet [s].
    """

    def __init__(self, messages: int = 8, repeats: int = 2, linger: float = 0.0) -> None:
        super().__init__("Packet Repeater")
        inputs = {
            "packets": {pdu.Packet: self._packet, pdu.End: self._last},
            "naks": {pdu.Nak: self._nak, pdu.Failed: self.ignore},
        }
        self.open_ports(inputs, ("packets",), ends=("packets",), queue=None)
        self._messages, self._repeats = messages, repeats
        self._linger, self._stop = linger, threading.Event()
        self._begin()

    def _begin(self) -> None:
        self._buffer = RepeatBuffer(self._messages, repeats=self._repeats)

    def start(self) -> bool:
        self._stop = threading.Event()  # a thread of the former run keeps its own
        self._begin()
        return super().start()

    def stop(self) -> bool:
        self._stop.set()
        return super().stop()

    def _packet(self, packet: pdu.Packet) -> None:
        self._buffer.add(packet.packet)
        self.publish("packets", packet)

    def _nak(self, nak: pdu.Nak) -> None:
        again = self._buffer.repeat(nak.record)
        self.counters["repeated"] += len(again)
        for packet in again:
            self.publish("packets", pdu.Packet(packet.header, packet.symbols, again=1))

    def _last(self, _: pdu.End) -> None:
        ending = threading.Thread(
            target=self._end_later, args=(self._stop,), name="packet_repeater", daemon=True
        )
        ending.start()

    def _end_later(self, asked: threading.Event) -> None:
        if not asked.wait(self._linger):
            self._end("packets")


class repeat_requester(MessageBlock):
    """Asks the transmitter for packets with digital symbols that did not come.

    Message ports: in `packets` (`ReceivedPacket` and `Tick`, from the OFDM Receiver); out `naks` (`Nak`).

    Args:
        wait: a message is asked for when none of its packets came for so long [samples]; more than the way
            there and back takes.
        rounds: requests a message. The Message Decoder's `hold` must be longer than `wait` and the way there
            and back.
    """

    def __init__(self, wait: int = 100_000, rounds: int = 2) -> None:
        super().__init__("Repeat Requester")
        handlers = {pdu.ReceivedPacket: self._packet, pdu.Tick: self._tick}
        self.open_ports({"packets": handlers}, ("naks",), queue=1024)
        if wait <= 0 or rounds < 0:
            raise HscError(
                f"repeat requests after {wait} samples, {rounds} times: "
                "give a wait above 0 and no negative number of rounds"
            )
        self._wait, self._rounds = wait, rounds
        self._begin()

    def _begin(self) -> None:
        self._missing = MissingPackets(self._wait, self._rounds)

    def start(self) -> bool:
        self._begin()
        return super().start()

    def _packet(self, received: pdu.ReceivedPacket) -> None:
        self._missing.packet(received.header, received.sample_index)

    def _tick(self, tick: pdu.Tick) -> None:
        if tick.sample_index == 0:  # the sample clock begins again
            self._begin()
        for nak in self._missing.due(tick.sample_index):
            self.counters["requests"] += 1
            self.publish("naks", pdu.Nak.of(nak))
