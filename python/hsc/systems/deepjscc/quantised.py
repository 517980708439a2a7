"""DeepJSCC-Q: DeepJSCC whose symbols are points of a fixed QAM constellation, for transmitters that can send
nothing else.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from ...codecs.contract import Codec, Decoded
from ...coding import budget
from ...errors import HscError
from ...message import Link, Message, ReceivedMessage
from ...nn import planes
from ...phy.analog import decode_scale, encode_scale
from . import constellation
from .codec import AnalogParameters, describe, load_model, received_maps
from .network import VALUES
from .options import DeepJsccQOptions

WEIGHTS = "deepjscc-q"


class DeepJsccQCodec(Codec):
    """DeepJSCC-Q as one codec. Keyword arguments are the fields of `DeepJsccQOptions`."""

    name = "deepjscc_q"
    Options = DeepJsccQOptions
    weights = (WEIGHTS,)

    @torch.no_grad()
    def encode(self, image: np.ndarray, link: Link = Link()) -> Message:  # noqa: B008 - frozen
        """uint8 (H, W, C) → message whose analog values are odd integers, levels of the constellation. Raises
        HscError.
        """
        pixels = planes.to_planes(image)
        return budget.within(link, image.shape, lambda uses: self._message(image.shape, pixels, uses, link))

    def _message(self, shape: tuple[int, int, int], pixels: torch.Tensor, uses: int, link: Link) -> Message:
        parameters = replace(
            AnalogParameters.choose(shape, uses, link), levels=round(self.options.points**0.5)
        )
        told, count = parameters.tensors()
        mixed = constellation.mix(load_model(WEIGHTS).encode(pixels, told, count), parameters.count)
        code = encode_scale(float(constellation.scale(mixed)))
        step = decode_scale(code) * constellation.quantiser(parameters.levels).step
        units = constellation.decide(mixed / step, parameters.levels)
        return Message(
            self.name, tuple(shape), parameters.pack() + code.to_bytes(2, "big"), units.flatten().numpy()
        )

    @torch.no_grad()
    def decode(self, received: ReceivedMessage) -> Decoded:
        """Received message → image, from whatever arrived. Raises HscError when nothing did."""
        planes.check_shape(received.shape)
        parameters = AnalogParameters.unpack(received.parameters)
        rms = decode_scale(int.from_bytes(received.parameters[3:5], "big"))
        if parameters.levels not in constellation.LEVELS or len(received.parameters) < 5 or not rms:
            raise HscError("the message's parameters are out of range: it comes from another version")
        units, variance = (
            maps[:, : parameters.count]
            for maps in received_maps(received.analog, received.shape, parameters.count)
        )
        values, variance = constellation.receive(units, variance, parameters.levels, rms, VALUES)
        return Decoded(
            planes.to_image(
                load_model(WEIGHTS).decode(values, variance, *parameters.tensors()), received.shape
            )
        )

    @classmethod
    def describe(cls, parameters: bytes) -> dict[str, object]:
        """Values a token, the SNR that the transmitter counted on [dB], and levels of a value."""
        return describe(parameters)
