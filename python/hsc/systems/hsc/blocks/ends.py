"""HSC Transmitter and HSC Receiver: the parts and the air interface in one block each, for daily use."""

from __future__ import annotations

from ....blocks.collector import DEFAULT_HOLD
from ....blocks.parts_link import PartsReceiver, PartsTransmitter
from ....phy.numerology import AUTO
from ....phy.packets import DEFAULT_PACKET_SYMBOLS
from ..complementary import DEFAULT_MCS
from .parts import cr_projection, cr_recomposition, hsc_semantic_decoder, hsc_semantic_encoder


class hsc_transmitter(PartsTransmitter):
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
        repair_share: float | None = None,
        packet_symbols: int = DEFAULT_PACKET_SYMBOLS,
        numerology: str = "ofdm64",
        amplitude: float = 1.0,
        continuous: bool = True,
        gap: int = 0,
        trailing: int = 1 << 16,
    ) -> None:
        air = (numerology, amplitude, continuous, gap, trailing)
        super().__init__("HSC Transmitter", packet_symbols, *air)
        self.semantic_encoder = hsc_semantic_encoder(semantic, symbols, tuning, rank)
        self.cr_projection = cr_projection(
            rank, psnr_db, cbr, cr, mcs_name=mcs_name, repair_share=repair_share
        )
        connections = (
            ((self, "images"), (self.semantic_encoder, "images")),
            ((self, "images"), (self.cr_projection, "images")),
            ((self.semantic_encoder, "generated"), (self.cr_projection, "generated")),
            ((self.semantic_encoder, "generated"), (self, "generated")),
        )
        self.wire_parts(self.semantic_encoder, self.cr_projection, ("images",), ("generated",), connections)
        self.set_psnr_db, self.set_cbr = self.cr_projection.set_psnr_db, self.cr_projection.set_cbr
        self.set_mcs = self.cr_projection.set_mcs
        self.set_repair_share = self.cr_projection.set_repair_share

    def set_rank(self, rank: int | None) -> None:
        """Send k = `rank` from the next image on. Raises HscError for a negative one."""
        self.cr_projection.set_rank(rank)
        self.semantic_encoder.set_rank(rank)


class hsc_receiver(PartsReceiver):
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
        super().__init__("HSC Receiver", numerology, hold)
        self.semantic_decoder, self.cr_recomposition = hsc_semantic_decoder(), cr_recomposition()
        connections = (
            ((self.semantic_decoder, "generated"), (self.cr_recomposition, "generated")),
            ((self.semantic_decoder, "generated"), (self, "generated")),
        )
        parts = self.semantic_decoder, self.cr_recomposition, self.cr_recomposition
        self.wire_parts(*parts, ("generated",), connections)
