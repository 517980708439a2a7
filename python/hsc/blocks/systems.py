"""Hierarchical blocks: whole transmitters and receivers for daily use."""

from __future__ import annotations

from typing import Any

from gnuradio import gr

from ..phy.numerology import AUTO
from ..phy.packet import DEFAULT_PACKET_SYMBOLS
from .air import ofdm_receiver, ofdm_transmitter
from .hybrid import DEFAULT_REPAIR_SHARE, hda_allocation, hda_fusion
from .messages import DEFAULT_HOLD, message_decoder, message_demux, message_encoder, message_mux
from .modulation import analog_demodulator, analog_modulator, digital_demodulator, digital_modulator
from .semantic import HDA, cr_projection, cr_recomposition, semantic_decoder, semantic_encoder

# Python blocks are kept as attributes: one that only `connect` holds is collected, and the process crashes.

Connection = tuple[tuple[Any, str], tuple[Any, str]]


def _wire(system: gr.hier_block2, inputs: tuple[str, ...], outputs: tuple[str, ...], connections: tuple[Connection, ...]) -> None:
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

    Message ports: in `images` (`Image`) and `snr` (optional, `Snr`, from the receiver); out `sent` (`Sent`, or `Failed` for an image that
    could not be sent) and `status`. Stream out: complex samples. Arguments are those of `message_encoder` and `ofdm_transmitter`.

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
        connections = (
            ((self, "images"), (self.encoder, "images")),
            ((self, "snr"), (self.encoder, "snr")),
            ((self.encoder, "packets"), (self.transmitter, "packets")),
            ((self.transmitter, "sent"), (self, "sent")),
        )
        _wire(self, ("images", "snr"), ("sent",), connections)
        self.connect(self.transmitter, self)
        self.set_options, self.set_snr_db = self.encoder.set_options, self.encoder.set_snr_db
        self.set_cbr, self.set_mcs = self.encoder.set_cbr, self.encoder.set_mcs
        self.set_amplitude = self.transmitter.set_amplitude


class image_receiver(gr.hier_block2):
    """Samples to images with any codec: OFDM Receiver and Message Decoder.

    Stream in: complex samples. Message ports: out `images`, `analog_only` and `partial` (`Image`), `snr` (`Snr`, for the transmitter),
    `packets` and `symbols` (as of `ofdm_receiver`), `status`.

    Args:
        options: codec name -> options of its receiver.
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
        gr.hier_block2.__init__(self, "Image Receiver", gr.io_signature(1, 1, gr.sizeof_gr_complex), gr.io_signature(0, 0, 0))
        self.receiver = ofdm_receiver(numerology)
        self.decoder = message_decoder(options, hold, partial)
        connections = (
            ((self.receiver, "packets"), (self.decoder, "packets")),
            ((self.receiver, "packets"), (self, "packets")),
            ((self.receiver, "symbols"), (self, "symbols")),
            ((self.decoder, "images"), (self, "images")),
            ((self.decoder, "analog_only"), (self, "analog_only")),
            ((self.decoder, "partial"), (self, "partial")),
            ((self.decoder, "snr"), (self, "snr")),
        )
        _wire(self, (), ("images", "analog_only", "partial", "snr", "packets", "symbols"), connections)
        self.connect(self, self.receiver)
        self.set_hold = self.decoder.set_hold


class hsc_transmitter(gr.hier_block2):
    """Images to samples with HSC, from its parts: Semantic Encoder, CR Projection, modulators, Message Mux, OFDM Transmitter.

    Sends what `image_transmitter` with codec "hsc" sends; here the rank, PSNR or CBR of the CR may change at run time.
    Message ports: in `images` (`Image`); out `sent` (`Sent` or `Failed`), `generated` (`Generated`, the predicted G) and `status`.
    Stream out: complex samples. Arguments are those of these blocks.

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
        mcs_name: str = "16QAM-1/2",
        packet_symbols: int = DEFAULT_PACKET_SYMBOLS,
        numerology: str = "ofdm64",
        amplitude: float = 1.0,
        continuous: bool = True,
        gap: int = 0,
        trailing: int = 1 << 16,
    ) -> None:
        gr.hier_block2.__init__(self, "HSC Transmitter", gr.io_signature(0, 0, 0), gr.io_signature(1, 1, gr.sizeof_gr_complex))
        self.semantic_encoder = semantic_encoder(semantic, symbols, tuning, rank)
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
        _wire(self, ("images",), ("sent", "generated"), connections)
        self.connect(self.transmitter, self)
        self.set_psnr_db, self.set_cbr = self.cr_projection.set_psnr_db, self.cr_projection.set_cbr
        self.set_mcs, self.set_amplitude = self.cr_projection.set_mcs, self.transmitter.set_amplitude

    def set_rank(self, rank: int | None) -> None:
        """Send k = `rank` from the next image on. Raises HscError for a negative one."""
        self.cr_projection.set_rank(rank)
        self.semantic_encoder.set_rank(rank)


class hsc_receiver(gr.hier_block2):
    """Samples to images with HSC, from its parts: OFDM Receiver, Message Demux, demodulators, Semantic Decoder, CR Recomposition.

    Stream in: complex samples. Message ports: out `images` (`Image`), `generated` (`Generated`, from the SR alone), `packets`
    and `symbols` (as of `ofdm_receiver`), `status`.

    Args:
        numerology: preset of `phy.ofdm`, or "auto" for any.
        hold: patience with a message of which packets are missing [samples].

    Raises:
        HscError: unknown numerology.
    """

    def __init__(self, numerology: str = AUTO, hold: int = DEFAULT_HOLD) -> None:
        gr.hier_block2.__init__(self, "HSC Receiver", gr.io_signature(1, 1, gr.sizeof_gr_complex), gr.io_signature(0, 0, 0))
        self.receiver, self.demux = ofdm_receiver(numerology), message_demux(hold)
        self.analog_demodulator, self.digital_demodulator = analog_demodulator(), digital_demodulator()
        self.semantic_decoder, self.cr_recomposition = semantic_decoder(), cr_recomposition()
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
        _wire(self, (), ("images", "generated", "packets", "symbols"), connections)
        self.connect(self, self.receiver)


class hda_transmitter(gr.hier_block2):
    """Images to samples with HDA-DeepSC, from its parts: Semantic Encoder, HDA Allocation, modulators, Message Mux, OFDM Transmitter.

    Message ports: in `images` (`Image`) and `snr` (optional, `Snr`, from the receiver); out `sent` (`Sent` or `Failed`) and `status`.
    Stream out: complex samples. Arguments are those of these blocks.

    Raises:
        HscError: as these do.
    """

    def __init__(
        self,
        da_ratio: float | None = 0.2,
        key: str | bytes | None = None,
        repair_share: float = DEFAULT_REPAIR_SHARE,
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
        gr.hier_block2.__init__(self, "HDA Transmitter", gr.io_signature(0, 0, 0), gr.io_signature(1, 1, gr.sizeof_gr_complex))
        self.semantic_encoder = semantic_encoder(codec=HDA)
        self.allocation = hda_allocation(da_ratio, key, repair_share, snr_db, cbr, mcs_name)
        self.analog_modulator, self.digital_modulator = analog_modulator(), digital_modulator()
        self.mux = message_mux("both", packet_symbols)
        self.transmitter = ofdm_transmitter(numerology, amplitude, continuous, gap, trailing)
        connections = (
            ((self, "images"), (self.semantic_encoder, "images")),
            ((self, "snr"), (self.allocation, "snr")),
            ((self.semantic_encoder, "features"), (self.allocation, "features")),
            ((self.allocation, "analog"), (self.analog_modulator, "analog")),
            ((self.allocation, "digital"), (self.digital_modulator, "digital")),
            ((self.analog_modulator, "symbols"), (self.mux, "analog")),
            ((self.digital_modulator, "symbols"), (self.mux, "digital")),
            ((self.mux, "packets"), (self.transmitter, "packets")),
            ((self.transmitter, "sent"), (self, "sent")),
        )
        _wire(self, ("images", "snr"), ("sent",), connections)
        self.connect(self.transmitter, self)
        self.set_snr_db, self.set_mcs, self.set_key = self.allocation.set_snr_db, self.allocation.set_mcs, self.allocation.set_key
        self.set_amplitude = self.transmitter.set_amplitude


class hda_receiver(gr.hier_block2):
    """Samples to images with HDA-DeepSC, from its parts: OFDM Receiver, Message Demux, demodulators, HDA Fusion, Semantic Decoder.

    Stream in: complex samples. Message ports: out `images` (`Image`), `snr` (`Snr`, for the transmitter), `packets` and `symbols` (as of
    `ofdm_receiver`), `status`.

    Args:
        key: the transmitter's; without it, or with another, the image is what the analog part alone gives.
        numerology: preset of `phy.ofdm`, or "auto" for any.
        hold: patience with a message of which packets are missing [samples].

    Raises:
        HscError: unknown numerology, or what is no key.
    """

    def __init__(self, key: str | bytes | None = None, numerology: str = AUTO, hold: int = DEFAULT_HOLD) -> None:
        gr.hier_block2.__init__(self, "HDA Receiver", gr.io_signature(1, 1, gr.sizeof_gr_complex), gr.io_signature(0, 0, 0))
        self.receiver, self.demux = ofdm_receiver(numerology), message_demux(hold)
        self.analog_demodulator, self.digital_demodulator = analog_demodulator(), digital_demodulator()
        self.fusion, self.semantic_decoder = hda_fusion(key), semantic_decoder(HDA)
        connections = (
            ((self.receiver, "packets"), (self.demux, "packets")),
            ((self.receiver, "packets"), (self, "packets")),
            ((self.receiver, "symbols"), (self, "symbols")),
            ((self.demux, "analog"), (self.analog_demodulator, "symbols")),
            ((self.demux, "digital"), (self.digital_demodulator, "symbols")),
            ((self.demux, "snr"), (self, "snr")),
            ((self.analog_demodulator, "analog"), (self.fusion, "analog")),
            ((self.digital_demodulator, "digital"), (self.fusion, "digital")),
            ((self.fusion, "features"), (self.semantic_decoder, "features")),
            ((self.semantic_decoder, "images"), (self, "images")),
        )
        _wire(self, (), ("images", "snr", "packets", "symbols"), connections)
        self.connect(self, self.receiver)
        self.set_key = self.fusion.set_key
