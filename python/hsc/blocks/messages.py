"""Messages and packets: Message Mux and Demux for separate streams, Message Encoder and Decoder for a whole codec."""

from __future__ import annotations

import math
import time
from abc import abstractmethod
from contextlib import suppress
from dataclasses import fields, is_dataclass, replace

import numpy as np
import pmt

from .. import modem
from ..codecs import registry
from ..errors import HscError
from ..message import Link, ReceivedMessage
from ..phy import digital, mcs, packet
from ..phy.adaptation import HIGHEST_SNR_DB, LOWEST_SNR_DB
from . import pdu
from .base import Handler, Joiner, MessageBlock, limit_torch_threads
from .progressive import ProgressiveDecoder

DEFAULT_HOLD = 500_000
MAX_PIXELS = packet.MAX_SIDE**2
_SNR, _PARTIAL, _PACKETS = pmt.intern("snr"), pmt.intern("partial"), pmt.intern("packets")
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

    def start(self) -> bool:
        self._joiner.forget()
        return super().start()

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

    def start(self) -> bool:
        self.begin_run()
        return super().start()

    def begin_run(self) -> None:
        """The sample clock begins again: at the block's start, and once more behind what waited since the former run."""
        self._assembler.begin_run()

    @abstractmethod
    def on_message(self, message: packet.AssembledMessage) -> None:
        """Take a message, whole or as far as it came."""

    def on_end(self) -> None:
        self._serve(self._assembler.flush())

    def set_hold(self, hold: int) -> None:
        """Patience with a message of which packets are missing [samples]."""
        self.hold = int(hold)

    def _collect(self, received: pdu.ReceivedPacket) -> None:
        self._serve(self._assembler.push(received.packet))
        self.counters["late"], self.counters["duplicates"] = self._assembler.late, self._assembler.duplicates

    def _expire(self, tick: pdu.Tick) -> None:
        if tick.sample_index == 0:
            self.begin_run()
        self._serve(self._assembler.expire(tick.sample_index, self.hold))

    def _serve(self, messages: list[packet.AssembledMessage]) -> None:
        for message in messages:
            self.counters["complete" if message.complete else "partial"] += 1
            with self.contain(message.header.message_id):
                self.on_message(message)

    def report(self, message: packet.AssembledMessage, lost_blocks: int | None = None) -> None:
        """Tell the transmitter what came. `lost_blocks` counts those of packets that never came too; None when nobody knows."""
        if not math.isfinite(message.snr_db):
            return
        header, blocks = message.header, None
        if lost_blocks is not None:
            sizes = [digital.symbols_per_block(name) for name, _ in header.digital]
            parts = (zip(header.slices(i)[1:], sizes, strict=True) for i in message.packets)
            blocks = sum((part.stop - part.start) // size for each in parts for part, size in each)
            lost_blocks -= sum(digital.block_count(n_bytes, name) for name, n_bytes in header.digital) - blocks
        self.publish("snr", pdu.Snr(header.message_id, message.snr_db, header.count, len(message.packets), blocks, lost_blocks))


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
        self.report(message)
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
        inputs, outputs: ports as of `open_ports`; `snr` (optional, `Snr`, or `LinkSetting` of a Link Adaptation) comes in addition.
        link: what is known of the link at first.
    """

    def __init__(self, name: str, inputs: dict[str, dict[type[pdu.Pdu], Handler]], outputs: tuple[str, ...], link: Link) -> None:
        super().__init__(name)
        snr = {pdu.Snr: self._measured, pdu.LinkSetting: self.on_setting, pdu.Failed: self.ignore}
        informed = {port: {kind: self._informed(handler) for kind, handler in handlers.items()} for port, handlers in inputs.items()}
        self.open_ports({**informed, "snr": snr}, outputs, ends=tuple(inputs))
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

    def on_setting(self, setting: pdu.LinkSetting) -> None:
        """What a Link Adaptation has chosen, from the next image on."""
        self._measured(setting)
        self._link = replace(self._link, mcs=setting.mcs, cbr=self._link.cbr if setting.cbr is None else setting.cbr)

    def _informed(self, handler: Handler) -> Handler:
        """First what waits on port `snr`: GNU Radio empties one port's queue before it looks at the next, and images may always wait."""

        def handle(message: pdu.Pdu) -> None:
            while self.nmsgs(_SNR):
                self._on_snr(self.delete_head_nowait(_SNR))
            handler(message)

        return handle

    def _measured(self, snr: pdu.Snr | pdu.LinkSetting) -> None:
        self.set_snr_db(min(max(snr.snr_db, LOWEST_SNR_DB), HIGHEST_SNR_DB))


class message_encoder(LinkBlock):
    """Images to packets through a whole codec.

    Message ports: in `images` (`Image`) and `snr` (optional, `Snr`: what the receiver measured is what the next image is made for, or
    `LinkSetting`: what a Link Adaptation made of it); out `packets` (`Packet`).

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
        self._options, self._adapted = dict(options), {}

    def on_setting(self, setting: pdu.LinkSetting) -> None:
        super().on_setting(setting)
        known = {f.name for f in fields(self._codec.options)} if is_dataclass(getattr(self._codec, "options", None)) else set()
        adapted = {name: value for name, value in _adapted_options(setting).items() if name in known and value is not None}
        if "rank" in adapted or "psnr_db" in adapted:  # at most one of three says how much CR is sent
            adapted = {**dict.fromkeys({"rank", "psnr_db", "cbr"} & known), **adapted}
        if adapted != self._adapted:
            self._codec, self._adapted = registry.create(self._name, **{**self._options, **adapted}), adapted

    def _encode(self, image: pdu.Image) -> None:
        start = time.perf_counter()
        message = self._codec.encode(image.pixels, self._link)
        seconds = time.perf_counter() - start
        notices = "; ".join(message.notices) or None
        if notices:
            self.logger.warn(f"message {image.message_id}: {notices}")
        told = {"seconds": seconds, "notices": notices}
        for p in packet.split(modem.modulate(message, image.message_id, self._packet_symbols)):
            self.publish("packets", pdu.Packet(p.header, p.symbols, **(told if p.header.index == 0 else {})))


class message_decoder(_PacketCollector):
    """Packets to images through the codec that each message names.

    Message ports: in `packets` (`ReceivedPacket` and `Tick`); out `images`, `analog_only`, the image as it would be had no
    digital stream arrived (made only when somebody listens), `partial`, images of messages that are still incomplete, and `snr` (`Snr`),
    for the transmitter. Partial images are made in a thread of their own and change nothing of the final one, which they never follow;
    the first one of a message shows the codec's base alone, as far as it came: the SR of HSC, the digital base of hybrids.

    Args:
        options: codec name -> options of its receiver.
        hold: patience with a message of which packets are missing [samples].
        partial: least distance of partial images on the sample clock [samples]; those that there is no time for are skipped. 0: none.
        max_pixels: packets of messages that claim a larger image are refused: what is kept and decoded has to fit into memory.
    """

    def __init__(
        self, options: dict[str, dict[str, object]] | None = None, hold: int = DEFAULT_HOLD, partial: int = 0, max_pixels: int = MAX_PIXELS
    ) -> None:
        super().__init__("Message Decoder", ("images", "analog_only"), hold)
        self.message_port_register_out(_PARTIAL)  # not among `outputs`: what fails or ends is told with the final images
        self._options, self._codecs, self._progressive_codecs = options or {}, {}, {}
        self._max_pixels = max_pixels
        self._partial, self._next_partial, self._newest = int(partial), -math.inf, None
        self._based: packet.Header | None = None  # layout of the message whose base has been shown
        self._progressive = ProgressiveDecoder(self._decode_partial, self._publish_partial, self._partial_failed)
        limit_torch_threads()

    def start(self) -> bool:
        if self._partial > 0:
            self._progressive.start()
        return super().start()

    def stop(self) -> bool:
        self._progressive.stop()
        return super().stop()

    def begin_run(self) -> None:
        super().begin_run()
        self._next_partial, self._newest, self._based = -math.inf, None, None

    def codec(self, name: str) -> registry.Codec:
        """The codec of that name, made when it is first needed."""
        return self._made(self._codecs, name)

    def on_message(self, message: packet.AssembledMessage) -> None:
        self._progressive.close(message.header)
        if self._based == message.header:  # a transmitter that was restarted may send one of this layout again
            self._based = None
        received = modem.demodulate(message)
        self.report(message, sum(len(stream.lost_blocks) for stream in received.digital))
        codec = self.codec(received.codec)
        self.publish("images", _decode(codec, received, message))
        for notice in getattr(codec, "notices", ()):  # the image is there, but not all of it
            self.fail(None, f"message {message.header.message_id}: {notice}")
        if received.digital and self.connected("analog_only"):
            with suppress(HscError):  # nothing usable in the analog stream: no such image
                self.publish("analog_only", _decode(codec, received.only("analog"), message))

    def _made(self, codecs: dict[str, registry.Codec], name: str) -> registry.Codec:
        if name not in codecs:
            codecs[name] = registry.create(name, **self._options.get(name, {}))
        return codecs[name]

    def _collect(self, received: pdu.ReceivedPacket) -> None:
        height, width, _ = received.header.shape
        if height * width > self._max_pixels:
            raise HscError(f"a packet of an image of {width} x {height} pixels: this receiver takes at most {self._max_pixels} pixels")
        super()._collect(received)
        self._newest = received
        self._offer()

    def _expire(self, tick: pdu.Tick) -> None:
        super()._expire(tick)
        self._offer()

    def _offer(self) -> None:
        newest = self._newest
        if self._partial <= 0 or newest is None or newest.sample_index < self._next_partial or self.nmsgs(_PACKETS):
            return  # with more packets at hand there is a better image to come
        self._newest = None
        parts = self._assembler.parts(newest.header)
        if parts and self._progressive.offer(parts):
            self._next_partial = newest.sample_index + self._partial

    # The next three run in the thread of the ProgressiveDecoder. It has codecs of its own: their `notices` belong to one decoding.

    def _decode_partial(self, packets: list[packet.ReceivedPacket]) -> pdu.Image:
        message = packet.join(packets)
        received = modem.demodulate(message)
        codec = self._made(self._progressive_codecs, received.codec)
        base = getattr(codec, "base", None)
        if base is not None and self._based != message.header:
            with suppress(HscError):  # nothing usable of it yet: what there is of everything is shown, and the base when it comes
                image = _decode(codec, received.only(base.kind), message)
                self._based = message.header
                return replace(image, part=base.name)
        return _decode(codec, received, message)

    def _publish_partial(self, image: pdu.Image) -> None:
        self.counters["partial_images"] += 1
        self.publish("partial", image)

    def _partial_failed(self, error: Exception) -> None:
        self.counters["partial_failures"] += 1
        self.logger.debug(f"no partial image: {type(error).__name__}: {error}")


def _adapted_options(setting: pdu.LinkSetting) -> dict[str, object]:
    """Options that a setting chooses, for codecs that have them."""
    amount = {"psnr_db": setting.psnr_db} if setting.digital else {"rank": 0}
    return {"repair_share": setting.repair_share, **amount}


def _decode(codec: registry.Codec, received: ReceivedMessage, message: packet.AssembledMessage) -> pdu.Image:
    start = time.perf_counter()
    image = codec.decode(received)
    seconds = time.perf_counter() - start
    link = {"snr_db": message.snr_db, "packets": message.header.count, "packets_received": len(message.packets)}
    notices = "; ".join(getattr(codec, "notices", ())) or None
    return pdu.Image(message.header.message_id, image.shape, image.ravel(), seconds=seconds, notices=notices, **link)
