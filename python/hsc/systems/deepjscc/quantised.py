"""DeepJSCC-Q: DeepJSCC whose symbols are points of a fixed QAM constellation, for transmitters that can send nothing else."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from ...codecs.options import options_of
from ...coding import budget
from ...errors import HscError
from ...message import Link, Message, ReceivedMessage
from ...nn import planes
from ...phy.analog import decode_scale, encode_scale
from . import constellation
from .codec import AnalogParameters, load_model, received_maps
from .network import VALUES

WEIGHTS = "deepjscc-q"


@dataclass(frozen=True)
class DeepJsccQOptions:
    """Options of DeepJSCC-Q.

    Attributes:
        points: points of the constellation, L² with L levels a value: 4, 16, 64, 256, 1024 or 4096. Of the transmitter; the receiver is
            told.
    """

    points: int = 64

    def __post_init__(self) -> None:
        if self.points not in {levels**2 for levels in constellation.LEVELS}:
            raise HscError(f"no constellation of {self.points} points: choose 4, 16, 64, 256, 1024 or 4096")


class DeepJsccQCodec:
    """DeepJSCC-Q as one codec. Keyword arguments are the fields of `DeepJsccQOptions`."""

    name = "deepjscc_q"

    def __init__(self, **options: object) -> None:
        self.options = options_of(DeepJsccQOptions, self.name, options)

    @torch.no_grad()
    def encode(self, image: np.ndarray, link: Link) -> Message:
        """uint8 (H, W, C) → message whose analog values are odd integers, levels of the constellation. Raises HscError."""
        pixels = planes.to_planes(image)
        return budget.within(link, image.shape, lambda uses: self._message(image.shape, pixels, uses, link))

    def _message(self, shape: tuple[int, int, int], pixels: torch.Tensor, uses: int, link: Link) -> Message:
        parameters = replace(AnalogParameters.choose(shape, uses, link), levels=round(self.options.points**0.5))
        told, count = parameters.tensors()
        mixed = constellation.mix(load_model(WEIGHTS).encode(pixels, told, count), parameters.count)
        code = encode_scale(float(constellation.scale(mixed)))
        step = decode_scale(code) * constellation.quantiser(parameters.levels).step
        units = constellation.decide(mixed / step, parameters.levels)
        return Message(self.name, tuple(shape), parameters.pack() + code.to_bytes(2, "big"), units.flatten().numpy())

    @torch.no_grad()
    def decode(self, received: ReceivedMessage) -> np.ndarray:
        """Received message → uint8 (H, W, C), from whatever arrived. Raises HscError when nothing did."""
        planes.check_shape(received.shape)
        parameters = AnalogParameters.unpack(received.parameters)
        rms = decode_scale(int.from_bytes(received.parameters[3:5], "big"))
        if parameters.levels not in constellation.LEVELS or len(received.parameters) < 5 or not rms:
            raise HscError("the message's parameters are out of range: it comes from another version")
        units, variance = (maps[:, : parameters.count] for maps in received_maps(received.analog, received.shape, parameters.count))
        values, variance = constellation.receive(units, variance, parameters.levels, rms, VALUES)
        return planes.to_image(load_model(WEIGHTS).decode(values, variance, *parameters.tensors()), received.shape)
