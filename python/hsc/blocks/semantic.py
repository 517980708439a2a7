"""Semantic Encoder and Decoder, and the complementary part of HSC: CR Projection, CR Recomposition."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..codecs import registry
from ..errors import HscError
from ..message import Link, ReceivedMessage
from ..systems.hda import codec as hda
from ..systems.hda import models
from ..systems.hda.analog_part import Selection
from ..systems.hsc import codec as hsc
from ..systems.hsc import models as hsc_models
from . import pdu
from .base import MessageBlock, PartsBlock, limit_torch_threads
from .hybrid import features_map, require
from .messages import LinkBlock

HSC, HDA = hsc.HscCodec.name, hda.HdaDeepScCodec.name
SERVED = (HSC, HDA, "deepjscc", "deepjscc_q")


def served(codec: str) -> registry.Codec:
    """The codec of that name. Raises HscError for one without a semantic part of its own."""
    if codec not in SERVED:
        raise HscError(f"codec '{codec}' has no Semantic Encoder: use the Message Encoder, or choose one of {', '.join(SERVED)}")
    return registry.create(codec)


class semantic_encoder(LinkBlock):
    """Images to their semantic representation, for the codecs that have one as a part.

    Message ports: in `images` (`Image`) and `snr` (optional, `Snr`, from the receiver). Out, according to the codec:
    "hsc": `analog` (`Analog`, the SR) and `generated` (`Generated`, what the receiver will make of it over an ideal channel);
    "hda_deepsc": `features` (`Features`, z), for HDA Allocation;
    "deepjscc", "deepjscc_q": `analog` (`Analog`, all of the message).

    Args:
        semantic: HSC: "vae" or "vqvae"; photographs are always served by the convolutional VAE.
        symbols: HSC: complex channel uses of the SR of a digit.
        tuning: HSC: "none", "few-shot" or "ncr".
        rank: HSC: rank of the CR for which "ncr" adapters are chosen.
        sampling: HSC: send a sample of the posterior instead of its mean.
        codec: one of SERVED.
        snr_db, cbr: what the other codecs may count on, None when unknown or the codec's own.

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
        codec: str = HSC,
        snr_db: float | None = None,
        cbr: float | None = None,
    ) -> None:
        inputs = {"images": {pdu.Image: self._encode}}
        super().__init__("Semantic Encoder", inputs, ("analog", "generated", "features"), Link(snr_db, cbr))
        self._options = hsc.HscOptions(semantic=semantic, symbols=symbols, tuning=tuning, rank=rank, sampling=sampling)
        self._codec = served(codec)
        self._make = {HSC: self._encode_hsc, HDA: self._encode_hda}.get(codec, self._encode_analog)
        limit_torch_threads()

    def set_rank(self, rank: int | None) -> None:
        """Rank of the CR for which "ncr" adapters are chosen, from the next image on."""
        self._options = replace(self._options, rank=None if rank is None else int(rank))

    def _encode(self, image: pdu.Image) -> None:
        self._make(image)

    def _encode_hsc(self, image: pdu.Image) -> None:
        options = self._options
        sr = hsc.semantic_encode(image.pixels, options)
        parameters = hsc.HscParameters(sr.model, hsc_models.TUNINGS.index(options.tuning), rank=options.rank or 0).pack()
        self.publish("analog", pdu.Analog(image.message_id, HSC, image.shape, sr.values, parameters))
        self.publish("generated", pdu.Generated(image.message_id, image.shape, sr.generated, sr.values.size, parameters))

    def _encode_hda(self, image: pdu.Image) -> None:
        hda.check_shape(image.shape)
        z = hda.semantic_encode(image.pixels, models.common())
        parameters = hda.HdaParameters(0, 0, 0, Selection(0, 0), 0).pack()  # HDA Allocation fills them in
        self.publish("features", pdu.Features(image.message_id, HDA, image.shape, z.numpy().ravel(), parameters))

    def _encode_analog(self, image: pdu.Image) -> None:
        made = self._codec.encode(image.pixels, self._link)
        self.publish("analog", pdu.Analog(image.message_id, made.codec, made.shape, made.analog, made.parameters))


class semantic_decoder(MessageBlock):
    """What the Semantic Encoder made, as it was received, to an image.

    Message ports, according to the codec:
    "hsc": in `analog` (`Analog`, the SR), out `generated` (`Generated`, G);
    "hda_deepsc": in `features` (`Features`, from HDA Fusion), out `images` (`Image`);
    "deepjscc", "deepjscc_q": in `analog` (`Analog`), out `images` (`Image`).

    Args:
        codec: one of SERVED.

    Raises:
        HscError: another codec.
    """

    def __init__(self, codec: str = HSC) -> None:
        super().__init__("Semantic Decoder")
        self._codec = served(codec)
        inputs = {"analog": {pdu.Analog: self._decode_analog}, "features": {pdu.Features: self._decode_features}}
        if codec == HSC:
            inputs["analog"] = {pdu.Analog: self._decode_hsc}
        self.open_ports(inputs, ("generated", "images"), ends=("features" if codec == HDA else "analog",))
        limit_torch_threads()

    def _decode_hsc(self, sr: pdu.Analog) -> None:
        require(sr.codec, HSC)
        generated = hsc.semantic_decode(sr.received, sr.shape, hsc.HscParameters.unpack(sr.parameters))
        self.counters["without_sr"] += generated is None
        data = np.zeros(0, np.float32) if generated is None else generated
        self.publish("generated", pdu.Generated(sr.message_id, sr.shape, data, parameters=sr.parameters))

    def _decode_features(self, features: pdu.Features) -> None:
        require(features.codec, HDA)
        model = models.load(models.PROFILES[hda.HdaParameters.unpack(features.parameters).profile])
        variance = np.zeros_like(features.values) if features.variance is None else features.variance
        fused = hda.Fused(*(features_map(part, features.shape) for part in (features.values, variance)))
        self._show(hda.semantic_decode(fused, features.shape, model), features)

    def _decode_analog(self, stream: pdu.Analog) -> None:
        require(stream.codec, self._codec.name)
        received = ReceivedMessage(stream.codec, stream.shape, stream.parameters, stream.received, (), stream.snr_db)
        self._show(self._codec.decode(received), stream)

    def _show(self, image: np.ndarray, part: pdu.Features | pdu.Analog) -> None:
        link = {name: getattr(part, name, None) for name in ("snr_db", "packets", "packets_received")}
        self.publish("images", pdu.Image(part.message_id, image.shape, image.ravel(), **link))


class cr_projection(PartsBlock):
    """Image and predicted image G to the complementary representation (CR), HSC eq. (2): A and the projected image.

    Message ports: in `images` (`Image`) and `generated` (`Generated`); out `digital` (`Digital`). Of `rank`, `psnr_db` and `cbr` at
    most one is given; it may change at run time.

    Args:
        rank: k, 0 sends the SR alone.
        psnr_db: PSNR that the recomposed image would have over an ideal channel [dB].
        cbr: complex channel uses of SR and CR over C·H·W.
        cr: coding, "projection", "residual" (smallest, but what the channel does to the SR stays in the image) or "paper".
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
        mcs_name: str = hsc.DEFAULT_MCS,
    ) -> None:
        super().__init__("CR Projection", {"images": pdu.Image, "generated": pdu.Generated}, ("digital",))
        self._coding = {"cr": cr, "jpeg2000_ratio": jpeg2000_ratio, "mcs": mcs_name or hsc.DEFAULT_MCS}
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
        self._coding = {**self._coding, "mcs": mcs_name or hsc.DEFAULT_MCS}

    def _set_amount(self, **amount: float | None) -> None:
        hsc.HscOptions(**amount, **self._coding)  # refuses what is impossible
        self._amount = amount

    def on_parts(self, message_id: int, parts: dict[str, pdu.Pdu]) -> None:
        if len(parts) < 2:
            raise HscError(f"message {message_id}: only '{next(iter(parts))}' came, the other failed or is not connected")
        image, generated = parts["images"], parts["generated"]
        known = hsc.HscParameters.unpack(generated.parameters)
        tuning = hsc_models.TUNINGS[known.tuning]
        # NCR adapters are made for a rank: that of the SR at hand counts, also while the rank is being changed.
        amount = {"rank": known.rank} if tuning == "ncr" else self._amount
        options = hsc.HscOptions(**amount, **self._coding, tuning=tuning)
        if generated.pixels is None or generated.shape != image.shape:
            raise HscError(f"message {message_id}: the generated image does not belong to this image")
        sr = hsc.Semantic(np.zeros(generated.sr_values, np.float32), generated.pixels, known.model)
        made = hsc.complementary_encode(image.pixels, sr, options)
        self.counters["rank"] = made.parameters.rank
        data = np.frombuffer(made.data, np.uint8)
        streams = 1 if made.data else 0
        self.publish(
            "digital",
            pdu.Digital(message_id, HSC, image.shape, data, streams=streams, mcs=options.mcs, parameters=made.parameters.pack()),
        )


class cr_recomposition(PartsBlock):
    """Generated image G and received CR to the image, HSC eq. (8). Without CR the image is G, without SR it is the CR over flat grey.

    Message ports: in `generated` (`Generated`) and `digital` (`Digital`); out `images` (`Image`).
    """

    def __init__(self) -> None:
        super().__init__("CR Recomposition", {"generated": pdu.Generated, "digital": pdu.Digital}, ("images",))

    def on_parts(self, message_id: int, parts: dict[str, pdu.Pdu]) -> None:
        first = next(iter(parts.values()))
        generated, cr = parts.get("generated"), parts.get("digital")
        if cr is not None:
            require(cr.codec, HSC)
        image = hsc.recompose(
            generated.pixels if generated else None,
            cr.received if cr and cr.streams else None,
            first.shape,
            hsc.HscParameters.unpack((cr or first).parameters),
        )
        link = {"snr_db": cr.snr_db, "packets": cr.packets, "packets_received": cr.packets_received} if cr else {}
        self.publish("images", pdu.Image(message_id, image.shape, image.ravel(), **link))
