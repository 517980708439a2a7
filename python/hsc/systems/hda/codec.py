"""HDA-DeepSC: hybrid digital-analog semantic communication (Xie, Qin, Han and Letaief, JSAC 2025).

    image ─▶ semantic encoder ─▶ z ─▶ HDA allocation ─┬─▶ z_D ─▶ entropy coder, AES, LDPC, QAM (digital) ─┬─▶ HDA fusion ─▶ ẑ
                                                      └─▶ z_A ─▶ channel encoder, gains (analog) ─────────┘
    ẑ ─▶ semantic decoder ─▶ image

The functions are the boxes of the paper's figure 2; `HdaDeepScCodec` is the whole system.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch

from ...codecs.contract import Decoded
from ...coding import budget
from ...errors import HscError
from ...message import Link, Message, ReceivedMessage
from ...nn.planes import check_shape, to_image, to_planes
from ...nn.transform import pad
from . import activity, models
from . import link as hda_link
from . import network as hda
from .analog_part import Selection
from .link import Arrived, Budget, Fused, HdaCodec, HdaOptions, HdaParameters, Split, make_budget
from .models import Model
from .regions import Region, regions

NAME = "hda_deepsc"


@torch.inference_mode()
def semantic_encode(image: np.ndarray, model: Model) -> torch.Tensor:
    """Eq. (1): uint8 (H, W, C) → z, float (120, h, w), h and w multiples of 4."""
    return model.network.encode(pad(to_planes(image), hda.MULTIPLE))[0]


@torch.inference_mode()
def semantic_decode(fused: Fused, shape: tuple[int, int, int], model: Model) -> np.ndarray:
    """Eq. (12): ẑ → uint8 (H, W, C)."""
    return to_image(model.network.decode(fused.z[None], fused.variance[None]), shape)


@torch.inference_mode()
def allocate(z: torch.Tensor, shape: tuple[int, int, int], link: Link, options: HdaOptions) -> Message:
    """HDA allocation and both coders, eqs. (13) to (15), (3), (4): z (120, h, w) → message. HscError for too
    small a CBR.
    """
    return budget.within(
        link, shape, lambda uses: _allocate(z, shape, make_budget(shape, uses, link, options))
    )


def _allocate(z: torch.Tensor, shape: tuple[int, int, int], at: Budget) -> Message:
    model = models.common()
    latents = model.network.hyper.encode(z[None])  # eq. (13)
    best, best_error = None, np.inf
    for quality in _fitting(latents, model, at):
        split = _split(z[None], latents, quality, at.fineness, model.network)
        uses, selection, error = hda_link.expected(split, model.tables[quality][at.fineness], at)
        if quality < hda.QUALITIES - 1 and uses > at.most_digital:
            continue
        if error < best_error:
            best, best_error = (split, selection), error
        elif best:
            break
        if at.options.da_ratio:
            break
    split, selection = _coarser_activity(*best, best_error, model, at)
    return hda_link.message(
        NAME,
        shape,
        _profile(split, model, shape, at),
        split,
        selection,
        model.tables[split.quality][split.fineness],
        at,
    )


def _profile(split: Split, model: Model, shape: tuple[int, int, int], at: Budget) -> int:
    """Number of the profile that suits the DA ratio as it came out."""
    digital, _, _ = hda_link.expected(split, model.tables[split.quality][split.fineness], at)
    return models.nearest(at.uses / math.prod(shape), digital / max(at.uses - digital, 1)).number


def _coarser_activity(
    split: Split, selection: Selection, error: float, model: Model, at: Budget
) -> tuple[Split, Selection]:
    """The same split with a coarser activity as long as that lowers the expected error."""
    for fineness in range(split.fineness + 1, len(hda.ACTIVITY_STEPS)):
        coarser = _with_activity(
            split.quality, fineness, split.coded[: hda.LATENTS], split.features, model.network
        )
        _, chosen, expected = hda_link.expected(coarser, model.tables[split.quality][fineness], at)
        if expected >= error:
            break
        split, selection, error = coarser, chosen, expected
    return split, selection


def _fitting(latents: torch.Tensor, model: Model, at: Budget) -> range:
    """Qualities from the finest whose latents alone fit the digital part."""
    for quality in range(hda.QUALITIES):
        indices = hda.quantise(latents[0], quality)
        bits = model.latents[quality].bits(indices.flatten().numpy(), hda_link.table_rows(indices))
        if at.digital_uses(int(bits / 8) + at.overhead) <= at.most_digital:
            return range(quality, hda.QUALITIES)
    return range(hda.QUALITIES - 1, hda.QUALITIES)


def _split(
    z: torch.Tensor, latents: torch.Tensor, quality: int, fineness: int, network: hda.HdaNetwork
) -> Split:
    """Eqs. (13) to (15) and (3) at one quality; z and latents with a batch dimension of 1."""
    indices = hda.quantise(latents, quality)
    base = network.hyper.decode(hda.dequantise(indices, quality))  # z̃
    features = network.channel_encode(z - base)  # z_A = z − z̃, eq. (15)
    return _with_activity(quality, fineness, indices[0], features[0], network)


def _with_activity(
    quality: int, fineness: int, indices: torch.Tensor, features: torch.Tensor, network: hda.HdaNetwork
) -> Split:
    active = network.activity_latents(features[None], fineness)
    log_power = network.log_powers(active, quality, fineness)[0]
    return Split(quality, fineness, torch.cat([indices, active[0]]), features, log_power)


@torch.inference_mode()
def fuse(received: ReceivedMessage, key: bytes | None, model: Model, parameters: HdaParameters) -> Fused:
    """HDA fusion, eq. (16), from whatever arrived. Raises HscError when nothing of the digital part did."""
    network, quality = model.network, parameters.quality
    came = hda_link.arrived(
        received, parameters, key, models.ROWS, model.tables[quality][parameters.fineness], whole=False
    )
    placed = came.placed
    if placed:
        log_power = network.log_powers(came.coded[None, hda.LATENTS :], quality, parameters.fineness)[0]
    elif came.closed:
        log_power, placed = _guess(came, parameters, network, regions(*received.shape[:2]))
    else:
        raise HscError(
            f"{NAME}: nothing of the digital part arrived: send at a more robust MCS, or with a larger repair share"
        )
    base = network.hyper.decode(hda.dequantise(came.coded[None, : hda.LATENTS], quality))[0]
    fused = hda_link.fuse(base, log_power, placed, received, parameters.selection, network)
    return replace(fused, closed=came.closed)


def _guess(
    came: Arrived, parameters: HdaParameters, network: hda.HdaNetwork, where: list[Region]
) -> tuple[torch.Tensor, list[tuple[Region, int]]]:
    """What an eavesdropper can do who knows the networks and not the key: take every token for one of mean
    activity.
    """
    down, across = came.coded.shape[-2:]
    row = torch.full((1, len(activity.GROUPS), 4 * down, 4 * across), activity.OFFSET)
    log_power = activity.power_table(network.log_power[parameters.quality, parameters.fineness].long(), row)[
        0
    ]
    sent = log_power >= parameters.selection.threshold
    counts = [int(sent[(slice(None), *region.tokens)].sum()) for region in where]
    first = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(int).tolist()
    return log_power, list(zip(where, first, strict=True))


class HdaDeepScCodec(HdaCodec):
    """The codec; options as in `HdaOptions`."""

    name = NAME
    weights = ("hda-deepsc", *(profile.name for profile in models.PROFILES))

    def encode(self, image: np.ndarray, link: Link = Link()) -> Message:  # noqa: B008 - frozen
        """uint8 (H, W, C) → message within the link's CBR. Raises HscError for an image or a CBR that cannot
        be served.
        """
        check_shape(image.shape)
        return allocate(semantic_encode(image, models.common()), image.shape, link, self.options)

    def decode(self, received: ReceivedMessage) -> Decoded:
        """Received message → image. Raises HscError when nothing of the digital part arrived."""
        check_shape(received.shape)
        parameters = HdaParameters.unpack(received.parameters)
        model = models.load(models.PROFILES[parameters.profile])
        fused = fuse(received, self.options.key, model, parameters)
        return Decoded(semantic_decode(fused, received.shape, model), hda_link.notices(fused.closed))
