"""Hierarchical blocks: whole transmitters and receivers for daily use."""

from __future__ import annotations

from gnuradio import gr

from ..phy.packet import DEFAULT_PACKET_SYMBOLS
from .air import ofdm_receiver, ofdm_transmitter
from .messages import DEFAULT_HOLD, message_decoder, message_encoder

# Python blocks are kept as attributes: one that only `connect` holds is collected, and the process crashes.


class image_transmitter(gr.hier_block2):
    """Images to samples with any codec: Message Encoder and OFDM Transmitter.

    Message ports: in `images` (`Image`); out `sent` (`Sent`, or `Failed` for an image that could not be sent) and `status`.
    Stream out: complex samples. Arguments are those of `message_encoder` and `ofdm_transmitter`.

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
        gr.hier_block2.__init__(self, "Image Transmitter", gr.io_signature(0, 0, 0), gr.io_signature(1, 1, gr.sizeof_gr_complex))
        self.encoder = message_encoder(codec, options, snr_db, cbr, mcs_name, packet_symbols)
        self.transmitter = ofdm_transmitter(numerology, amplitude, continuous, gap, trailing)
        self.message_port_register_hier_in("images")
        self.message_port_register_hier_out("sent")
        self.message_port_register_hier_out("status")
        self.msg_connect((self, "images"), (self.encoder, "images"))
        self.msg_connect((self.encoder, "packets"), (self.transmitter, "packets"))
        self.msg_connect((self.transmitter, "sent"), (self, "sent"))
        for block in (self.encoder, self.transmitter):
            self.msg_connect((block, "status"), (self, "status"))
        self.connect(self.transmitter, self)
        self.set_options, self.set_snr_db = self.encoder.set_options, self.encoder.set_snr_db
        self.set_cbr, self.set_mcs = self.encoder.set_cbr, self.encoder.set_mcs
        self.set_amplitude = self.transmitter.set_amplitude


class image_receiver(gr.hier_block2):
    """Samples to images with any codec: OFDM Receiver and Message Decoder.

    Stream in: complex samples. Message ports: out `images` and `analog_only` (`Image`), `packets` (`ReceivedPacket`), `status`.

    Args:
        options: codec name -> options of its receiver.
        numerology: preset of `phy.ofdm`.
        hold: patience with a message of which packets are missing [samples].

    Raises:
        HscError: unknown numerology.
    """

    def __init__(self, options: dict[str, dict[str, object]] | None = None, numerology: str = "ofdm64", hold: int = DEFAULT_HOLD) -> None:
        gr.hier_block2.__init__(self, "Image Receiver", gr.io_signature(1, 1, gr.sizeof_gr_complex), gr.io_signature(0, 0, 0))
        self.receiver = ofdm_receiver(numerology)
        self.decoder = message_decoder(options, hold)
        for port in ("images", "analog_only", "packets", "status"):
            self.message_port_register_hier_out(port)
        self.connect(self, self.receiver)
        self.msg_connect((self.receiver, "packets"), (self.decoder, "packets"))
        self.msg_connect((self.receiver, "packets"), (self, "packets"))
        for port in ("images", "analog_only"):
            self.msg_connect((self.decoder, port), (self, port))
        for block in (self.receiver, self.decoder):
            self.msg_connect((block, "status"), (self, "status"))
