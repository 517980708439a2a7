"""HDA-DeepSC: hybrid digital-analog semantic communication (Xie, Qin, Han and Letaief, JSAC 2025).

    image ─▶ semantic encoder ─▶ z ─▶ HDA allocation ─┬─▶ z_D (digital) ─┬─▶ HDA fusion ─▶ ẑ
                                                      └─▶ z_A (analog) ──┘
    ẑ ─▶ semantic decoder, restorer ─▶ image

The boxes of the paper's figure 2 are functions: `semantic_encode` and `semantic_decode` here,
`allocation.allocate`, `fusion.fuse`. `HdaDeepScCodec` is the whole system.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ...codecs.contract import Decoded
from ...codecs.options import Ends, option
from ...message import Link, Message, ReceivedMessage
from ...nn.planes import check_shape, to_image, to_planes
from ...nn.transform import pad
from ...refiner import bands
from . import models
from .allocation import NAME, allocate
from .base import HdaCodec
from .fusion import Fused, fuse
from .models import Model
from .network import MULTIPLE
from .options import HdaOptions
from .parameters import HdaParameters
from .restorer import Restorer, restored


@torch.inference_mode()
def semantic_encode(image: np.ndarray, model: Model) -> torch.Tensor:
    """Eq. (1): uint8 (H, W, C) → z, float (120, h, w), h and w multiples of 4. Raises HscError for an image
    that cannot be served.
    """
    return model.network.encode(pad(to_planes(image), MULTIPLE))[0]


@torch.inference_mode()
def semantic_decode(
    fused: Fused, shape: tuple[int, int, int], model: Model, restorer: Restorer | None = None
) -> np.ndarray:
    """Eq. (12): ẑ → uint8 (H, W, C); `restorer`: the last stage, which the paper lacks."""
    decoded = model.network.decode(fused.z[None], fused.variance[None])
    return to_image(restored(restorer, decoded, fused.variance[None]) if restorer else decoded, shape)


@dataclass(frozen=True)
class HdaDeepScOptions(HdaOptions):
    """Options of HDA-DeepSC."""

    restorer: bool = option(
        False,
        "take away some of the decoded image's error by a last stage that the paper lacks",
        Ends.RECEIVER,
    )


class HdaDeepScCodec(HdaCodec):
    """The codec; options as in `HdaDeepScOptions`."""

    name = NAME
    weights = (models.COMMON, models.RESTORER, *(profile.name for profile in models.PROFILES))
    Options = HdaDeepScOptions

    def encode(self, image: np.ndarray, link: Link = Link()) -> Message:  # noqa: B008 - frozen
        """uint8 (H, W, C) → message within the link's CBR. Raises HscError for an image or a CBR that cannot
        be served.
        """
        z = semantic_encode(image, models.common())
        return allocate(z, image.shape, link, self.options)

    def decode(self, received: ReceivedMessage) -> Decoded:
        """Received message → image. Raises HscError when nothing of the digital part arrived."""
        check_shape(received.shape)
        parameters = HdaParameters.unpack(received.parameters)
        model = models.load(models.PROFILES[parameters.profile])
        fused = fuse(received, self.options.key, model, parameters)
        restorer = models.load_restorer() if self.options.restorer else None
        image = semantic_decode(fused, received.shape, model, restorer)
        return Decoded(image, fused.notices, bands.of_image(fused.variance, received.shape))
