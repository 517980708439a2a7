"""HSC as blocks, as figure 1 of the paper draws it: semantic coders, CR Projection, CR Recomposition, and the
whole of both ends.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from gnuradio import gr

from ...blocks import pdu
from ...blocks.air import ofdm_receiver, ofdm_transmitter
from ...blocks.base import MessageBlock, PartsBlock, limit_torch_threads, require_codec
from ...blocks.collector import DEFAULT_HOLD, message_demux
from ...blocks.image_link import wire
from ...blocks.link_block import LinkBlock
from ...blocks.modulation import analog_demodulator, analog_modulator, digital_demodulator, digital_modulator
from ...blocks.mux import message_mux
from ...codecs.options import options_of
from ...errors import HscError
from ...message import Link
from ...phy.numerology import AUTO
from ...phy.packets import DEFAULT_PACKET_SYMBOLS
from . import codec
from .options import TUNINGS, HscOptions

HSC = codec.HscCodec.name


class hsc_semantic_encoder(LinkBlock):
    """Images to their semantic representation (SR), HSC eqs. (1) and (6).

    Message ports: in `images` (`Image`) and `snr` (optional, `Snr`, from the receiver); out `analog`
    (`Analog`, the SR) and `generated` (`Generated`, what the receiver will make of it over an ideal channel).

    Args:
        semantic: "vae" or "vqvae"; photographs are always served by the convolutional VAE.
        symbols: complex channel uses of the SR of a digit.
        tuning: "none", "few-shot" or "ncr".
        rank: of the CR for which "ncr" adapters are chosen.
        sampling: send a sample of the posterior instead of its mean.

    Raises:
        HscError: unknown option.
    """

    def __init__(
        self,
        semantic: str = "vae",
        symbols: int = 8,
        tuning: str = "none",
        rank: int | None = None,
        sampling: bool = False,
    ) -> None:
        super().__init__(
            "Semantic Encoder", {"images": {pdu.Image: self._encode}}, ("analog", "generated"), Link()
        )
        given = {
            "semantic": semantic,
            "symbols": symbols,
            "tuning": tuning,
            "rank": rank,
            "sampling": sampling,
        }
        self._options = options_of(HscOptions, HSC, given)
        limit_torch_threads()

    def set_rank(self, rank: int | None) -> None:
        """Rank of the CR for which "ncr" adapters are chosen, from the next image on."""
        self._options = replace(self._options, rank=None if rank is None else int(rank))

    def _encode(self, image: pdu.Image) -> None:
        options = self._options
        sr = codec.semantic_encode(image.pixels, options)
        parameters = codec.HscParameters(
            sr.model, TUNINGS.index(options.tuning), rank=options.rank or 0
        ).pack()
        self.publish("analog", pdu.Analog(image.message_id, HSC, image.shape, sr.values, parameters))
        self.publish(
            "generated",
            pdu.Generated(image.message_id, image.shape, sr.generated, sr.values.size, parameters),
        )


class hsc_semantic_decoder(MessageBlock):
    """The received SR to the generated image G, HSC eq. (6).

    Message ports: in `analog` (`Analog`, the SR); out `generated` (`Generated`, G; empty when nothing of the
    SR came).
    """

    def __init__(self) -> None:
        super().__init__("Semantic Decoder")
        self.open_ports({"analog": {pdu.Analog: self._decode}}, ("generated",))
        limit_torch_threads()

    def _decode(self, sr: pdu.Analog) -> None:
        require_codec(sr.codec, HSC)
        generated = codec.semantic_decode(sr.received, sr.shape, codec.HscParameters.unpack(sr.parameters))
        self.counters["without_sr"] += generated is None
        data = np.zeros(0, np.float32) if generated is None else generated
        self.publish("generated", pdu.Generated(sr.message_id, sr.shape, data, parameters=sr.parameters))


class cr_projection(PartsBlock):
    """Image and predicted image G to the complementary representation (CR), HSC eq. (2): A and the projected
    image.

    Message ports: in `images` (`Image`) and `generated` (`Generated`); out `digital` (`Digital`). Of `rank`,
    `psnr_db` and `cbr` at most one is given; it may change at run time.

    Args:
        rank: k, 0 sends the SR alone.
        psnr_db: PSNR that the recomposed image would have over an ideal channel [dB].
        cbr: complex channel uses of SR and CR over C·H·W.
        cr: coding, "projection", "residual" (smallest, but what the channel does to the SR stays in the
            image) or "paper".
        jpeg2000_ratio: for "paper" with a rank: 1 is reversible, above it the compression ratio.
        mcs_name: MCS that the CR is for; it decides how many bytes a CBR holds.

    Raises:
        HscError: unknown or impossible option.
    """

    def __init__(
        self,
        rank: int | None = None,
        psnr_db: float | None = None,
        cbr: float | None = None,
        cr: str = "projection",
        jpeg2000_ratio: float = 1.0,
        mcs_name: str = codec.DEFAULT_MCS,
    ) -> None:
        super().__init__("CR Projection", {"images": pdu.Image, "generated": pdu.Generated}, ("digital",))
        self._coding = {"cr": cr, "jpeg2000_ratio": jpeg2000_ratio, "mcs": mcs_name or codec.DEFAULT_MCS}
        self._amount: dict[str, float | None] = {}
        self._set_amount(rank=None if rank is None else int(rank), psnr_db=psnr_db, cbr=cbr)

    def set_rank(self, rank: int | None) -> None:
        """Send k = `rank` from the next image on. Raises HscError for a negative one."""
        self._set_amount(rank=None if rank is None else int(rank))

    def set_psnr_db(self, psnr_db: float | None) -> None:
        """Aim at a PSNR [dB] from the next image on. Raises HscError for an impossible one."""
        self._set_amount(psnr_db=psnr_db)

    def set_cbr(self, cbr: float | None) -> None:
        """Keep to a CBR from the next image on. Raises HscError for an impossible one."""
        self._set_amount(cbr=cbr)

    def set_mcs(self, mcs_name: str) -> None:
        """MCS from the next image on."""
        self._coding = {**self._coding, "mcs": mcs_name or codec.DEFAULT_MCS}

    def _set_amount(self, **amount: float | None) -> None:
        options_of(HscOptions, HSC, {**amount, **self._coding})  # refuses what is impossible
        self._amount = amount

    def on_parts(self, message_id: int, parts: dict[str, pdu.Pdu]) -> None:
        if len(parts) < 2:
            raise HscError(
                f"message {message_id}: only '{next(iter(parts))}' came, the other failed or is not connected"
            )
        image, generated = parts["images"], parts["generated"]
        known = codec.HscParameters.unpack(generated.parameters)
        tuning = TUNINGS[known.tuning]
        # NCR adapters are made for a rank: that of the SR at hand counts, also while the rank is being
        # changed.
        amount = {"rank": known.rank} if tuning == "ncr" else self._amount
        options = options_of(HscOptions, HSC, {**amount, **self._coding, "tuning": tuning})
        if generated.pixels is None or generated.shape != image.shape:
            raise HscError(f"message {message_id}: the generated image does not belong to this image")
        sr = codec.Semantic(np.zeros(generated.sr_values, np.float32), generated.pixels, known.model)
        made = codec.complementary_encode(image.pixels, sr, options)
        self.counters["rank"] = made.parameters.rank
        data = np.frombuffer(made.data, np.uint8)
        streams = 1 if made.data else 0
        self.publish(
            "digital",
            pdu.Digital(
                message_id,
                HSC,
                image.shape,
                data,
                streams=streams,
                mcs=options.mcs,
                parameters=made.parameters.pack(),
            ),
        )


class cr_recomposition(PartsBlock):
    """Generated image G and received CR to the image, HSC eq. (8). Without CR the image is G, without SR it
    is the CR over flat grey.

    Message ports: in `generated` (`Generated`) and `digital` (`Digital`); out `images` (`Image`).
    """

    def __init__(self) -> None:
        super().__init__(
            "CR Recomposition", {"generated": pdu.Generated, "digital": pdu.Digital}, ("images",)
        )

    def on_parts(self, message_id: int, parts: dict[str, pdu.Pdu]) -> None:
        first = next(iter(parts.values()))
        generated, cr = parts.get("generated"), parts.get("digital")
        if cr is not None:
            require_codec(cr.codec, HSC)
        image = codec.recompose(
            generated.pixels if generated else None,
            cr.received if cr and cr.streams else None,
            first.shape,
            codec.HscParameters.unpack((cr or first).parameters),
        )
        link = (
            {"snr_db": cr.snr_db, "packets": cr.packets, "packets_received": cr.packets_received}
            if cr
            else {}
        )
        self.publish("images", pdu.Image(message_id, image.shape, image.ravel(), **link))


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
        mcs_name: str = "16QAM-1/2",
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
