"""DeepJSCC-Q: DeepJSCC whose symbols are points of a fixed QAM constellation, for transmitters that can send
nothing else.
"""

from __future__ import annotations

import numpy as np
import torch

from ...codecs.contract import Decoded
from ...coding import budget
from ...errors import HscError
from ...message import Link, Message, ReceivedMessage
from ...nn import planes
from ...phy.analog import decode_scale, encode_scale
from ...refiner.codec import Refining
from . import constellation, error
from .maps import to_maps
from .network import VALUES, load_model
from .options import DeepJsccQOptions
from .parameters import AnalogParameters

WEIGHTS = "deepjscc-q"


class DeepJsccQCodec(Refining):
    """DeepJSCC-Q as one codec. Keyword arguments are the fields of `DeepJsccQOptions`."""

    name = "deepjscc_q"
    Options = DeepJsccQOptions
    weights = (WEIGHTS,)

    @torch.no_grad()
    def encode(self, image: np.ndarray, link: Link = Link()) -> Message:  # noqa: B008 - frozen
        """uint8 (H, W, C) → message whose analog values are odd integers, levels of the constellation. Raises
        HscError.
        """
        pixels, shape = planes.to_planes(image), tuple(image.shape)

        def message(uses: int) -> Message:
            levels = round(self.options.points**0.5)
            parameters = AnalogParameters.choose(shape, uses, link, levels)
            values = load_model(WEIGHTS).encode(pixels, *parameters.tensors())
            mixed = constellation.mix(values, parameters.count)
            code = encode_scale(float(constellation.scale(mixed)))
            step = decode_scale(code) * constellation.quantiser(levels).step
            units = constellation.decide(mixed / step, levels)
            told = parameters.pack() + code.to_bytes(2, "big")
            return Message(self.name, shape, told, units.flatten().numpy())

        return budget.within(link, shape, message)

    @torch.no_grad()
    def decode(self, received: ReceivedMessage) -> Decoded:
        """Received message → image, from whatever arrived. Raises HscError when nothing did."""
        planes.check_shape(received.shape)
        parameters = AnalogParameters.unpack(received.parameters)
        rms = decode_scale(int.from_bytes(received.parameters[3:5], "big"))
        if parameters.levels not in constellation.LEVELS or len(received.parameters) < 5 or not rms:
            raise HscError("the message's parameters are out of range: it comes from another version")
        maps = to_maps(received.analog, received.shape, parameters.count)
        units, variance = (each[:, : parameters.count] for each in maps)
        values, variance = constellation.receive(units, variance, parameters.levels, rms, VALUES)
        model, told = load_model(WEIGHTS), parameters.tensors()
        image = planes.to_image(model.decode(values, variance, *told), received.shape)
        return Decoded(image, error=error.of_image(model, variance, told, received.shape))

    @classmethod
    def describe(cls, parameters: bytes) -> dict[str, object]:
        """Values a token, the SNR that the transmitter counted on [dB], and levels of a value."""
        return AnalogParameters.unpack(parameters).described()
