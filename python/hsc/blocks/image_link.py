"""Whole transmitters and receivers with any codec, for daily use, and how such blocks are wired."""

from __future__ import annotations

from typing import Any

from gnuradio import gr

from ..phy.numerology import AUTO
from ..phy.packets import DEFAULT_PACKET_SYMBOLS
from .air import ofdm_receiver, ofdm_transmitter
from .collector import DEFAULT_HOLD
from .decoder import message_decoder
from .encoder import message_encoder

# Python blocks are kept as attributes: one that only `connect` holds is collected, and the process crashes.

Connection = tuple[tuple[Any, str], tuple[Any, str]]


def wire(
    system: gr.hier_block2,
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    connections: tuple[Connection, ...],
) -> None:
    """Message ports and connections of a hierarchical block; its `status` is that of every block in it."""
    for port in inputs:
        system.message_port_register_hier_in(port)
    for port in (*outputs, "status"):
        system.message_port_register_hier_out(port)
    for source, target in connections:
        system.msg_connect(source, target)
    for block in {id(b): b for pair in connections for b, _ in pair if b is not system}.values():
        system.msg_connect((block, "status"), (system, "status"))


class image_transmitter(gr.hier_block2):
    """Images to samples with any codec: Message Encoder and OFDM Transmitter.

    Message ports: in `images` (`Image`) and `snr` (optional, `Snr`, from the receiver); out `sent` (`Sent`,
    or `Failed` for an image that could not be sent) and `status`. Stream out: complex samples. Arguments are
    those of `message_encoder` and `ofdm_transmitter`.

    Raises:
        HscError: as these do.
    """

    def __init__(
        self,
        codec: str = "hsc",
        options: dict[str, object] | None = None,
        snr_db: float | None = None,
        cbr: float | None = None,
        mcs_name: str = "",
        packet_symbols: int = DEFAULT_PACKET_SYMBOLS,
        numerology: str = "ofdm64",
        amplitude: float = 1.0,
        continuous: bool = True,
        gap: int = 0,
        trailing: int = 1 << 16,
    ) -> None:
        gr.hier_block2.__init__(
            self, "Image Transmitter", gr.io_signature(0, 0, 0), gr.io_signature(1, 1, gr.sizeof_gr_complex)
        )
        self.encoder = message_encoder(codec, options, snr_db, cbr, mcs_name, packet_symbols)
        self.transmitter = ofdm_transmitter(numerology, amplitude, continuous, gap, trailing)
        connections = (
            ((self, "images"), (self.encoder, "images")),
            ((self, "snr"), (self.encoder, "snr")),
            ((self.encoder, "packets"), (self.transmitter, "packets")),
            ((self.transmitter, "sent"), (self, "sent")),
        )
        wire(self, ("images", "snr"), ("sent",), connections)
        self.connect(self.transmitter, self)
        self.set_options, self.set_snr_db = self.encoder.set_options, self.encoder.set_snr_db
        self.set_cbr, self.set_mcs = self.encoder.set_cbr, self.encoder.set_mcs
        self.set_amplitude = self.transmitter.set_amplitude


class image_receiver(gr.hier_block2):
    """Samples to images with any codec: OFDM Receiver and Message Decoder.

    Stream in: complex samples. Message ports: out `images`, `base` and `partial` (`Image`), `snr`
    (`Snr`, for the transmitter), `packets` and `symbols` (as of `ofdm_receiver`), `status`.

    Args:
        options: codec name → options of its receiver.
        numerology: preset of `phy.ofdm`, or "auto" for any.
        hold, partial: as of `message_decoder` [samples].

    Raises:
        HscError: unknown numerology.
    """

    def __init__(
        self,
        options: dict[str, dict[str, object]] | None = None,
        numerology: str = AUTO,
        hold: int = DEFAULT_HOLD,
        partial: int = 0,
    ) -> None:
        gr.hier_block2.__init__(
            self, "Image Receiver", gr.io_signature(1, 1, gr.sizeof_gr_complex), gr.io_signature(0, 0, 0)
        )
        self.receiver = ofdm_receiver(numerology)
        self.decoder = message_decoder(options, hold, partial)
        connections = (
            ((self.receiver, "packets"), (self.decoder, "packets")),
            ((self.receiver, "packets"), (self, "packets")),
            ((self.receiver, "symbols"), (self, "symbols")),
            ((self.decoder, "images"), (self, "images")),
            ((self.decoder, "base"), (self, "base")),
            ((self.decoder, "partial"), (self, "partial")),
            ((self.decoder, "snr"), (self, "snr")),
        )
        wire(self, (), ("images", "base", "partial", "snr", "packets", "symbols"), connections)
        self.connect(self, self.receiver)
        self.set_hold = self.decoder.set_hold
