"""A hybrid that the papers lack: an HEVC-intra base, and HDA-DeepSC's analog layer and semantic decoder for
what it leaves over.

    image ─┬─▶ HEVC intra ─▶ base ─▶ semantic encoder ─▶ z̃ ─┐
           └─▶ semantic encoder ─▶ z ────────────────────────┴─▶ z_A = z − z̃ ─▶ analog

The base and the activity of z_A are the digital part. The split of the channel uses follows the SNR: the one
with the least expected error.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch

from ... import weights
from ...codecs.contract import Decoded
from ...coding import budget, hevc
from ...coding.entropy import EntropyTables
from ...errors import HscError
from ...message import Link, Message, ReceivedMessage
from ...nn.planes import check_shape
from . import activity, models, network
from . import link as hda_link
from .codec import semantic_decode, semantic_encode
from .link import Budget, HdaCodec, HdaParameters, Split, make_budget
from .models import DECODER, Model
from .regions import grid, regions

NAME, WEIGHTS = "hda_hevc", "hda-hevc"
# Digital shares of the channel uses that are tried, by the bits per channel use of the MCS: the dearer a bit,
# the more it takes.
_SHARES = ((0.7, (0.3, 0.6, 0.9)), (1.5, (0.2, 0.4, 0.7)), (2.2, (0.12, 0.22, 0.35)), (9.9, (0.05, 0.1, 0.2)))
_SMALL = 8000  # channel uses, below which an HEVC picture takes about half
_ACTIVITY_BYTES = (7.0, 4.0, 2.5, 0.8)  # of a latent position, typically


@dataclass(frozen=True)
class Tables:
    """What is fitted to HEVC's residuals.

    Attributes:
        log_power: int64 (12, 4, 44, 120), as in `nn.hda`, for 12 classes of residual, weak to strong, and
            each fineness of the activity.
        energy: float (12,), log2 of the mean power of each class; for the encoder only.
        entropy: tables of the 32 activity latents, of each class and fineness.
    """

    log_power: torch.Tensor
    energy: np.ndarray
    entropy: tuple[tuple[EntropyTables, ...], ...]


@lru_cache(maxsize=1)
def load() -> Model:
    """HDA-DeepSC's networks with a decoder for these bases. Raises HscError when weights are missing or
    damaged.
    """
    own = {key: value for key, value in weights.load(WEIGHTS).items() if key.startswith(DECODER)}
    return replace(models.common(), network=models.network(own))


@lru_cache(maxsize=1)
def tables() -> Tables:
    """The shipped tables. Raises HscError when they are missing or damaged."""
    state = weights.load(WEIGHTS)
    return Tables(
        state["log_power"].long(),
        state["energy"].numpy(),
        tuple(tuple(models.unpack_tables(part) for part in parts) for parts in state["tables"]),
    )


def residual_class(features: torch.Tensor, energy: np.ndarray) -> int:
    """Class of a residual u (120, h, w): the one of the nearest power."""
    return int(np.argmin(np.abs(energy - float(features.square().mean().clamp_min(2.0**-40).log2()))))


@torch.inference_mode()
def split(image: np.ndarray, z: torch.Tensor, data: bytes, fineness: int, model: Model) -> Split:
    """An image, its z and the HEVC code of its base → the two parts."""
    base = semantic_encode(hevc.decode(data, image.shape), model)
    features = model.network.channel_encode((z - base)[None])[0]
    return _with_activity(residual_class(features, tables().energy), fineness, features, data, model)


def _with_activity(quality: int, fineness: int, features: torch.Tensor, data: bytes, model: Model) -> Split:
    active = model.network.activity_latents(features[None], fineness)
    log_power = network.log_powers(tables().log_power[quality, fineness], active, fineness)[0]
    return Split(quality, fineness, active[0], features, log_power, data)


def _bytes_per_use(at: Budget, share: float) -> float:
    """Bytes of the digital part for each channel use of the message when the digital part takes `share` of
    them.
    """
    return share * at.mcs.bits_per_use / 8 * 0.95 * (1 - at.options.repair_share)


def _beside_base(at: Budget, positions: int) -> int:
    """Bytes of the digital part of an image of so many latent positions that are not the base, typically."""
    return at.overhead + at.count * hda_link.CODER_BYTES + int(_ACTIVITY_BYTES[at.fineness] * positions)


class HdaHevcCodec(HdaCodec):
    """The codec; options as in `HdaOptions`. `da_ratio` None chooses the split by the SNR."""

    name = NAME
    weights = (models.COMMON, WEIGHTS)

    def encode(self, image: np.ndarray, link: Link = Link()) -> Message:  # noqa: B008 - frozen
        """uint8 (H, W, C) → message within the link's CBR. Raises HscError for an image or a CBR that cannot
        be served.
        """
        check_shape(image.shape)
        z = semantic_encode(image, load())
        return budget.within(
            link,
            image.shape,
            lambda uses: self._message(image, z, make_budget(image.shape, uses, link, self.options)),
        )

    def _message(self, image: np.ndarray, z: torch.Tensor, at: Budget) -> Message:
        model, beside = load(), _beside_base(at, int(np.prod(grid(*image.shape[:2]))))
        best, best_error, needed = None, np.inf, []
        for share in self._shares(at):
            try:
                base = hevc.fit(image, int(at.uses * _bytes_per_use(at, share)) - beside)
            except budget.TooFew as few:
                needed.append(math.ceil((few.needed + beside) / _bytes_per_use(at, share)))
                continue
            part = split(image, z, base, at.fineness, model)
            for fineness in range(at.fineness, len(network.ACTIVITY_STEPS)):
                part = _with_activity(part.quality, fineness, part.features, part.whole, model)
                uses, selection, error = hda_link.expected(part, tables().entropy[part.quality][fineness], at)
                needed.append(uses + 1)
                if uses < at.uses and error < best_error:
                    best, best_error = (part, selection), error
            if best and best[0].whole is not part.whole:
                break
        if best is None:
            raise budget.TooFew(
                f"{at.uses} channel uses are too few for {NAME} at {at.mcs.name}", min(needed)
            )
        part, selection = best
        return hda_link.message(
            NAME, image.shape, 0, part, selection, tables().entropy[part.quality][part.fineness], at
        )

    def _shares(self, at: Budget) -> tuple[float, ...]:
        ratio = self.options.da_ratio
        if ratio:
            return (ratio / (1 + ratio),)
        usual = next(shares for most, shares in _SHARES if at.mcs.bits_per_use <= most)
        return usual if at.uses > _SMALL else (0.5,)

    @torch.inference_mode()
    def decode(self, received: ReceivedMessage) -> Decoded:
        """Received message → image. Raises HscError when neither base nor activity arrived."""
        check_shape(received.shape)
        parameters, model = HdaParameters.unpack(received.parameters), load()
        fitted, quality = tables(), parameters.quality
        came = hda_link.arrived(
            received,
            parameters,
            self.options.key,
            activity.LATENTS,
            fitted.entropy[quality][parameters.fineness],
            whole=True,
        )
        notices = hda_link.notices(came.closed)
        if came.whole is None and came.closed:
            raise HscError(f"{NAME}: {notices[0]}")
        if came.whole is None:
            raise HscError(
                f"{NAME}: the digital base did not arrive: send at a more robust MCS, or with a larger repair share"
            )
        base = semantic_encode(hevc.decode(came.whole, received.shape), model)
        log_power = network.log_powers(
            fitted.log_power[quality, parameters.fineness], came.coded[None], parameters.fineness
        )[0]
        fused = hda_link.fuse(base, log_power, came.placed, received, parameters.selection, model.network)
        return Decoded(
            semantic_decode(_with_base(fused, base, came.placed, received.shape), received.shape, model),
            notices,
        )


def _with_base(
    fused: hda_link.Fused, base: torch.Tensor, placed: list, shape: tuple[int, int, int]
) -> hda_link.Fused:
    """Regions without activity have the base alone."""
    if len(placed) == len(regions(*shape[:2])):
        return fused
    z, variance = fused.z.clone(), fused.variance.clone()
    there = {region.index for region, _ in placed}
    for region in regions(*shape[:2]):
        if region.index not in there:
            where = (slice(None), *region.tokens)
            z[where] = base[where]
            variance[where] = 0.01 * variance[where]  # of what an HEVC base leaves over, roughly
    return hda_link.Fused(z, variance, fused.lost)
