"""Transmitters and receivers made of a system's parts: what lies between these and the samples."""

from __future__ import annotations

from typing import Any

from gnuradio import gr

from .air import ofdm_receiver, ofdm_transmitter
from .collector import message_demux
from .image_link import Connection, wire
from .modulation import analog_demodulator, analog_modulator, digital_demodulator, digital_modulator
from .mux import message_mux


class PartsTransmitter(gr.hier_block2):
    """Base of a system's transmitter: modulators, Message Mux and OFDM Transmitter behind its parts.

    Args:
        name: of the block.
        packet_symbols: as of `message_mux`.
        air: arguments of `ofdm_transmitter`, in its order.
        streams: which the system has, as of `message_mux`.

    Raises:
        HscError: as these blocks do.
    """

    def __init__(self, name: str, packet_symbols: int, *air: Any, streams: str = "both") -> None:
        gr.hier_block2.__init__(
            self, name, gr.io_signature(0, 0, 0), gr.io_signature(1, 1, gr.sizeof_gr_complex)
        )
        self.analog_modulator, self.digital_modulator = analog_modulator(), digital_modulator()
        self.mux = message_mux(streams, packet_symbols)
        self.transmitter = ofdm_transmitter(*air)
        self.set_amplitude = self.transmitter.set_amplitude

    def wire_parts(
        self,
        analog: gr.basic_block | None,
        digital: gr.basic_block,
        inputs: tuple[str, ...],
        outputs: tuple[str, ...],
        connections: tuple[Connection, ...],
    ) -> None:
        """Connect everything.

        Args:
            analog, digital: parts with an output port of that name; `analog` None where there is no such
                stream.
            inputs, outputs: message ports of this block; `sent` and `status` come in addition.
            connections: of the parts among themselves and with this block's ports.
        """
        behind = (
            ((digital, "digital"), (self.digital_modulator, "digital")),
            ((self.digital_modulator, "symbols"), (self.mux, "digital")),
            ((self.mux, "packets"), (self.transmitter, "packets")),
            ((self.transmitter, "sent"), (self, "sent")),
        )
        if analog is not None:
            behind += (
                ((analog, "analog"), (self.analog_modulator, "analog")),
                ((self.analog_modulator, "symbols"), (self.mux, "analog")),
            )
        wire(self, inputs, ("sent", *outputs), (*connections, *behind))
        self.connect(self.transmitter, self)


class PartsReceiver(gr.hier_block2):
    """Base of a system's receiver: OFDM Receiver, Message Demux and demodulators before its parts.

    Args:
        name: of the block.
        numerology: as of `ofdm_receiver`.
        hold: as of `message_demux` [samples].

    Raises:
        HscError: unknown numerology.
    """

    def __init__(self, name: str, numerology: str, hold: int) -> None:
        gr.hier_block2.__init__(
            self, name, gr.io_signature(1, 1, gr.sizeof_gr_complex), gr.io_signature(0, 0, 0)
        )
        self.receiver, self.demux = ofdm_receiver(numerology), message_demux(hold)
        self.analog_demodulator, self.digital_demodulator = analog_demodulator(), digital_demodulator()

    def wire_parts(
        self,
        analog: gr.basic_block | None,
        digital: gr.basic_block,
        images: gr.basic_block,
        outputs: tuple[str, ...],
        connections: tuple[Connection, ...],
    ) -> None:
        """Connect everything.

        Args:
            analog, digital: parts with an input port of that name; `analog` None where there is no such
                stream.
            images: the part whose port of that name gives the images.
            outputs: message ports of this block beside `images`, `packets`, `symbols` and `status`.
            connections: of the parts among themselves and with this block's ports.
        """
        before = (
            ((self.receiver, "packets"), (self.demux, "packets")),
            ((self.receiver, "packets"), (self, "packets")),
            ((self.receiver, "symbols"), (self, "symbols")),
            ((self.demux, "digital"), (self.digital_demodulator, "symbols")),
            ((self.digital_demodulator, "digital"), (digital, "digital")),
            ((images, "images"), (self, "images")),
        )
        if analog is not None:
            before += (
                ((self.demux, "analog"), (self.analog_demodulator, "symbols")),
                ((self.analog_demodulator, "analog"), (analog, "analog")),
            )
        wire(self, (), ("images", *outputs, "packets", "symbols"), (*before, *connections))
        self.connect(self, self.receiver)
