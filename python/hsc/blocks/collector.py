"""From packets to messages: what Message Demux and Message Decoder have in common, and Message Demux."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
import pmt

from ..phy.assembly import AssembledMessage, MessageAssembler
from ..phy.reports import report_of
from . import pdu
from .base import MessageBlock

# Patience with a message of which packets are missing [samples].
DEFAULT_HOLD = 500_000
_SNR = pmt.intern("snr")


class PacketCollector(MessageBlock):
    """Base of the blocks that put messages together again from packets and ticks on port `packets`."""

    def __init__(self, name: str, outputs: tuple[str, ...], hold: int) -> None:
        super().__init__(name)
        handlers = {pdu.ReceivedPacket: self._collect, pdu.Tick: self._expire}
        self.open_ports({"packets": handlers}, outputs, queue=1024)
        # not among `outputs`: a message that failed is none of the transmitter's business
        self.message_port_register_out(_SNR)
        self.hold = hold
        self._assembler = MessageAssembler()

    def start(self) -> bool:
        self.begin_run()
        return super().start()

    def begin_run(self) -> None:
        """The sample clock begins again: at the block's start, and once more behind what waited since the
        former run.
        """
        self._assembler.begin_run()

    @abstractmethod
    def on_message(self, message: AssembledMessage) -> None:
        """Take a message, whole or as far as it came."""

    def on_end(self) -> None:
        self._serve(self._assembler.flush())
        self.publish("snr", self.end())  # for a Link Adaptation or a Feedback Sender

    def set_hold(self, hold: int) -> None:
        """Patience with a message of which packets are missing [samples]."""
        self.hold = int(hold)

    def _collect(self, received: pdu.ReceivedPacket) -> None:
        self._serve(self._assembler.push(received.packet))
        self.counters["late"] = self._assembler.late
        self.counters["duplicates"] = self._assembler.duplicates

    def _expire(self, tick: pdu.Tick) -> None:
        if tick.sample_index == 0:
            self.begin_run()
        self._serve(self._assembler.expire(tick.sample_index, self.hold))

    def _serve(self, messages: list[AssembledMessage]) -> None:
        for message in messages:
            self.counters["complete" if message.complete else "partial"] += 1
            with self.contain(message.header.message_id):
                self.on_message(message)

    def report(self, message: AssembledMessage, lost_blocks: int | None = None) -> None:
        """Tell the transmitter what came: see `phy.reports.report_of`."""
        report = report_of(message, lost_blocks)
        if report is not None:
            self.publish("snr", pdu.Snr.of(report))


class message_demux(PacketCollector):
    """Puts the streams of each message together again; what did not arrive is marked.

    Message ports: in `packets` (`ReceivedPacket` and `Tick`); out `analog` and `digital` (`ReceivedSymbols`),
    and `snr` (`Snr`), for the transmitter. A message leaves when its last packet is in, or when the sample
    clock says that none of its packets came for `hold` samples.

    Args:
        hold: patience with a message of which packets are missing [samples].
    """

    def __init__(self, hold: int = DEFAULT_HOLD) -> None:
        super().__init__("Message Demux", ("analog", "digital"), hold)

    def on_message(self, message: AssembledMessage) -> None:
        self.report(message)
        link = {"snr_db": message.snr_db, "packets_received": len(message.packets)}
        nothing = np.zeros(0, np.complex64), np.zeros(0, np.float32)
        analog, *digital = message.streams
        self.publish("analog", pdu.ReceivedSymbols(message.header, *analog, 0, **link))
        for number, stream in enumerate(digital or [nothing], 1):
            self.publish("digital", pdu.ReceivedSymbols(message.header, *stream, number, **link))
