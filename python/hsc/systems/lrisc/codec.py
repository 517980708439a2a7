"""LRISC (arXiv 2504.21577): a latent sent as analog symbols of adaptive length, beside a small digital
hyper-latent; a conditional diffusion receiver.
"""

from __future__ import annotations

import numpy as np

from ...codecs.contract import Decoded
from ...coding import budget
from ...coding import regions as coding_regions
from ...message import Link, Message, ReceivedMessage
from ...nn import planes
from ...refiner.codec import Refining
from . import roi
from .allocation import NAME, Terms, allocate, latent, message
from .network import load_network
from .options import LriscOptions
from .parameters import MOST_TEXTURE, LriscParameters
from .reception import decoded, estimate, mean_colour, thumbnail


class LriscCodec(Refining):
    """LRISC as one codec. Keyword arguments are the fields of `LriscOptions`."""

    name = NAME
    Options = LriscOptions
    weights = ("lrisc",)

    def encode(self, image: np.ndarray, link: Link = Link()) -> Message:  # noqa: B008 - frozen
        """uint8 (H, W, C) → message of one analog and one digital stream. Raises HscError for an image or
        budget it cannot serve.
        """
        planes.check_shape(image.shape)
        shape = tuple(image.shape)
        region = roi.read(
            self.options.roi, shape, coding_regions.token_grid(*shape[:2]), self.options.roi_weight
        )

        def made(uses: int) -> Message:
            terms = Terms.of(shape, uses, link, self.options)
            z = latent(image, terms)
            return message(z, allocate(z, region, terms), terms)

        return budget.within(link, shape, made)

    def decode(self, received: ReceivedMessage) -> Decoded:
        """Received message → x̃, from whatever arrived: mean colours when the side information is lost, one
        mean colour when they are too.
        """
        known = estimate(received)
        if known is not None:
            network, _ = load_network()
            return decoded(network, known, received.shape)
        coarse = thumbnail(received)
        what = "its mean colour" if coarse is None else "the mean colour of every 32 × 32 pixels"
        lost = f"the side information is lost, and little can be decoded without it: the image is {what}"
        return Decoded(mean_colour(received) if coarse is None else coarse, (lost,))

    @classmethod
    def describe(cls, parameters: bytes) -> dict[str, object]:
        """β of the coding length, bytes of side information, fineness of y, weight of texture."""
        known = LriscParameters.unpack(parameters)
        return {
            "beta": round(known.beta, 4),
            "side_bytes": known.side_bytes,
            "fineness": known.fineness,
            "texture": known.texture / MOST_TEXTURE,
        }
