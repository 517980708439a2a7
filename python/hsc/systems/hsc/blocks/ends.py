"""HSC Transmitter and HSC Receiver: the parts and the air interface in one block each, for daily use."""

from __future__ import annotations

from gnuradio import gr

from ....blocks.air import ofdm_receiver, ofdm_transmitter
from ....blocks.collector import DEFAULT_HOLD, message_demux
from ....blocks.image_link import wire
from ....blocks.modulation import (
    analog_demodulator,
    analog_modulator,
    digital_demodulator,
    digital_modulator,
)
from ....blocks.mux import message_mux
from ....phy.numerology import AUTO
from ....phy.packets import DEFAULT_PACKET_SYMBOLS
from ..complementary import DEFAULT_MCS
from .parts import cr_projection, cr_recomposition, hsc_semantic_decoder, hsc_semantic_encoder


class hsc_transmitter(gr.hier_block2):
    """Images to samples with HSC, from its parts: Semantic Encoder, CR Projection, modulators, Message Mux,
    OFDM Transmitter.

    Sends what `image_transmitter` with codec "hsc" sends; here the rank, PSNR or CBR of the CR may change at
    run time. Message ports: in `images` (`Image`); out `sent` (`Sent` or `Failed`), `generated` (`Generated`,
    the predicted G) and `status`. Stream out: complex samples. Arguments are those of these blocks.

    Raises:
        HscError: as these do.
    """

    def __init__(
        self,
        semantic: str = "vae",
        symbols: int = 8,
        tuning: str = "none",
        rank: int | None = None,
        psnr_db: float | None = None,
        cbr: float | None = None,
        cr: str = "projection",
        mcs_name: str = DEFAULT_MCS,
        packet_symbols: int = DEFAULT_PACKET_SYMBOLS,
        numerology: str = "ofdm64",
        amplitude: float = 1.0,
        continuous: bool = True,
        gap: int = 0,
        trailing: int = 1 << 16,
    ) -> None:
        gr.hier_block2.__init__(
            self, "HSC Transmitter", gr.io_signature(0, 0, 0), gr.io_signature(1, 1, gr.sizeof_gr_complex)
        )
        self.semantic_encoder = hsc_semantic_encoder(semantic, symbols, tuning, rank)
        self.cr_projection = cr_projection(rank, psnr_db, cbr, cr, mcs_name=mcs_name)
        self.analog_modulator, self.digital_modulator = analog_modulator(), digital_modulator()
        self.mux = message_mux("both", packet_symbols)
        self.transmitter = ofdm_transmitter(numerology, amplitude, continuous, gap, trailing)
        connections = (
            ((self, "images"), (self.semantic_encoder, "images")),
            ((self, "images"), (self.cr_projection, "images")),
            ((self.semantic_encoder, "analog"), (self.analog_modulator, "analog")),
            ((self.semantic_encoder, "generated"), (self.cr_projection, "generated")),
            ((self.semantic_encoder, "generated"), (self, "generated")),
            ((self.cr_projection, "digital"), (self.digital_modulator, "digital")),
            ((self.analog_modulator, "symbols"), (self.mux, "analog")),
            ((self.digital_modulator, "symbols"), (self.mux, "digital")),
            ((self.mux, "packets"), (self.transmitter, "packets")),
            ((self.transmitter, "sent"), (self, "sent")),
        )
        wire(self, ("images",), ("sent", "generated"), connections)
        self.connect(self.transmitter, self)
        self.set_psnr_db, self.set_cbr = self.cr_projection.set_psnr_db, self.cr_projection.set_cbr
        self.set_mcs, self.set_amplitude = self.cr_projection.set_mcs, self.transmitter.set_amplitude

    def set_rank(self, rank: int | None) -> None:
        """Send k = `rank` from the next image on. Raises HscError for a negative one."""
        self.cr_projection.set_rank(rank)
        self.semantic_encoder.set_rank(rank)


class hsc_receiver(gr.hier_block2):
    """Samples to images with HSC, from its parts: OFDM Receiver, Message Demux, demodulators, Semantic
    Decoder, CR Recomposition.

    Stream in: complex samples. Message ports: out `images` (`Image`), `generated` (`Generated`, from the SR
    alone), `packets` and `symbols` (as of `ofdm_receiver`), `status`.

    Args:
        numerology: preset of `phy.ofdm`, or "auto" for any.
        hold: patience with a message of which packets are missing [samples].

    Raises:
        HscError: unknown numerology.
    """

    def __init__(self, numerology: str = AUTO, hold: int = DEFAULT_HOLD) -> None:
        gr.hier_block2.__init__(
            self, "HSC Receiver", gr.io_signature(1, 1, gr.sizeof_gr_complex), gr.io_signature(0, 0, 0)
        )
        self.receiver, self.demux = ofdm_receiver(numerology), message_demux(hold)
        self.analog_demodulator, self.digital_demodulator = analog_demodulator(), digital_demodulator()
        self.semantic_decoder, self.cr_recomposition = hsc_semantic_decoder(), cr_recomposition()
        connections = (
            ((self.receiver, "packets"), (self.demux, "packets")),
            ((self.receiver, "packets"), (self, "packets")),
            ((self.receiver, "symbols"), (self, "symbols")),
            ((self.demux, "analog"), (self.analog_demodulator, "symbols")),
            ((self.demux, "digital"), (self.digital_demodulator, "symbols")),
            ((self.analog_demodulator, "analog"), (self.semantic_decoder, "analog")),
            ((self.semantic_decoder, "generated"), (self.cr_recomposition, "generated")),
            ((self.semantic_decoder, "generated"), (self, "generated")),
            ((self.digital_demodulator, "digital"), (self.cr_recomposition, "digital")),
            ((self.cr_recomposition, "images"), (self, "images")),
        )
        wire(self, (), ("images", "generated", "packets", "symbols"), connections)
        self.connect(self, self.receiver)
