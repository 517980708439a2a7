"""HDA-DeepSC as blocks, as figure 2 of the paper draws it: semantic coders, HDA Allocation, HDA Fusion, and
the whole of both ends.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ...blocks import message_parts, pdu
from ...blocks.base import MessageBlock, PartsBlock, limit_torch_threads, require_codec
from ...blocks.collector import DEFAULT_HOLD
from ...blocks.link_block import LinkBlock
from ...blocks.parts_link import PartsReceiver, PartsTransmitter
from ...codecs.contract import Decoded
from ...coding.analog_part import Selection, features_map
from ...message import Link
from ...nn.planes import check_shape
from ...phy.numerology import AUTO
from ...phy.packets import DEFAULT_PACKET_SYMBOLS
from ...refiner import bands
from . import models
from .allocation import NAME, allocate
from .codec import semantic_decode, semantic_encode
from .fusion import Fused, fuse
from .options import HdaOptions, key_bytes
from .parameters import HdaParameters


class hda_semantic_encoder(LinkBlock):
    """Images to the semantic features z of HDA-DeepSC, eq. (1), for HDA Allocation.

    Message ports: in `images` (`Image`) and `snr` (optional, unused); out `features` (`Features`).
    """

    def __init__(self) -> None:
        super().__init__("Semantic Encoder", {"images": {pdu.Image: self._encode}}, ("features",), Link())
        limit_torch_threads()

    def _encode(self, image: pdu.Image) -> None:
        z = semantic_encode(image.pixels, models.common()).numpy().ravel()
        parameters = HdaParameters(0, 0, 0, Selection(0, 0), 0).pack()  # HDA Allocation fills them in.
        self.publish("features", pdu.Features(image.message_id, NAME, image.shape, z, parameters))


class hda_semantic_decoder(MessageBlock):
    """Received features of HDA-DeepSC to the image, eq. (12).

    Message ports: in `features` (`Features`, from HDA Fusion); out `images` (`Image`).

    Args:
        restorer: take away some of the error by a last stage that the paper lacks.
    """

    def __init__(self, restorer: bool = False) -> None:
        super().__init__("Semantic Decoder")
        self._restorer = models.load_restorer() if restorer else None
        self.open_ports({"features": {pdu.Features: self._decode}}, ("images",))
        limit_torch_threads()

    def _decode(self, features: pdu.Features) -> None:
        require_codec(features.codec, NAME)
        model = models.load(models.PROFILES[HdaParameters.unpack(features.parameters).profile])
        variance = np.zeros_like(features.values) if features.variance is None else features.variance
        z = features_map(features.values, features.shape)
        fused = Fused(z, features_map(variance, features.shape))
        known = features.variance is not None
        image = semantic_decode(fused, features.shape, model, self._restorer if known else None)
        error = bands.of_image(fused.variance, features.shape) if known else None
        link = {
            "snr_db": features.snr_db,
            "packets": features.packets,
            "packets_received": features.packets_received,
        }
        self.publish("images", pdu.Image.of(features.message_id, Decoded(image, error=error), **link))


class hda_allocation(LinkBlock):
    """Features z to the essential and the auxiliary part: allocation, entropy coder, cipher, analog channel
    encoder, eqs. (2) to (4).

    Message ports: in `features` (`Features`) and `snr` (optional, `Snr`, from the receiver: it sets the MCS
    and the gains of the next image); out `analog` (`Analog`) and `digital` (`Digital`, with its MCS).

    Args:
        da_ratio: digital over analog channel uses, an upper limit; None to have it chosen.
        key: AES-256 key of the digital part: 64 hexadecimal digits, a file that holds them, or 32 bytes;
            empty for none.
        repair_share: RaptorQ repair symbols over all symbols of the digital part; None: as many as the
            losses that a Link Adaptation tells call for, else a tenth.
        snr_db: Es/N0 to count on [dB]; None when unknown.
        cbr: budget of payload channel uses / (C·H·W); None for 1/6.
        mcs_name: MCS of the digital part; empty: the best for the SNR, the most robust when that is unknown.

    Raises:
        HscError: an option, key or MCS that is not possible.
    """

    def __init__(
        self,
        da_ratio: float | None = 0.2,
        key: str | bytes | None = None,
        repair_share: float | None = None,
        snr_db: float | None = None,
        cbr: float | None = None,
        mcs_name: str = "",
    ) -> None:
        link = Link(snr_db, cbr, mcs_name or None)
        super().__init__(
            "HDA Allocation", {"features": {pdu.Features: self._allocate}}, ("analog", "digital"), link
        )
        self._options = HdaOptions(da_ratio=da_ratio, key=key_bytes(key), repair_share=repair_share)
        limit_torch_threads()

    def set_da_ratio(self, da_ratio: float | None) -> None:
        """Digital over analog channel uses from the next image on. Raises HscError for what is no ratio."""
        self._options = replace(self._options, da_ratio=da_ratio)

    def set_key(self, key: str | bytes | None) -> None:
        """Key from the next image on. Raises HscError for what is none."""
        self._options = replace(self._options, key=key_bytes(key))

    def _allocate(self, features: pdu.Features) -> None:
        require_codec(features.codec, NAME)
        z = features_map(features.values, features.shape)
        made = allocate(z, features.shape, self._link, self._options)
        self.counters["digital_bytes"] = len(made.digital[0].data)
        message_parts.publish(self, features.message_id, made)


class hda_fusion(PartsBlock):
    """Received parts to features ẑ: channel decoder, cipher, entropy decoder and HDA fusion, eqs. (8), (10),
    (11) and (16).

    Message ports: in `analog` (`Analog`) and `digital` (`Digital`); out `features` (`Features`). A part that
    failed or never came is left out. Chunks that came whole and do not open, because they were altered or the
    key is another, are an error of this block; the features go out without them.

    Args:
        key: as of `hda_allocation`.

    Attributes:
        counters: `lost_regions` and `closed_chunks` in addition.

    Raises:
        HscError: what is no key.
    """

    def __init__(self, key: str | bytes | None = None) -> None:
        super().__init__("HDA Fusion", {"analog": pdu.Analog, "digital": pdu.Digital}, ("features",))
        self.set_key(key)
        limit_torch_threads()

    def set_key(self, key: str | bytes | None) -> None:
        """Key from the next image on. Raises HscError for what is none."""
        self._key = key_bytes(key)

    def on_parts(self, message_id: int, parts: dict[Any, pdu.Pdu]) -> None:
        received, link = message_parts.received(parts, NAME)
        parameters = HdaParameters.unpack(received.parameters)
        model = models.load(models.PROFILES[parameters.profile])
        check_shape(received.shape)
        fused = fuse(received, self._key, model, parameters)
        self.counters["lost_regions"] += fused.lost
        self.counters["closed_chunks"] += fused.closed
        self.fail_in_part(message_id, fused.notices)
        z, variance = (part.numpy().ravel() for part in (fused.z, fused.variance))
        head, known = (message_id, NAME, received.shape), (received.parameters, variance, received.snr_db)
        self.publish("features", pdu.Features(*head, z, *known, **link))


class hda_transmitter(PartsTransmitter):
    """Images to samples with HDA-DeepSC, from its parts: Semantic Encoder, HDA Allocation, modulators,
    Message Mux, OFDM Transmitter.

    Message ports: in `images` (`Image`) and `snr` (optional, `Snr`, from the receiver); out `sent` (`Sent` or
    `Failed`) and `status`. Stream out: complex samples. Arguments are those of these blocks.

    Raises:
        HscError: as these do.
    """

    def __init__(
        self,
        da_ratio: float | None = 0.2,
        key: str | bytes | None = None,
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
        super().__init__("HDA Transmitter", packet_symbols, *air)
        self.semantic_encoder = hda_semantic_encoder()
        self.allocation = hda_allocation(da_ratio, key, repair_share, snr_db, cbr, mcs_name)
        connections = (
            ((self, "images"), (self.semantic_encoder, "images")),
            ((self, "snr"), (self.allocation, "snr")),
            ((self.semantic_encoder, "features"), (self.allocation, "features")),
        )
        self.wire_parts(self.allocation, self.allocation, ("images", "snr"), (), connections)
        self.set_snr_db, self.set_mcs = self.allocation.set_snr_db, self.allocation.set_mcs
        self.set_key = self.allocation.set_key


class hda_receiver(PartsReceiver):
    """Samples to images with HDA-DeepSC, from its parts: OFDM Receiver, Message Demux, demodulators, HDA
    Fusion, Semantic Decoder.

    Stream in: complex samples. Message ports: out `images` (`Image`), `snr` (`Snr`, for the transmitter),
    `packets` and `symbols` (as of `ofdm_receiver`), `status`.

    Args:
        key: the transmitter's; without it, or with another, the image is what the analog part alone gives.
        numerology: preset of `phy.ofdm`, or "auto" for any.
        hold: patience with a message of which packets are missing [samples].
        restorer: as of `hda_semantic_decoder`.

    Raises:
        HscError: unknown numerology, or what is no key.
    """

    def __init__(
        self,
        key: str | bytes | None = None,
        numerology: str = AUTO,
        hold: int = DEFAULT_HOLD,
        restorer: bool = False,
    ) -> None:
        super().__init__("HDA Receiver", numerology, hold)
        self.fusion, self.semantic_decoder = hda_fusion(key), hda_semantic_decoder(restorer)
        connections = (
            ((self.demux, "snr"), (self, "snr")),
            ((self.fusion, "features"), (self.semantic_decoder, "features")),
        )
        self.wire_parts(self.fusion, self.fusion, self.semantic_decoder, ("snr",), connections)
        self.set_key = self.fusion.set_key
