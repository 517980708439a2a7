"""DS2C2 Transmitter and DS2C2 Receiver: the parts and the air interface in one block each, for daily use."""

from __future__ import annotations

from ....blocks.collector import DEFAULT_HOLD
from ....blocks.parts_link import PartsReceiver, PartsTransmitter
from ....phy.numerology import AUTO
from ....phy.packets import DEFAULT_PACKET_SYMBOLS
from .interleaving import ds2c2_bit_deinterleaver, ds2c2_bit_interleaver
from .parts import (
    DEFAULT_CODING,
    DEFAULT_SEMANTIC,
    DEFAULT_STEPS,
    ds2c2_base_decoder,
    ds2c2_base_encoder,
    ds2c2_residual_decoder,
    ds2c2_residual_encoder,
)


class ds2c2_transmitter(PartsTransmitter):
    """Images to samples with DS²C², from its parts: Base Encoder, Residual Encoder, Bit Interleaver, Digital
    Modulator, Message Mux, OFDM Transmitter.

    Message ports: in `images` (`Image`) and `snr` (optional, `Snr`, from the receiver); out `sent` (`Sent` or
    `Failed`) and `status`. Stream out: complex samples. Arguments are those of these blocks; the MCS is that
    of both layers.

    Raises:
        HscError: as these do.
    """

    def __init__(
        self,
        coding: str = DEFAULT_CODING,
        fineness: int | None = None,
        rate: str | None = None,
        steps: int = DEFAULT_STEPS,
        semantic: str = DEFAULT_SEMANTIC,
        repair_share: float | None = None,
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
        air = (numerology, amplitude, continuous, gap, trailing)
        super().__init__("DS2C2 Transmitter", packet_symbols, *air, streams="digital")
        self.base_encoder = ds2c2_base_encoder(fineness, semantic, repair_share, snr_db, cbr, mcs_name)
        self.residual_encoder = ds2c2_residual_encoder(coding, rate, steps, snr_db, cbr, mcs_name)
        self.interleaver = ds2c2_bit_interleaver()
        connections = (
            ((self, "images"), (self.residual_encoder, "images")),
            ((self, "images"), (self.base_encoder, "images")),
            ((self, "snr"), (self.base_encoder, "snr")),
            ((self, "snr"), (self.residual_encoder, "snr")),
            ((self.base_encoder, "base"), (self.residual_encoder, "base")),
            ((self.residual_encoder, "digital"), (self.interleaver, "digital")),
        )
        self.wire_parts(None, self.interleaver, ("images", "snr"), (), connections)
        self.set_fineness, self.set_rate = self.base_encoder.set_fineness, self.residual_encoder.set_rate
        self.set_repair_share = self.base_encoder.set_repair_share

    def set_snr_db(self, snr_db: float | None) -> None:
        """Es/N0 that may be counted on [dB], from the next image on."""
        self.base_encoder.set_snr_db(snr_db)
        self.residual_encoder.set_snr_db(snr_db)

    def set_cbr(self, cbr: float | None) -> None:
        """Budget of channel uses, from the next image on."""
        self.base_encoder.set_cbr(cbr)
        self.residual_encoder.set_cbr(cbr)

    def set_mcs(self, mcs_name: str) -> None:
        """MCS of both layers from the next image on; empty leaves it to the codec. Raises HscError for an
        unknown one.
        """
        self.base_encoder.set_mcs(mcs_name)
        self.residual_encoder.set_mcs(mcs_name)


class ds2c2_receiver(PartsReceiver):
    """Samples to images with DS²C², from its parts: OFDM Receiver, Message Demux, Digital Demodulator, Bit
    Deinterleaver, Base and Residual Decoder.

    Stream in: complex samples. Message ports: out `images` (`Image`), `partial` (`Image`, x′), `semantic`
    (`Image`, s), `snr` (`Snr`, for the transmitter), `packets` and `symbols` (as of `ofdm_receiver`),
    `status`.

    Args:
        told: as of `ds2c2_bit_deinterleaver`.
        numerology: preset of `phy.ofdm`, or "auto" for any.
        hold: patience with a message of which packets are missing [samples].

    Raises:
        HscError: unknown numerology.
    """

    def __init__(self, told: bool = True, numerology: str = AUTO, hold: int = DEFAULT_HOLD) -> None:
        super().__init__("DS2C2 Receiver", numerology, hold)
        self.deinterleaver = ds2c2_bit_deinterleaver(told=told)
        self.base_decoder, self.residual_decoder = ds2c2_base_decoder(), ds2c2_residual_decoder()
        connections = (
            ((self.demux, "snr"), (self, "snr")),
            ((self.digital_demodulator, "digital"), (self.deinterleaver, "digital")),
            ((self.base_decoder, "base"), (self.residual_decoder, "base")),
            ((self.base_decoder, "images"), (self, "partial")),
            ((self.base_decoder, "semantic"), (self, "semantic")),
            ((self.deinterleaver, "residual"), (self.residual_decoder, "residual")),
        )
        self.wire_parts(
            None, self.base_decoder, self.residual_decoder, ("partial", "semantic", "snr"), connections
        )
        self.set_told = self.deinterleaver.set_told
