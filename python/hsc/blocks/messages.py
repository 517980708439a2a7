"""Messages and packets: Message Mux and Demux for separate streams, Message Encoder and Decoder for a whole codec."""

from __future__ import annotations

import math
import time
from abc import abstractmethod
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pmt

from .. import modem
from ..codecs import registry
from ..errors import HscError
from ..message import Link, ReceivedMessage
from ..phy import mcs, packet
from . import pdu
from .base import Handler, Joiner, MessageBlock, limit_torch_threads

DEFAULT_HOLD = 500_000
LOWEST_SNR_DB, HIGHEST_SNR_DB = -30.0, 60.0  # what comes back is not believed beyond
_SNR = pmt.intern("snr")
_INPUTS = {"both": ("analog", "digital"), "analog": ("analog",), "digital": ("digital",)}


class message_mux(MessageBlock):
    """Joins the modulated streams of each message and cuts them into packets.

    Message ports: in `analog` and `digital` (`Symbols`); out `packets` (`Packet`).

    Args:
        inputs: which ports are connected: "both", "analog" or "digital". A message waits for its part on each of them.
        packet_symbols: largest number of payload symbols in a packet.

    Raises:
        HscError: unknown `inputs`.
    """

    def __init__(self, inputs: str = "both", packet_symbols: int = packet.DEFAULT_PACKET_SYMBOLS) -> None:
        super().__init__("Message Mux")
        if inputs not in _INPUTS:
            raise HscError(f"Message Mux inputs '{inputs}': choose one of {', '.join(_INPUTS)}")
        handlers = {"analog": {pdu.Symbols: self._put}, "digital": {pdu.Symbols: self._put}}
        self.open_ports(handlers, ("packets",), ends=_INPUTS[inputs])
        self._analog, self._digital = "analog" in _INPUTS[inputs], "digital" in _INPUTS[inputs]
        self._packet_symbols = packet_symbols
        self._joiner = Joiner()

    def _put(self, part: pdu.Symbols) -> None:
        parts = self._joiner.put(part.message_id, part.stream, part)
        if self._whole(parts) and self._joiner.take(part.message_id):
            self._send(parts)
        for message_id, _ in self._joiner.overflow():
            self.fail(message_id, f"message {message_id}: a stream never came, check what is connected to the Message Mux")

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
        modulated = packet.assemble(
            registry.number(first.codec), first.message_id, first.shape, parameters,
            parts[0].symbols if 0 in parts else none, parts[0].scale if 0 in parts else 0,
            [(p.symbols, p.mcs, p.n_bytes) for p in streams], self._packet_symbols,
        )  # fmt: skip
        for p in packet.split(modulated):
            self.publish("packets", pdu.Packet(p.header, p.symbols))

    def on_failed(self, failed: pdu.Failed) -> None:
        if self._joiner.take(failed.message_id):
            super().on_failed(failed)

    def on_end(self) -> None:
        for message_id, _ in self._joiner.flush():
            self.fail(message_id, f"message {message_id}: a stream never came before the end")


class _PacketCollector(MessageBlock):
    """Base of the blocks that put messages together again from packets and ticks on port `packets`."""

    def __init__(self, name: str, outputs: tuple[str, ...], hold: int) -> None:
        super().__init__(name)
        handlers = {pdu.ReceivedPacket: self._collect, pdu.Tick: self._expire}
        self.open_ports({"packets": handlers}, outputs, queue=1024)
        self.message_port_register_out(_SNR)  # not among `outputs`: what comes back to the transmitter ends nothing there
        self.hold = hold
        self._assembler = packet.MessageAssembler()

    @abstractmethod
    def on_message(self, message: packet.AssembledMessage) -> None:
        """Take a message, whole or as far as it came."""

    def on_end(self) -> None:
        self._serve(self._assembler.flush())

    def _collect(self, received: pdu.ReceivedPacket) -> None:
        self._serve(self._assembler.push(received.packet))
        self.counters["late"], self.counters["duplicates"] = self._assembler.late, self._assembler.duplicates

    def _expire(self, tick: pdu.Tick) -> None:
        self._serve(self._assembler.expire(tick.sample_index, self.hold))

    def _serve(self, messages: list[packet.AssembledMessage]) -> None:
        for message in messages:
            self.counters["complete" if message.complete else "partial"] += 1
            if math.isfinite(message.snr_db):
                self.publish("snr", pdu.Snr(message.header.message_id, message.snr_db))
            with self.contain(message.header.message_id):
                self.on_message(message)


class message_demux(_PacketCollector):
    """Puts the streams of each message together again; what did not arrive is marked.

    Message ports: in `packets` (`ReceivedPacket` and `Tick`); out `analog` and `digital` (`ReceivedSymbols`), and `snr` (`Snr`), for the
    transmitter. A message leaves when its last packet is in, or when the sample clock says that none of its packets came for `hold`
    samples.

    Args:
        hold: patience with a message of which packets are missing [samples].
    """

    def __init__(self, hold: int = DEFAULT_HOLD) -> None:
        super().__init__("Message Demux", ("analog", "digital"), hold)

    def on_message(self, message: packet.AssembledMessage) -> None:
        link = {"snr_db": message.snr_db, "packets_received": len(message.packets)}
        nothing = np.zeros(0, np.complex64), np.zeros(0, np.float32)
        analog, *digital = message.streams
        self.publish("analog", pdu.ReceivedSymbols(message.header, *analog, 0, **link))
        for number, stream in enumerate(digital or [nothing], 1):
            self.publish("digital", pdu.ReceivedSymbols(message.header, *stream, number, **link))


class LinkBlock(MessageBlock):
    """Base of the blocks that make something for a link: they are told of it, and learn from `snr` what the receiver measured.

    Args:
        name: of the block.
        inputs, outputs: ports as of `open_ports`; `snr` (optional, `Snr`) comes in addition.
        link: what is known of the link at first.
    """

    def __init__(self, name: str, inputs: dict[str, dict[type[pdu.Pdu], Handler]], outputs: tuple[str, ...], link: Link) -> None:
        super().__init__(name)
        snr = {pdu.Snr: self._measured, pdu.Failed: self.ignore}
        self.open_ports({**inputs, "snr": snr}, outputs, ends=tuple(inputs))
        if link.mcs is not None:
            mcs.by_name(link.mcs)
        self._link = link

    def set_snr_db(self, snr_db: float | None) -> None:
        """Es/N0 that may be counted on [dB], from the next image on."""
        self._link = replace(self._link, snr_db=snr_db)

    def set_cbr(self, cbr: float | None) -> None:
        """Budget of channel uses, from the next image on."""
        self._link = replace(self._link, cbr=cbr)

    def set_mcs(self, mcs_name: str) -> None:
        """MCS from the next image on; empty leaves it to the codec. Raises HscError for an unknown one."""
        self._link = replace(self._link, mcs=mcs.by_name(mcs_name).name if mcs_name else None)

    def _measured(self, snr: pdu.Snr) -> None:
        self.set_snr_db(min(max(snr.snr_db, LOWEST_SNR_DB), HIGHEST_SNR_DB))


class message_encoder(LinkBlock):
    """Images to packets through a whole codec.

    Message ports: in `images` (`Image`) and `snr` (optional, `Snr`: what the receiver measured is what the next image is made for); out
    `packets` (`Packet`).

    Args:
        codec: name in the registry of codecs.
        options: fields of the codec's options.
        snr_db: Es/N0 that the codec may count on [dB]; None when unknown.
        cbr: budget of payload channel uses / (C·H·W); None for none.
        mcs_name: MCS of the digital streams; empty leaves it to the codec.
        packet_symbols: largest number of payload symbols in a packet.

    Raises:
        HscError: unknown codec, option or MCS.
    """

    def __init__(
        self,
        codec: str = "hsc",
        options: dict[str, object] | None = None,
        snr_db: float | None = None,
        cbr: float | None = None,
        mcs_name: str = "",
        packet_symbols: int = packet.DEFAULT_PACKET_SYMBOLS,
    ) -> None:
        super().__init__("Message Encoder", {"images": {pdu.Image: self._encode}}, ("packets",), Link(snr_db, cbr, mcs_name or None))
        self._name, self._packet_symbols = codec, packet_symbols
        limit_torch_threads()
        self.set_options(options or {})

    def set_options(self, options: dict[str, object]) -> None:
        """Options of the codec from the next image on. Raises HscError for an unknown one."""
        self._codec = registry.create(self._name, **options)

    def _encode(self, image: pdu.Image) -> None:
        start = time.perf_counter()
        message = self._codec.encode(image.pixels, self._link)
        seconds = time.perf_counter() - start
        packets = packet.split(modem.modulate(message, image.message_id, self._packet_symbols))
        for p in packets:
            self.publish("packets", pdu.Packet(p.header, p.symbols, seconds if p.header.index == 0 else None))


class message_decoder(_PacketCollector):
    """Packets to images through the codec that each message names.

    Message ports: in `packets` (`ReceivedPacket` and `Tick`); out `images`, `analog_only`, the image as it would be had no
    digital stream arrived (made only when somebody listens), and `snr` (`Snr`), for the transmitter.

    Args:
        options: codec name -> options of its receiver.
        hold: patience with a message of which packets are missing [samples].
    """

    def __init__(self, options: dict[str, dict[str, object]] | None = None, hold: int = DEFAULT_HOLD) -> None:
        super().__init__("Message Decoder", ("images", "analog_only"), hold)
        self._options, self._codecs = options or {}, {}
        limit_torch_threads()

    def codec(self, name: str) -> registry.Codec:
        """The codec of that name, made when it is first needed."""
        if name not in self._codecs:
            self._codecs[name] = registry.create(name, **self._options.get(name, {}))
        return self._codecs[name]

    def on_message(self, message: packet.AssembledMessage) -> None:
        received = modem.demodulate(message)
        codec = self.codec(received.codec)
        self.publish("images", _decode(codec, received, message))
        for notice in getattr(codec, "notices", ()):  # the image is there, but not all of it
            self.fail(None, f"message {message.header.message_id}: {notice}")
        if received.digital and self.connected("analog_only"):
            with suppress(HscError):  # nothing usable in the analog stream: no such image
                self.publish("analog_only", _decode(codec, received.without_digital(), message))


def _decode(codec: registry.Codec, received: ReceivedMessage, message: packet.AssembledMessage) -> pdu.Image:
    start = time.perf_counter()
    image = codec.decode(received)
    seconds = time.perf_counter() - start
    link = {"snr_db": message.snr_db, "packets": message.header.count, "packets_received": len(message.packets)}
    return pdu.Image(message.header.message_id, image.shape, image.ravel(), seconds=seconds, **link)
