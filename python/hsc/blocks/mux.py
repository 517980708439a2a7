"""Message Mux: the modulated streams of each message to packets."""

from __future__ import annotations

import numpy as np

from ..codecs import registry
from ..errors import HscError
from ..phy.packets import DEFAULT_PACKET_SYMBOLS, assemble, split
from . import pdu
from .base import Joiner, MessageBlock

_INPUTS = {"both": ("analog", "digital"), "analog": ("analog",), "digital": ("digital",)}


class message_mux(MessageBlock):
    """Joins the modulated streams of each message and cuts them into packets.

    Message ports: in `analog` and `digital` (`Symbols`); out `packets` (`Packet`).

    Args:
        inputs: which ports are connected: "both", "analog" or "digital". A message waits for its part on each
            of them.
        packet_symbols: largest number of payload symbols in a packet.

    Raises:
        HscError: unknown `inputs`.
    """

    def __init__(self, inputs: str = "both", packet_symbols: int = DEFAULT_PACKET_SYMBOLS) -> None:
        super().__init__("Message Mux")
        if inputs not in _INPUTS:
            raise HscError(f"Message Mux inputs '{inputs}': choose one of {', '.join(_INPUTS)}")
        handlers = {"analog": {pdu.Symbols: self._put}, "digital": {pdu.Symbols: self._put}}
        self.open_ports(handlers, ("packets",), ends=_INPUTS[inputs])
        self._analog, self._digital = "analog" in _INPUTS[inputs], "digital" in _INPUTS[inputs]
        self._packet_symbols = packet_symbols
        self._joiner = Joiner()

    def start(self) -> bool:
        self._joiner.forget()
        return super().start()

    def _put(self, part: pdu.Symbols) -> None:
        parts = self._joiner.put(part.message_id, part.stream, part)
        self.counters["late"] = self._joiner.late
        if self._whole(parts) and self._joiner.take(part.message_id):
            self._send(parts)
        for message_id, _ in self._joiner.overflow():
            reason = "a stream never came, check what is connected to the Message Mux"
            self.fail(message_id, f"message {message_id}: {reason}")

    def _whole(self, parts: dict[int, pdu.Symbols]) -> bool:
        digital = next((p for stream, p in parts.items() if stream), None)
        complete = digital is not None and all(i + 1 in parts for i in range(digital.streams))
        return bool(parts) and (0 in parts or not self._analog) and (complete or not self._digital)

    def _send(self, parts: dict[int, pdu.Symbols]) -> None:
        streams = [p for i, p in sorted(parts.items()) if i and p.streams]
        first = parts[min(parts)]
        none = np.zeros(0, np.complex64)
        # The codec's parameters may come with any part: the digital one is made last and knows the most.
        parameters = next((p.parameters for _, p in sorted(parts.items(), reverse=True) if p.parameters), b"")
        modulated = assemble(
            registry.number(first.codec), first.message_id, first.shape, parameters,
            parts[0].symbols if 0 in parts else none, parts[0].scale if 0 in parts else 0,
            [(p.symbols, p.mcs, p.n_bytes) for p in streams], self._packet_symbols,
        )  # fmt: skip
        for p in split(modulated):
            self.publish("packets", pdu.Packet(p.header, p.symbols))

    def on_failed(self, failed: pdu.Failed) -> None:
        if self._joiner.take(failed.message_id):
            super().on_failed(failed)

    def on_end(self) -> None:
        for message_id, _ in self._joiner.flush():
            self.fail(message_id, f"message {message_id}: a stream never came before the end")
