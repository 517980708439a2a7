"""LRISC as blocks, as its paper cuts it: Latent Encoder, Rate Allocation, Latent Decoder (the Diffusion
Refiner behind it is a generic block), and the whole of both ends.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ...blocks import message_parts, pdu
from ...blocks.base import PartsBlock, limit_torch_threads, require_codec
from ...blocks.collector import DEFAULT_HOLD
from ...blocks.link_block import LinkBlock, Waiting
from ...blocks.parts_link import PartsReceiver, PartsTransmitter
from ...blocks.refiner import diffusion_refiner
from ...coding import budget
from ...coding.analog_part import features_map
from ...message import Link, Message
from ...phy.numerology import AUTO
from ...phy.packets import DEFAULT_PACKET_SYMBOLS
from ...refiner.options import USUAL_STEPS
from . import roi
from .allocation import NAME, Terms, allocate, latent, message
from .codec import LriscCodec
from .options import LriscOptions

DEFAULT_ROI_WEIGHT = LriscOptions.roi_weight
DEFAULT_TEXTURE = LriscOptions.texture
DEFAULT_SIDE_SHARE = LriscOptions.side_share


class lrisc_latent_encoder(LinkBlock):
    """Images to the latent z = g_e(x) of LRISC, for Rate Allocation.

    Message ports: in `images` (`Image`) and `snr` (optional, `Snr`, from the receiver); out `features`
    (`Features`).

    Args:
        snr_db: Es/N0 that may be counted on [dB]; None when unknown.
        cbr: budget of payload channel uses / (C·H·W), the same as of Rate Allocation; None for 1/6.
    """

    def __init__(self, snr_db: float | None = None, cbr: float | None = None) -> None:
        super().__init__(
            "LRISC Latent Encoder", {"images": {pdu.Image: self._encode}}, ("features",), Link(snr_db, cbr)
        )
        limit_torch_threads()

    def _encode(self, image: pdu.Image) -> None:
        # The latent of an image that its budget does not hold is made for the least one that could.
        uses = max(budget.channel_uses(self._link, image.shape), 1)
        z = latent(image.pixels, Terms.of(image.shape, uses, self._link, LriscOptions()))
        self.publish("features", pdu.Features(image.message_id, NAME, image.shape, z.numpy().ravel()))


class lrisc_rate_allocation(LinkBlock):
    """Latents z to messages: hyper-latent y, p(z | y), coding lengths k_i = Q(β log2(σ_i(y) / σ₀)) that meet
    the budget, and the channel encoder f_e. Values go out as the analog part, y as the digital one.

    Message ports: in `features` (`Features`), `snr` (optional, `Snr`, from the receiver: it sets the MCS and
    the gains of the next image) and `roi` (optional: `Region`, or `Image` as a mask, of which what is
    brighter than half is the region); out `analog` (`Analog`) and `digital` (`Digital`, with its MCS).

    What comes on `roi` takes the place of the argument. A mask counts for the image with its message id when
    it is there in time, and for all that follow that have none of their own. An image whose region does not
    lie in it is sent without, which is a failure of this block.

    Args:
        roi: regions of interest, x,y,w,h [pixels], several with ';' between, or a mask's file; empty for
            none.
        roi_weight: how many times an error inside counts, 1 to 8.
        texture: how much more errors count where the image is calm, 0 (least squared error) to 1 (what looks
            best at the CBR).
        side_share: largest share of the channel uses that y may take, where its coarsest form keeps to it.
        repair_share: RaptorQ repair symbols over all symbols of the side information; None: as many as the
            losses that a Link Adaptation tells call for, else a tenth.
        snr_db: Es/N0 to count on [dB]; None when unknown.
        cbr: budget of payload channel uses / (C·H·W), which sets β; None for 1/6.
        mcs_name: MCS of the side information; empty: the best for the SNR with 4.5 dB to spare, a robust one
            of 5G NR when that is unknown.

    Raises:
        HscError: an option or MCS that is not possible.
    """

    def __init__(
        self,
        roi: str | None = None,
        roi_weight: float = DEFAULT_ROI_WEIGHT,
        texture: float = DEFAULT_TEXTURE,
        side_share: float = DEFAULT_SIDE_SHARE,
        repair_share: float | None = None,
        snr_db: float | None = None,
        cbr: float | None = None,
        mcs_name: str = "",
    ) -> None:
        handlers = {pdu.Region: self._region, pdu.Image: self._mask, pdu.Failed: self.ignore}
        super().__init__(
            "LRISC Rate Allocation",
            {"features": {pdu.Features: self._allocate}},
            ("analog", "digital"),
            Link(snr_db, cbr, mcs_name or None),
            {"roi": handlers},
        )
        self._own: Waiting[pdu.Region | pdu.Image] = Waiting(self, "regions wait for their images")
        self._options = LriscOptions(
            roi_weight=roi_weight, texture=texture, side_share=side_share, repair_share=repair_share
        )
        self.set_roi(roi)
        limit_torch_threads()

    def set_roi(self, roi: str | None) -> None:
        """Regions from the next image on, in the place of what came on port `roi`."""
        self._options = replace(self._options, roi=roi or None)
        self._common: pdu.Region | pdu.Image | None = None
        self._own.clear()

    def set_roi_weight(self, roi_weight: float) -> None:
        """Weight from the next image on. Raises HscError for an impossible one."""
        self._options = replace(self._options, roi_weight=roi_weight)

    def set_texture(self, texture: float) -> None:
        """Weight from the next image on. Raises HscError for an impossible one."""
        self._options = replace(self._options, texture=texture)

    def set_side_share(self, side_share: float) -> None:
        """Share from the next image on. Raises HscError for an impossible one."""
        self._options = replace(self._options, side_share=side_share)

    def set_repair_share(self, repair_share: float | None) -> None:
        """Share from the next image on. Raises HscError for an impossible one."""
        self._options = replace(self._options, repair_share=repair_share)

    def on_failed(self, failed: pdu.Failed) -> None:
        self._own.pop(failed.message_id, None)
        super().on_failed(failed)

    def _region(self, region: pdu.Region) -> None:
        if region.image_id is None:
            self._common = region
        else:
            self._own.put(region.image_id, region)

    def _mask(self, mask: pdu.Image) -> None:
        self._common = mask
        self._own.put(mask.message_id, mask)

    def _allocate(self, features: pdu.Features) -> None:
        require_codec(features.codec, NAME)
        z = features_map(features.values, features.shape)
        size = tuple(z.shape[1:])
        region = roi.Region.none(size)
        with self.contain(None):
            region = self._of_interest(features, size)

        def made(uses: int) -> Message:
            terms = Terms.of(features.shape, uses, self._link, self._options)
            return message(z, allocate(z, region, terms), terms)

        sent = budget.within(self._link, features.shape, made)
        self.counters["side_bytes"] = len(sent.digital[0].data)
        message_parts.publish(self, features.message_id, sent)

    def _of_interest(self, features: pdu.Features, size: tuple[int, int]) -> roi.Region:
        told, weight = self._own.pop(features.message_id, self._common), self._options.roi_weight
        if told is None:
            return roi.read(self._options.roi, features.shape, size, weight)
        if isinstance(told, pdu.Image):
            return roi.of_image(told.pixels, features.shape, size, weight)
        return roi.of_pixels(told.rectangles.reshape(-1, 4).tolist(), features.shape, size, weight)


class lrisc_latent_decoder(PartsBlock):
    """Received parts to images: the channel decoder f_d, which gives ẑ and the variance of its error, and
    x̃ = g_d(ẑ). The Diffusion Refiner goes behind it.

    Message ports: in `analog` (`Analog`) and `digital` (`Digital`); out `images` (`Image`, with the error
    that the refiner wants to know, and the region of interest). Of a message whose side information is lost
    the image is coarse, and that is a failure of this block.
    """

    def __init__(self) -> None:
        super().__init__("LRISC Latent Decoder", {"analog": pdu.Analog, "digital": pdu.Digital}, ("images",))
        self._codec = LriscCodec(refiner=False)
        limit_torch_threads()

    def on_parts(self, message_id: int, parts: dict[Any, pdu.Pdu]) -> None:
        received, link = message_parts.received(parts, NAME)
        decoded = self._codec.decode(received)
        self.publish("images", pdu.Image.of(message_id, decoded, snr_db=received.snr_db, **link))
        self.fail_in_part(message_id, decoded.notices)


class lrisc_transmitter(PartsTransmitter):
    """Images to samples with LRISC, from its parts: Latent Encoder, Rate Allocation, modulators, Message Mux,
    OFDM Transmitter.

    Message ports: in `images` (`Image`), `snr` (optional, `Snr`, from the receiver) and `roi` (optional, as
    of `lrisc_rate_allocation`); out `sent` (`Sent` or `Failed`) and `status`. Stream out: complex samples.
    Arguments are those of these blocks.

    Raises:
        HscError: as these do.
    """

    def __init__(
        self,
        roi: str | None = None,
        roi_weight: float = DEFAULT_ROI_WEIGHT,
        texture: float = DEFAULT_TEXTURE,
        side_share: float = DEFAULT_SIDE_SHARE,
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
        super().__init__("LRISC Transmitter", packet_symbols, *air)
        self.latent_encoder = lrisc_latent_encoder(snr_db, cbr)
        self.allocation = lrisc_rate_allocation(
            roi, roi_weight, texture, side_share, repair_share, snr_db, cbr, mcs_name
        )
        connections = (
            ((self, "images"), (self.latent_encoder, "images")),
            ((self, "snr"), (self.latent_encoder, "snr")),
            ((self, "snr"), (self.allocation, "snr")),
            ((self, "roi"), (self.allocation, "roi")),
            ((self.latent_encoder, "features"), (self.allocation, "features")),
        )
        self.wire_parts(self.allocation, self.allocation, ("images", "snr", "roi"), (), connections)
        self.set_roi, self.set_roi_weight = self.allocation.set_roi, self.allocation.set_roi_weight
        self.set_texture, self.set_side_share = self.allocation.set_texture, self.allocation.set_side_share
        self.set_repair_share, self.set_mcs = self.allocation.set_repair_share, self.allocation.set_mcs

    def set_snr_db(self, snr_db: float | None) -> None:
        """Es/N0 that may be counted on [dB], from the next image on."""
        self.latent_encoder.set_snr_db(snr_db)
        self.allocation.set_snr_db(snr_db)

    def set_cbr(self, cbr: float | None) -> None:
        """Budget of channel uses, from the next image on."""
        self.latent_encoder.set_cbr(cbr)
        self.allocation.set_cbr(cbr)


class lrisc_receiver(PartsReceiver):
    """Samples to images with LRISC, from its parts: OFDM Receiver, Message Demux, demodulators, Latent
    Decoder, Diffusion Refiner.

    Stream in: complex samples. Message ports: out `images` (`Image`), `partial` (`Image`, before the
    refiner), `snr` (`Snr`, for the transmitter), `packets` and `symbols` (as of `ofdm_receiver`), `status`.

    Args:
        steps, realism, seed, skip: as of `diffusion_refiner`.
        numerology: preset of `phy.ofdm`, or "auto" for any.
        hold: patience with a message of which packets are missing [samples].

    Raises:
        HscError: unknown numerology, or as `diffusion_refiner`.
    """

    def __init__(
        self,
        steps: int = USUAL_STEPS,
        realism: float = 1.0,
        seed: int = 0,
        skip: bool = False,
        numerology: str = AUTO,
        hold: int = DEFAULT_HOLD,
    ) -> None:
        super().__init__("LRISC Receiver", numerology, hold)
        self.latent_decoder = lrisc_latent_decoder()
        self.refiner = diffusion_refiner(steps, realism, seed, skip)
        connections = (
            ((self.demux, "snr"), (self, "snr")),
            ((self.latent_decoder, "images"), (self.refiner, "images")),
            ((self.refiner, "partial"), (self, "partial")),
        )
        self.wire_parts(
            self.latent_decoder, self.latent_decoder, self.refiner, ("partial", "snr"), connections
        )
        self.set_steps, self.set_realism = self.refiner.set_steps, self.refiner.set_realism
        self.set_seed, self.set_skip = self.refiner.set_seed, self.refiner.set_skip
