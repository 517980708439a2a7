"""HSC: hybrid semantic-complementary transmission (arXiv 2507.17196).

image ─▶ semantic encoder ─▶ SR (analog) ──────────────▶ semantic decoder ─▶ G ─┐
  │             └▶ semantic decoder ─▶ G                                         ├▶ recomposition ─▶ image
  └────────────────── X, G ─▶ CR: A, A X ─▶ (digital) ─▶ A, A X ────────────────┘
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...codecs.contract import Codec, Decoded
from ...coding import budget
from ...message import Base, DigitalStream, Link, Message, ReceivedMessage
from ...phy.adaptation import LinkSetting
from . import complementary, models, recomposition, semantic, target
from .complementary import usual_cbr
from .options import AUTO, CODINGS, NO_AMOUNT, TUNINGS, HscOptions
from .parameters import HscParameters

# SNR [dB] below which the fine-tuned networks give the better images: measured on MNIST's test digits and on
# the Kodak photographs.
FEW_SHOT_BELOW_DB = 18.0


class HscCodec(Codec):
    """HSC as one codec: `encode` at the transmitter, `decode` at the receiver. Keyword arguments are the
    fields of `HscOptions`.
    """

    name = "hsc"
    Options = HscOptions
    base = Base("analog", "SR")
    weights = ("hsc-*",)

    def encode(self, image: np.ndarray, link: Link = Link()) -> Message:  # noqa: B008 - frozen
        """uint8 (H, W, C) → message with the SR as analog stream, and the CR as digital stream unless its
        rank is 0.
        """
        shape, options = tuple(image.shape), self._tuned(tuple(image.shape), link)
        link = replace(link, mcs=complementary.mcs_of(options, link))
        values, predicted = semantic.encode(image, options)  # (1), (6)
        if self._uses_noise(link):
            loss = complementary.loss(options, link)
            noisy = semantic.over_noise(values, predicted, link.snr_db, options.psnr_db is not None, loss)
            predicted = replace(predicted, noisy=noisy)

        def message(uses: int | None) -> Message:
            made = complementary.encode(image, predicted, options, uses, link.mcs, link)  # (2)
            streams = (DigitalStream(made.data, link.mcs),) if made.data else ()
            notices: tuple[str, ...] = ()
            if options.psnr_db is not None:
                notices = target.shortfall(image, predicted, made, options.psnr_db, link)
            return Message(self.name, shape, made.parameters.pack(), values, streams, notices)

        limit = Link(cbr=options.cbr or link.cbr)
        if limit.cbr is None and (options.rank is not None or options.psnr_db is not None):
            return message(None)
        return budget.within(limit, shape, message, usual_cbr(shape))

    def _tuned(self, shape: tuple[int, ...], link: Link) -> HscOptions:
        """The options with `tuning` "auto" settled by the link's SNR, and by whether fine-tuned weights are
        there.
        """
        options = self.options
        if options.tuning != AUTO:
            return options
        number = models.model_number(shape, options.semantic, options.symbols)
        noisy = link.snr_db is not None and link.snr_db < FEW_SHOT_BELOW_DB
        return replace(options, tuning="few-shot" if noisy and models.has_few_shot(number) else "none")

    def _uses_noise(self, link: Link) -> bool:
        """Whether the CR is made for the noise and the losses of the link."""
        counts = self.options.psnr_db is not None or self.options.cr in (AUTO, "projection")
        return link.snr_db is not None and self.options.rank != 0 and counts

    def decode(self, received: ReceivedMessage) -> Decoded:
        """Received message → image, from whatever arrived. Raises HscError when nothing usable did."""
        parameters, shape = HscParameters.unpack(received.parameters), received.shape
        generated = semantic.decode(received.analog, shape, parameters)  # (6)
        rows = received.digital[0] if received.digital else None
        return recomposition.recompose(generated, rows, shape, parameters)  # (7), (8)

    def adapted(self, setting: LinkSetting) -> HscCodec:
        """With the target PSNR of the setting as the amount of CR, or none where nothing digital gets
        through.
        """
        if setting.digital and setting.psnr_db is None:
            return self
        amount = {"psnr_db": setting.psnr_db} if setting.digital else {"rank": 0}
        return self.with_options(**{**NO_AMOUNT, **amount})

    @classmethod
    def describe(cls, parameters: bytes) -> dict[str, object]:
        """Rank of the CR, its coding, the network of the SR and its tuning."""
        known = HscParameters.unpack(parameters)
        return {
            "rank": known.rank,
            "coding": CODINGS[known.coding],
            "network": models.MODELS.get(known.model),
            "tuning": TUNINGS[known.tuning],
        }
