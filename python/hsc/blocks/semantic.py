"""The semantic and complementary parts of HSC: Semantic Encoder and Decoder, CR Projection, CR Recomposition."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..codecs import hsc as codec
from ..codecs import hsc_models
from ..errors import HscError
from . import pdu
from .base import Joiner, MessageBlock, limit_torch_threads

_NAME = codec.HscCodec.name


class semantic_encoder(MessageBlock):
    """Images to the semantic representation (SR). The predicted image G is what the receiver will make of it, over an ideal channel.

    Message ports: in `images` (`Image`); out `analog` (`Analog`, the SR) and `generated` (`Generated`, G).

    Args:
        semantic: "vae" or "vqvae"; photographs are always served by the convolutional VAE.
        symbols: complex channel uses of the SR of a digit.
        tuning: "none", "few-shot" or "ncr".
        rank: rank of the CR for which "ncr" adapters are chosen.
        sampling: send a sample of the posterior instead of its mean.

    Raises:
        HscError: unknown option.
    """

    def __init__(
        self, semantic: str = "vae", symbols: int = 8, tuning: str = "none", rank: int | None = None, sampling: bool = False
    ) -> None:
        super().__init__("Semantic Encoder")
        self.open_ports({"images": {pdu.Image: self._encode}}, ("analog", "generated"))
        self._options = codec.HscOptions(semantic=semantic, symbols=symbols, tuning=tuning, rank=rank, sampling=sampling)
        limit_torch_threads()

    def set_rank(self, rank: int | None) -> None:
        """Rank of the CR for which "ncr" adapters are chosen, from the next image on."""
        self._options = replace(self._options, rank=None if rank is None else int(rank))

    def _encode(self, image: pdu.Image) -> None:
        options = self._options
        sr = codec.semantic_encode(image.pixels, options)
        parameters = codec.HscParameters(sr.model, hsc_models.TUNINGS.index(options.tuning), rank=options.rank or 0).pack()
        self.publish("analog", pdu.Analog(image.message_id, _NAME, image.shape, sr.values, parameters))
        self.publish("generated", pdu.Generated(image.message_id, image.shape, sr.generated, sr.values.size, parameters))


class semantic_decoder(MessageBlock):
    """The received SR to the generated image G. Message ports: in `analog` (`Analog`), out `generated` (`Generated`)."""

    def __init__(self) -> None:
        super().__init__("Semantic Decoder")
        self.open_ports({"analog": {pdu.Analog: self._decode}}, ("generated",))
        limit_torch_threads()

    def _decode(self, sr: pdu.Analog) -> None:
        _require_hsc(sr.codec)
        generated = codec.semantic_decode(sr.received, sr.shape, codec.HscParameters.unpack(sr.parameters))
        self.counters["without_sr"] += generated is None
        data = np.zeros(0, np.float32) if generated is None else generated
        self.publish("generated", pdu.Generated(sr.message_id, sr.shape, data, parameters=sr.parameters))


class _Pair(MessageBlock):
    """Base of the blocks that join two parts of a message by its id."""

    def __init__(self, name: str, inputs: dict[str, type[pdu.Pdu]], outputs: tuple[str, ...]) -> None:
        super().__init__(name)
        self._joiner = Joiner()
        self.open_ports({port: {kind: self._putter(port), pdu.Failed: self._putter(port)} for port, kind in inputs.items()}, outputs)

    @abstractmethod
    def on_pair(self, message_id: int, parts: dict[str, pdu.Pdu]) -> None:
        """Take the parts of a message, at least one; those that failed or never came are missing."""

    def on_end(self) -> None:
        for message_id, parts in self._joiner.flush():
            self._serve(message_id, parts)

    def _putter(self, port: str) -> Callable[[pdu.Pdu], None]:
        return lambda part: self._put(port, part)

    def _put(self, port: str, part: pdu.Pdu) -> None:
        parts = self._joiner.put(part.message_id, port, part)
        if len(parts) == 2 and self._joiner.take(part.message_id):
            self._serve(part.message_id, parts)
        for message_id, some in self._joiner.overflow():
            self._serve(message_id, some)

    def _serve(self, message_id: int, parts: dict[str, pdu.Pdu]) -> None:
        good = {port: part for port, part in parts.items() if not isinstance(part, pdu.Failed)}
        with self.contain(message_id):
            if good:
                self.on_pair(message_id, good)
            else:
                self.on_failed(next(iter(parts.values())))


class cr_projection(_Pair):
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
        codec.HscOptions(**amount, **self._coding)  # refuses what is impossible
        self._amount = amount

    def on_pair(self, message_id: int, parts: dict[str, pdu.Pdu]) -> None:
        if len(parts) < 2:
            raise HscError(f"message {message_id}: only '{next(iter(parts))}' came, the other failed or is not connected")
        image, generated = parts["images"], parts["generated"]
        known = codec.HscParameters.unpack(generated.parameters)
        tuning = hsc_models.TUNINGS[known.tuning]
        # NCR adapters are made for a rank: that of the SR at hand counts, also while the rank is being changed.
        amount = {"rank": known.rank} if tuning == "ncr" else self._amount
        options = codec.HscOptions(**amount, **self._coding, tuning=tuning)
        if generated.pixels is None or generated.shape != image.shape:
            raise HscError(f"message {message_id}: the generated image does not belong to this image")
        sr = codec.Semantic(np.zeros(generated.sr_values, np.float32), generated.pixels, known.model)
        made = codec.complementary_encode(image.pixels, sr, options)
        self.counters["rank"] = made.parameters.rank
        data = np.frombuffer(made.data, np.uint8)
        streams = 1 if made.data else 0
        self.publish(
            "digital",
            pdu.Digital(message_id, _NAME, image.shape, data, streams=streams, mcs=options.mcs, parameters=made.parameters.pack()),
        )


class cr_recomposition(_Pair):
    """Generated image G and received CR to the image, HSC eq. (8). Without CR the image is G, without SR it is the CR over flat grey.

    Message ports: in `generated` (`Generated`) and `digital` (`Digital`); out `images` (`Image`).
    """

    def __init__(self) -> None:
        super().__init__("CR Recomposition", {"generated": pdu.Generated, "digital": pdu.Digital}, ("images",))

    def on_pair(self, message_id: int, parts: dict[str, pdu.Pdu]) -> None:
        first = next(iter(parts.values()))
        generated, cr = parts.get("generated"), parts.get("digital")
        if cr is not None:
            _require_hsc(cr.codec)
        image = codec.recompose(
            generated.pixels if generated else None,
            cr.received if cr and cr.streams else None,
            first.shape,
            codec.HscParameters.unpack((cr or first).parameters),
        )
        link = {"snr_db": cr.snr_db, "packets": cr.packets, "packets_received": cr.packets_received} if cr else {}
        self.publish("images", pdu.Image(message_id, image.shape, image.ravel(), **link))


def _require_hsc(name: str) -> None:
    if name != _NAME:
        raise HscError(f"a message of codec '{name}' is no HSC message: use the Message Decoder or the Image Receiver")
