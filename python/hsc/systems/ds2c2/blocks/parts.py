"""The parts of figure 1 of the paper as blocks: Base and Residual Encoder, Base and Residual Decoder."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ....blocks import pdu
from ....blocks.base import MessageBlock, PartsBlock, limit_torch_threads, require_codec
from ....blocks.link_block import LinkBlock, Waiting
from ....codecs.contract import Decoded
from ....codecs.options import options_of
from ....coding import budget
from ....errors import HscError
from ....message import Link, Message, ReceivedDigital
from ....nn import planes
from ....phy import digital
from .. import base, bits, semantic_map
from ..base_contexts import LARGEST
from ..base_network import CHANNELS, CLASSES
from ..latents import latent_shape, tokens
from ..options import Ds2c2Options
from ..parameters import NAME, Ds2c2Parameters
from ..receiving import BASE_BROKEN, BASE_LOST, GREY, Symbols, image_of, received_base
from ..sending import Terms, base_layer, base_message, residual
from .streams import BASE, RESIDUAL, STREAMS, features_of

DEFAULT_CODING = Ds2c2Options.coding
DEFAULT_STEPS = Ds2c2Options.steps
DEFAULT_SEMANTIC = Ds2c2Options.semantic


class ds2c2_base_encoder(LinkBlock):
    """Images to their base layer: CompNet, entropy coder, RaptorQ.

    Message ports: in `images` (`Image`) and `snr` (optional, `Snr`, from the receiver); out `base`
    (`Digital`, with its MCS), for the Residual Encoder.

    Args:
        fineness: 0 (coarsest) to 4; None for the finest that its share of the budget holds.
        semantic: "derived" or "sent": whether the semantic map is part of the base layer.
        repair_share: RaptorQ repair symbols over all symbols of the base layer; None: as many as the losses
            that a Link Adaptation tells call for, else a tenth.
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
        repair_share: float | None = None,
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

    def set_repair_share(self, repair_share: float | None) -> None:
        """Share from the next image on. Raises HscError for an impossible one."""
        self._options = replace(self._options, repair_share=repair_share)

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
            stream=BASE,
            streams=STREAMS,
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
        self._images: Waiting[pdu.Image] = Waiting(self, "images wait for their base layer")
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

    def on_failed(self, failed: pdu.Failed) -> None:
        self._images.pop(failed.message_id, None)
        super().on_failed(failed)

    def _keep(self, image: pdu.Image) -> None:
        self._images.put(image.message_id, image)

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
        self.publish("digital", replace(layer, data=data, stream=RESIDUAL, mcs=terms.residual_mcs))


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
        if layer.stream != BASE:
            return
        planes.check_shape(layer.shape)
        known = Ds2c2Parameters.unpack(layer.parameters)
        found = received_base(layer.received, known, layer.shape)
        if found is None:
            raise HscError(f"message {layer.message_id}: {BASE_LOST}")
        if not found.whole:
            self.fail_in_part(layer.message_id, (BASE_BROKEN,))
        values = found.c.ravel() if found.labels is None else np.r_[found.c.ravel(), found.labels.ravel()]
        variance = None if found.whole else np.full(values.size, np.inf, np.float32)
        self.publish("base", features_of(layer, values, variance))
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
