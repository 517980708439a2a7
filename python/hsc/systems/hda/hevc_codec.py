"""A hybrid that the papers lack: an HEVC-intra base, and HDA-DeepSC's analog layer and semantic decoder for
what it leaves over.

    image ─┬─▶ HEVC intra, post-filter ─▶ base ─▶ semantic encoder ─▶ z̃ ─┐
           └─▶ semantic encoder ─▶ z ─────────────────────────────────────┴─▶ z_A = z − z̃ ─▶ analog

    base, analog ─▶ fusion ─▶ ẑ ─▶ inverse transform ─▶ restorer, which sees the base too ─▶ image

The base and the activity of z_A are the digital part. The split of the channel uses follows the SNR: the one
with the least expected error. z leaves out the finest colour; the receiver takes it from the base, as much of
it as does good: range-null-space recomposition, as HSC's.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch

from ...codecs.contract import Decoded
from ...coding import activity, budget, nnpf
from ...errors import HscError
from ...message import Link, Message, ReceivedMessage
from ...nn.planes import check_shape, to_image, to_planes
from ...nn.transform import beyond, pad
from ...refiner import bands
from . import digital_part, models
from .allocation import Budget
from .base import HdaCodec
from .codec import semantic_encode
from .fusion import Fused, closed_notices, join
from .hevc_model import ALONE, FINE_COLOUR, NAME, WEIGHTS, load, load_restorer
from .hevc_split import Source, best_message, shares_of
from .network import MULTIPLE
from .parameters import HdaParameters
from .restorer import restored

# Variance of what an HEVC base leaves over, in that of z, roughly. Chosen by trial.
_LEFT_OVER = 0.01


class HdaHevcCodec(HdaCodec):
    """The codec; options as in `HdaOptions`. `da_ratio` None chooses the split by the SNR."""

    name = NAME
    weights = (models.COMMON, WEIGHTS, nnpf.WEIGHTS)

    def encode(self, image: np.ndarray, link: Link = Link()) -> Message:  # noqa: B008 - frozen
        """uint8 (H, W, C) → message within the link's CBR. Raises HscError for an image or a CBR that cannot
        be served.
        """
        source = Source.of(image)

        def make(uses: int) -> Message:
            of_share = partial(Budget.of, image.shape, uses, link, self.options)
            return best_message(source, of_share(min(shares_of(of_share()))), of_share(1.0))

        return budget.within(link, image.shape, make)

    @torch.inference_mode()
    def decode(self, received: ReceivedMessage) -> Decoded:
        """Received message → image. Raises HscError when the base did not arrive."""
        check_shape(received.shape)
        known, model = HdaParameters.unpack(received.parameters), load()
        entropy, key = model.entropy[known.quality][known.fineness], self.options.key
        came = digital_part.receive(received, known.source_bytes, key, entropy, activity.LATENTS, whole=True)
        if came.whole is None:
            raise HscError(f"{NAME}: {_why_no_base(came.closed)}")
        picture = nnpf.decode(came.whole, received.shape)
        if known.profile == ALONE:
            return Decoded(picture, closed_notices(came.closed))
        base = semantic_encode(picture, model)  # z̃
        table = model.log_power[known.quality, known.fineness]
        log_power = activity.log_powers(table, came.coded[None], known.fineness)[0]
        alone = Fused(base, _LEFT_OVER * model.network.deviation.square()[:, None, None])
        fused = join(base, log_power, came, received, known.selection, model.network, alone)
        image = to_image(_decode(fused, picture, known.profile), received.shape)
        return Decoded(image, fused.notices, bands.of_image(fused.variance, received.shape))


def _decode(fused: Fused, picture: np.ndarray, level: int) -> torch.Tensor:
    """Eq. (12): ẑ and the base's picture → planes (1, 3, 8h, 8w); `level` of the base's fine colour."""
    base = pad(to_planes(picture), MULTIPLE)
    image = load().network.transform.inverse(fused.z[None]) + level / FINE_COLOUR * beyond(base)
    return restored(load_restorer(), image, fused.variance[None], base)


def _why_no_base(closed: int) -> str:
    if closed:
        return closed_notices(closed)[0]
    return "the digital base did not arrive: send at a more robust MCS, or with a larger repair share"
