"""The parts of figure 1 of the paper as blocks: semantic coders, CR Projection, CR Recomposition."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ....blocks import pdu
from ....blocks.base import MessageBlock, PartsBlock, limit_torch_threads, require_codec
from ....blocks.link_block import LinkBlock
from ....codecs.options import options_of
from ....errors import HscError
from ....message import Link
from ....phy import analog
from .. import complementary, recomposition, semantic
from ..codec import HscCodec
from ..complementary import DEFAULT_MCS
from ..options import NO_AMOUNT, TUNINGS, HscOptions
from ..parameters import HscParameters

HSC = HscCodec.name


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
            "rank": None if rank is None else int(rank),  # a slider's is a real number
            "sampling": sampling,
        }
        self._options = options_of(HscOptions, HSC, given)
        limit_torch_threads()

    def set_rank(self, rank: int | None) -> None:
        """Rank of the CR for which "ncr" adapters are chosen, from the next image on."""
        self._options = replace(self._options, rank=None if rank is None else int(rank))

    def _encode(self, image: pdu.Image) -> None:
        values, predicted = semantic.encode(image.pixels, self._options)
        head, known = (image.message_id, image.shape), predicted.parameters.pack()
        self.publish("analog", pdu.Analog(image.message_id, HSC, image.shape, values, known))
        self.publish("generated", pdu.Generated(*head, predicted.generated, values.size, known))


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
        generated = semantic.decode(sr.received, sr.shape, HscParameters.unpack(sr.parameters))
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
        repair_share: RaptorQ repair symbols over all symbols of the CR, 0 to 0.9; None for none.

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
        mcs_name: str = DEFAULT_MCS,
        repair_share: float | None = None,
    ) -> None:
        super().__init__("CR Projection", {"images": pdu.Image, "generated": pdu.Generated}, ("digital",))
        self._options = HscOptions()
        amount = {"rank": None if rank is None else int(rank), "psnr_db": psnr_db, "cbr": cbr}
        self._set(**amount, cr=cr, jpeg2000_ratio=jpeg2000_ratio, mcs=mcs_name or DEFAULT_MCS)
        self.set_repair_share(repair_share)

    def set_rank(self, rank: int | None) -> None:
        """Send k = `rank` from the next image on. Raises HscError for a negative one."""
        self._set(**{**NO_AMOUNT, "rank": None if rank is None else int(rank)})

    def set_psnr_db(self, psnr_db: float | None) -> None:
        """Aim at a PSNR [dB] from the next image on. Raises HscError for an impossible one."""
        self._set(**{**NO_AMOUNT, "psnr_db": psnr_db})

    def set_cbr(self, cbr: float | None) -> None:
        """Keep to a CBR from the next image on. Raises HscError for an impossible one."""
        self._set(**{**NO_AMOUNT, "cbr": cbr})

    def set_mcs(self, mcs_name: str) -> None:
        """MCS from the next image on."""
        self._set(mcs=mcs_name or DEFAULT_MCS)

    def set_repair_share(self, repair_share: float | None) -> None:
        """Share from the next image on. Raises HscError for an impossible one."""
        self._set(repair_share=repair_share)

    def _set(self, **changes: object) -> None:
        self._options = options_of(HscOptions, HSC, {**vars(self._options), **changes})

    def on_parts(self, message_id: int, parts: dict[str, pdu.Pdu]) -> None:
        if len(parts) < 2:
            raise HscError(
                f"message {message_id}: only '{next(iter(parts))}' came, the other failed or is not connected"
            )
        image, generated = parts["images"], parts["generated"]
        if generated.pixels is None:
            raise HscError(f"message {message_id}: there is no generated image, connect the transmitter's")
        known = HscParameters.unpack(generated.parameters)
        predicted = semantic.Prediction(generated.pixels, known, analog.symbol_count(generated.sr_values))
        options = self._options.beside(TUNINGS[known.tuning], known.rank)
        mcs = complementary.mcs_of(options, Link())
        made = complementary.encode(image.pixels, predicted, options, mcs=mcs)
        self.counters["rank"] = made.parameters.rank
        self.publish(
            "digital",
            pdu.Digital(
                message_id,
                HSC,
                image.shape,
                np.frombuffer(made.data, np.uint8),
                streams=1 if made.data else 0,
                mcs=mcs,
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
        decoded = recomposition.recompose(
            generated.pixels if generated else None,
            cr.received if cr and cr.streams else None,
            first.shape,
            HscParameters.unpack((cr or first).parameters),
        )
        link = {}
        if cr is not None:
            link = {"snr_db": cr.snr_db, "packets": cr.packets, "packets_received": cr.packets_received}
        self.publish("images", pdu.Image.of(message_id, decoded, **link))
        self.fail_in_part(message_id, decoded.notices)
