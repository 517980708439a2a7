"""DS²C² (arXiv 2409.03243): a base layer that is received without error, and a residual that lives through
lost blocks.

    x ─▶ base ─▶ RaptorQ ─▶ LDPC (stream 1) ─▶ c ─▶ c′, x′
    x − x′ ─▶ residual ─▶ LDPC (stream 2) ─▶ what arrived of it ─▶ x̂

The residual has no protection but LDPC: a lost block costs every place of the image a little. It is coded in
dispersed chunks (`dispersed.py`, ours) or as the binary latents of BResNet (`residual_network.py`, the
paper's).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...codecs.contract import Codec, Decoded
from ...coding import budget
from ...errors import HscError
from ...message import Base, DigitalStream, Link, Message, ReceivedMessage
from ...nn import planes
from .latents import weights_of
from .options import Ds2c2Options
from .parameters import NAME, RATES, Ds2c2Parameters
from .receiving import BASE_BROKEN, BASE_LOST, GREY, image_of, received_base, received_residual
from .sending import Terms, base_layer, base_message, interleaved, residual


class Ds2c2Codec(Codec):
    """DS²C² as one codec. Keyword arguments are the fields of `Ds2c2Options`."""

    name = NAME
    base = Base("first digital", "base layer")
    Options = Ds2c2Options
    weights = ("ds2c2-base", "ds2c2-detail", *map(weights_of, range(len(RATES))))
    variants = {"ds2c2": {}, "ds2c2 binary": {"coding": "binary"}}

    def encode(self, image: np.ndarray, link: Link = Link()) -> Message:  # noqa: B008 - frozen
        """uint8 (H, W, C) → message of two digital streams; the second is empty where the budget holds the
        base layer alone. Raises HscError for an image or budget it cannot serve.
        """
        planes.check_shape(image.shape)
        shape = tuple(image.shape)

        def made(uses: int) -> Message:
            terms = Terms.of(shape, uses, link, self.options)
            layer = base_layer(image, terms)
            sent = base_message(layer, terms)
            rest = uses - budget.spent(sent)
            own = residual(image, layer.code.c, layer.fineness, rest, terms, layer.labels)
            parameters = replace(Ds2c2Parameters.unpack(sent.parameters), level=own.level)
            second = DigitalStream(interleaved(own, terms), terms.residual_mcs)
            return replace(sent, parameters=parameters.pack(), digital=(*sent.digital, second))

        return budget.within(link, shape, made)

    def decode(self, received: ReceivedMessage) -> Decoded:
        """Received message → image, from whatever arrived: coarse when some of the base layer is lost, and
        grey when all of it is. Raises HscError for a message that no version of this codec sends.
        """
        planes.check_shape(received.shape)
        parameters = Ds2c2Parameters.unpack(received.parameters)
        if len(received.digital) != 2:
            raise HscError("not a message of DS²C²: transmitter and receiver differ, update both")
        found = received_base(received.digital[0], parameters, received.shape)
        if found is None:
            return Decoded(np.full(received.shape, GREY, np.uint8), (BASE_LOST,))
        if not found.whole:
            return Decoded(image_of(found.c, None, parameters, received.shape), (BASE_BROKEN,))
        arrived = received_residual(received.digital[1], parameters, received.shape, self.options.told)
        return Decoded(image_of(found.c, arrived, parameters, received.shape, found.labels))

    @classmethod
    def describe(cls, parameters: bytes) -> dict[str, object]:
        """Coding and level of the residual, fineness and bytes of the base layer."""
        known = Ds2c2Parameters.unpack(parameters)
        told = {"coding": known.coding, "fineness": known.fineness, "base_bytes": known.base_bytes}
        if known.coding == "binary":
            return told | {"rate": RATES[known.level], "steps": known.steps}
        return told | {"step": known.level}
