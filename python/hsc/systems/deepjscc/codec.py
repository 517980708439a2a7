"""DeepJSCC: a learned codec whose message is one analog stream (HDA-DeepSC's benchmark "analog DeepSC",
section V-A 3).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from ... import paths
from ...codecs.contract import Decoded
from ...coding import budget
from ...message import Link, Message, ReceivedMessage
from ...nn import planes
from ...refiner.codec import Refining
from . import denoise, denoisers, error
from .maps import mix, received_maps
from .network import WEIGHTS, load_model
from .options import DeepJsccOptions
from .parameters import AnalogParameters


class DeepJsccCodec(Refining):
    """DeepJSCC as one codec. Keyword arguments are the fields of `DeepJsccOptions`."""

    name = "deepjscc"
    Options = DeepJsccOptions
    weights = (WEIGHTS, *(kind.weights for kind in denoisers.KINDS.values() if kind.folder == paths.WEIGHTS))

    @torch.no_grad()
    def encode(self, image: np.ndarray, link: Link = Link()) -> Message:  # noqa: B008 - frozen
        """uint8 (H, W, C) → message of at most 64 values for each 8 × 8 pixels. Raises HscError for an image
        or budget it cannot serve.
        """
        pixels, shape = planes.to_planes(image), tuple(image.shape)

        def message(uses: int) -> Message:
            parameters = replace(AnalogParameters.choose(shape, uses, link), mixed=True)
            values = load_model().encode(pixels, *parameters.tensors())[0, : parameters.count]
            return Message(self.name, shape, parameters.pack(), mix(values).numpy())

        return budget.within(link, shape, message)

    @torch.no_grad()
    def decode(self, received: ReceivedMessage) -> Decoded:
        """Received message → image, from whatever arrived. Raises HscError when nothing did."""
        planes.check_shape(received.shape)
        parameters, options = AnalogParameters.unpack(received.parameters), self.options
        values, variance = received_maps(received.analog, received.shape, parameters)
        if options.denoiser:
            denoiser = denoisers.load(options.denoiser)
            values, variance = denoise.denoise_maps(
                values, variance, parameters, denoiser, options.denoiser_steps, options.informed
            )
        model, told, known = load_model(), parameters.tensors(), None
        if options.informed:
            known = error.of_image(model, variance, told, received.shape)
        else:
            variance = denoise.taken_for_exact(values, variance)
        return Decoded(planes.to_image(model.decode(values, variance, *told), received.shape), error=known)

    @classmethod
    def describe(cls, parameters: bytes) -> dict[str, object]:
        """Values a token, and the SNR that the transmitter counted on [dB]."""
        return AnalogParameters.unpack(parameters).described()
