"""DS²C² as blocks, as figures 1 and 2 of the paper cut it: Base and Residual Encoder, Bit Interleaver, Bit
Deinterleaver, Base and Residual Decoder, and the whole of both ends.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from typing import Any

import numpy as np

from ...blocks import pdu
from ...blocks.base import MessageBlock, PartsBlock, limit_torch_threads, require_codec
from ...blocks.collector import DEFAULT_HOLD
from ...blocks.link_block import LinkBlock
from ...blocks.parts_link import PartsReceiver, PartsTransmitter
from ...codecs.contract import Decoded
from ...codecs.options import options_of
from ...coding import budget
from ...errors import HscError
from ...message import Link, Message, ReceivedDigital
from ...nn import planes
from ...phy import digital
from ...phy.numerology import AUTO
from ...phy.packets import DEFAULT_PACKET_SYMBOLS
from . import base, bits, semantic_map
from .base_contexts import LARGEST
from .base_network import CHANNELS, CLASSES
from .latents import latent_shape, tokens
from .options import Ds2c2Options
from .parameters import NAME, Ds2c2Parameters
from .receiving import BASE_BROKEN, BASE_LOST, GREY, Symbols, image_of, received_base
from .sending import Terms, base_layer, base_message, residual

DEFAULT_CODING = Ds2c2Options.coding
DEFAULT_STEPS = Ds2c2Options.steps
DEFAULT_SEMANTIC = Ds2c2Options.semantic
DEFAULT_REPAIR_SHARE = Ds2c2Options.repair_share
# The streams of a message.
_BASE, _RESIDUAL, _STREAMS = 1, 2, 2
# Images that wait for their base layer.
_WAITING = 16


class ds2c2_base_encoder(LinkBlock):
    """Images to their base layer: CompNet, entropy coder, RaptorQ.

    Message ports: in `images` (`Image`) and `snr` (optional, `Snr`, from the receiver); out `base`
    (`Digital`, with its MCS), for the Residual Encoder.

    Args:
        fineness: 0 (coarsest) to 4; None for the finest that its share of the budget holds.
        semantic: "derived" or "sent": whether the semantic map is part of the base layer.
        repair_share: RaptorQ repair symbols over all symbols of the base layer.
        snr_db: Es/N0 to count on [dB]; None when unknown.
        cbr: budget of payload channel uses / (C·H·W), of both layers together; None for 1/6.
        mcs_name: MCS of the base layer; empty: the best for the SNR with 3 dB to spare, the most robust when
            that is unknown.

    Raises:
        HscError: an option or MCS that is not possible.
    """

    def __init__(
        self,
        fineness: int | None = None,
        semantic: str = DEFAULT_SEMANTIC,
        repair_share: float = DEFAULT_REPAIR_SHARE,
        snr_db: float | None = None,
        cbr: float | None = None,
        mcs_name: str = "",
    ) -> None:
        super().__init__(
            "DS2C2 Base Encoder",
            {"images": {pdu.Image: self._encode}},
            ("base",),
            Link(snr_db, cbr, mcs_name or None),
        )
        given = {"fineness": fineness, "semantic": semantic, "repair_share": repair_share}
        self._options = options_of(Ds2c2Options, NAME, given)
        limit_torch_threads()

    def set_fineness(self, fineness: int | None) -> None:
        """Fineness from the next image on. Raises HscError for one that there is not."""
        self._options = replace(self._options, fineness=fineness)

    def set_repair_share(self, repair_share: float) -> None:
        """Share from the next image on. Raises HscError for an impossible one."""
        self._options = replace(self._options, repair_share=repair_share)

    def on_setting(self, setting: pdu.LinkSetting) -> None:
        super().on_setting(setting)
        if setting.repair_share is not None:
            self.set_repair_share(setting.repair_share)

    def _encode(self, image: pdu.Image) -> None:
        planes.check_shape(image.shape)

        def made(uses: int) -> Message:
            terms = Terms.of(image.shape, uses, self._link, self._options)
            return base_message(base_layer(image.pixels, terms), terms)

        sent = budget.within(self._link, image.shape, made)
        (stream,) = sent.digital
        self.counters["base_bytes"] = len(stream.data)
        layer = pdu.Digital(
            image.message_id,
            NAME,
            image.shape,
            np.frombuffer(stream.data, np.uint8),
            stream=_BASE,
            streams=_STREAMS,
            mcs=stream.mcs,
            parameters=sent.parameters,
        )
        self.publish("base", layer)


class ds2c2_residual_encoder(LinkBlock):
    """Images and their base layer to the residual, for what is left of the budget: BResNet's encoder and the
    binarizer, or chunks.

    Message ports: in `base` (`Digital`, of the Base Encoder), `images` (`Image`, the same ones) and `snr`
    (optional, `Snr`, from the receiver); out `digital` (`Digital`: the base layer, then the residual, each
    with its MCS).

    Args:
        coding: "dispersed", entropy-coded chunks that are decodable alone (ours); or "binary", the paper's,
            which the Bit Interleaver goes behind.
        rate: bits per pixel of a binary residual: "0.13", "0.26", "0.54" or "1.0"; None for the most that the
            budget holds.
        steps: of FineNet before a binary residual.
        snr_db, cbr: as of the Base Encoder.
        mcs_name: MCS of the residual; empty: the best for the SNR with 1 dB to spare, the most robust when
            that is unknown.

    Raises:
        HscError: an option or MCS that is not possible.
    """

    def __init__(
        self,
        coding: str = DEFAULT_CODING,
        rate: str | None = None,
        steps: int = DEFAULT_STEPS,
        snr_db: float | None = None,
        cbr: float | None = None,
        mcs_name: str = "",
    ) -> None:
        self._images: OrderedDict[int, pdu.Image] = OrderedDict()
        super().__init__(
            "DS2C2 Residual Encoder",
            {"base": {pdu.Digital: self._encode}},
            ("digital",),
            Link(snr_db, cbr, mcs_name or None),
            {"images": {pdu.Image: self._keep, pdu.Failed: self.ignore, pdu.End: self.ignore}},
        )
        self._options = options_of(
            Ds2c2Options, NAME, {"coding": coding, "rate": rate or None, "steps": steps}
        )
        limit_torch_threads()

    def set_rate(self, rate: str | None) -> None:
        """Rate from the next image on. Raises HscError for one that there is not."""
        self._options = options_of(Ds2c2Options, NAME, {**vars(self._options), "rate": rate or None})

    def _keep(self, image: pdu.Image) -> None:
        self._images[image.message_id] = image
        while len(self._images) > _WAITING:
            self._images.popitem(last=False)

    def _encode(self, layer: pdu.Digital) -> None:
        require_codec(layer.codec, NAME)
        image, known = self._images.pop(layer.message_id, None), Ds2c2Parameters.unpack(layer.parameters)
        if image is None or image.shape != layer.shape:
            raise HscError(
                f"message {layer.message_id}: its image did not come, connect the images of the Base Encoder"
            )
        found = received_base(layer.received, known, layer.shape)
        if found is None or not found.whole or not layer.mcs:
            raise HscError(f"message {layer.message_id}: its base layer is not that of a Base Encoder")
        rest = budget.channel_uses(self._link, layer.shape) - digital.symbol_count(len(layer.data), layer.mcs)
        terms = Terms.of(layer.shape, rest, self._link, self._options)
        own = residual(image.pixels, found.c, known.fineness, rest, terms, found.labels)
        self.counters["residual_bytes"] = len(own.data)
        settings = {"coding": self._options.coding, "steps": self._options.steps, "level": own.level}
        layer = replace(layer, parameters=replace(known, **settings).pack())
        data = np.frombuffer(own.data, np.uint8)
        self.publish("digital", layer)
        self.publish("digital", replace(layer, data=data, stream=_RESIDUAL, mcs=terms.residual_mcs))


class _BitBlock(MessageBlock):
    """Base of the interleaver and its inverse.

    Args:
        name: of the block.
        output: its output port.
        block_bytes: unit of loss that bits are spread over [bytes]; 0: an LDPC block of the stream's MCS.

    Raises:
        HscError: a negative size.
    """

    def __init__(self, name: str, output: str, block_bytes: int) -> None:
        super().__init__(name)
        self.open_ports({"digital": {pdu.Digital: self._take}}, (output,))
        if block_bytes < 0:
            raise HscError(f"blocks of {block_bytes} bytes: give the bytes of a block, or 0 for LDPC blocks")
        self._block_bytes = int(block_bytes)

    def _take(self, stream: pdu.Digital) -> None:
        require_codec(stream.codec, NAME)
        known = Ds2c2Parameters.unpack(stream.parameters)
        bitwise = stream.stream == _RESIDUAL and known.coding == "binary" and stream.data.size
        if not bitwise:
            self.pass_by(stream)
            return
        size = self._block_bytes or stream.received.block_bytes
        if not size:
            raise HscError(f"message {stream.message_id}: no MCS in the PDU, set the bytes of a block")
        self.permute(stream, latent_shape(known.level, stream.shape), size)

    def pass_by(self, stream: pdu.Digital) -> None:
        """Take what is not to be interleaved: another layer, or chunks, which are dispersed as they are."""
        raise NotImplementedError

    def permute(self, stream: pdu.Digital, latent: tuple[int, int, int], block_bytes: int) -> None:
        """Take the bits of a latent (C, h, w)."""
        raise NotImplementedError


class ds2c2_bit_interleaver(_BitBlock):
    """Spreads the bits of a binary residual over its blocks (figure 2). What else comes is passed on.

    Message ports: in `digital` (`Digital`, of the Residual Encoder), out `digital` (`Digital`).

    Args:
        block_bytes: unit of loss [bytes]; 0: an LDPC block of the stream's MCS. The same at both ends.

    Raises:
        HscError: a negative size.
    """

    def __init__(self, block_bytes: int = 0) -> None:
        super().__init__("DS2C2 Bit Interleaver", "digital", block_bytes)

    def pass_by(self, stream: pdu.Digital) -> None:
        self.publish("digital", stream)

    def permute(self, stream: pdu.Digital, latent: tuple[int, int, int], block_bytes: int) -> None:
        data = bits.interleave(stream.data.tobytes(), latent, block_bytes)
        self.publish("digital", replace(stream, data=np.frombuffer(data, np.uint8)))


class ds2c2_bit_deinterleaver(_BitBlock):
    """Puts the bits of a binary residual back in their places (figure 2). Chunks are passed on, and the base
    layer is left to the Base Decoder.

    Message ports: in `digital` (`Digital`, of a Digital Demodulator), out `residual` (`Features`: symbols −1
    and 1, or 0 with variance 1 where lost; or `Digital`, chunks).

    Args:
        block_bytes: as of the Bit Interleaver.
        told: False: lost bits read as zeros that were sent, as in the paper.

    Raises:
        HscError: a negative size.
    """

    def __init__(self, block_bytes: int = 0, told: bool = True) -> None:
        super().__init__("DS2C2 Bit Deinterleaver", "residual", block_bytes)
        self.set_told(told)

    def set_told(self, told: bool) -> None:
        """Whether losses are known, from the next message on."""
        self._told = bool(told)

    def pass_by(self, stream: pdu.Digital) -> None:
        if stream.stream == _RESIDUAL:
            self.publish("residual", stream)

    def permute(self, stream: pdu.Digital, latent: tuple[int, int, int], block_bytes: int) -> None:
        came = stream.received
        symbols, known = bits.deinterleave(came.data, came.received, latent, block_bytes, self._told)
        self.publish("residual", _features(stream, symbols, (~known).astype(np.float32)))


class ds2c2_base_decoder(MessageBlock):
    """The received base layer to c, x′ and the semantic map s.

    Message ports: in `digital` (`Digital`, of a Digital Demodulator); out `base` (`Features`: c, with an
    infinite variance where some of it is lost), `images` (`Image`, x′) and `semantic` (`Image`, s in the
    colours of CamVid). A base layer of which nothing can be decoded is a failure, an incomplete one too, and
    it is shown as far as it came.
    """

    def __init__(self) -> None:
        super().__init__("DS2C2 Base Decoder")
        self.open_ports({"digital": {pdu.Digital: self._decode}}, ("base", "images", "semantic"))
        limit_torch_threads()

    def _decode(self, layer: pdu.Digital) -> None:
        require_codec(layer.codec, NAME)
        if layer.stream != _BASE:
            return
        planes.check_shape(layer.shape)
        known = Ds2c2Parameters.unpack(layer.parameters)
        found = received_base(layer.received, known, layer.shape)
        if found is None:
            raise HscError(f"message {layer.message_id}: {BASE_LOST}")
        if not found.whole:
            self.fail(None, f"message {layer.message_id}: {BASE_BROKEN}")
        values = found.c.ravel() if found.labels is None else np.r_[found.c.ravel(), found.labels.ravel()]
        variance = None if found.whole else np.full(values.size, np.inf, np.float32)
        self.publish("base", _features(layer, values, variance))
        if self.connected("images"):
            shown = image_of(found.c, None, known, layer.shape, found.labels)
            self._show("images", layer, shown, "base layer")
        if self.connected("semantic"):
            s = base.synthesise(found.c, known.fineness, layer.shape, 0, found.labels).semantic
            self._show("semantic", layer, semantic_map.picture(s, layer.shape), "semantic map")

    def _show(self, port: str, layer: pdu.Digital, image: np.ndarray, part: str) -> None:
        link = {"snr_db": layer.snr_db, "part": part}
        self.publish(port, pdu.Image(layer.message_id, image.shape, image.ravel(), **link))


class ds2c2_residual_decoder(PartsBlock):
    """Base layer and received residual to the image: BResNet's decoder and SumNet, or the network behind
    chunks.

    Message ports: in `base` (`Features`, of the Base Decoder) and `residual` (`Features` or `Digital`, of the
    Bit Deinterleaver; or `Digital` of what no interleaver has touched); out `images` (`Image`). Without
    residual the image is what the base layer gives; without base layer it is grey.
    """

    def __init__(self) -> None:
        parts = {"base": pdu.Features, "residual": (pdu.Features, pdu.Digital)}
        super().__init__("DS2C2 Residual Decoder", parts, ("images",))
        limit_torch_threads()

    def on_parts(self, message_id: int, parts: dict[Any, pdu.Pdu]) -> None:
        first, layer, own = next(iter(parts.values())), parts.get("base"), parts.get("residual")
        require_codec(first.codec, NAME)
        planes.check_shape(first.shape)
        known = Ds2c2Parameters.unpack(first.parameters)
        decoded = Decoded(np.full(first.shape, GREY, np.uint8), (BASE_LOST,))
        if layer is not None:
            whole = layer.variance is None
            arrived = _arrived(own, known) if whole and own is not None else None
            c, labels = _layer(layer)
            image = image_of(c, arrived, known, layer.shape, labels)
            decoded = Decoded(image, () if whole else (BASE_BROKEN,))
        link = {"packets": first.packets, "packets_received": first.packets_received}
        self.publish("images", pdu.Image.of(message_id, decoded, snr_db=first.snr_db, **link))


def _features(stream: pdu.Digital, values: np.ndarray, variance: np.ndarray | None) -> pdu.Features:
    """Integers that a stream gave, with what is known of its message."""
    return pdu.Features(
        stream.message_id,
        stream.codec,
        stream.shape,
        values.ravel().astype(np.float32),
        stream.parameters,
        None if variance is None else variance.ravel(),
        stream.snr_db,
        stream.packets,
        stream.packets_received,
    )


def _layer(layer: pdu.Features) -> tuple[np.ndarray, np.ndarray | None]:
    """c of a Base Decoder, int64 (CHANNELS, h, w), and the labels of a semantic map that was sent. Raises
    HscError for what is none.
    """
    shape, places = (CHANNELS, *base.cells(layer.shape)), tokens(layer.shape)
    c, labels = np.split(layer.values, [min(np.prod(shape), layer.values.size)])
    # A NaN fails too.
    if c.size != np.prod(shape) or not (np.abs(c) <= LARGEST).all():
        raise HscError(f"message {layer.message_id}: its base layer is not that of a Base Decoder")
    c = c.astype(np.int64).reshape(shape)
    if not labels.size:
        return c, None
    if labels.size != np.prod(places) or not ((labels >= 0) & (labels < CLASSES)).all():
        raise HscError(f"message {layer.message_id}: its semantic map is not that of a Base Decoder")
    return c, labels.astype(np.int64).reshape(places)


def _arrived(own: pdu.Features | pdu.Digital, known: Ds2c2Parameters) -> Symbols | ReceivedDigital | None:
    """A residual at the port, as `image_of` takes it. Raises HscError for one that is none."""
    if isinstance(own, pdu.Digital):
        came = own.received
        if known.coding == "dispersed" or not came.data:
            return came if came.data else None
        return Symbols(*bits.unpack(came.data, came.received, latent_shape(known.level, own.shape)))
    latent = latent_shape(known.level, own.shape)
    if known.coding != "binary" or own.values.size != np.prod(latent) or own.variance is None:
        raise HscError(f"message {own.message_id}: its residual is not that of a Bit Deinterleaver")
    values = own.values.reshape(latent).astype(np.int8)
    return Symbols(values, own.variance.reshape(latent) < 1)


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
