"""HDA fusion: what arrived of the two parts becomes ẑ = z̃ + ẑ_A, eq. (16).

    digital ─▶ repair, cipher, entropy decoder ─▶ z_D ─▶ hyper decoder ─▶ z̃ ───────┐
    analog ─▶ linear least squares, eq. (8) ─▶ û ─▶ channel decoder ─▶ ẑ_A ─────────┴─▶ ẑ

`fuse` is the box of the paper's figure 2; `join` serves `hevc_codec` too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from ...coding import activity, analog_part
from ...coding.analog_part import Selection
from ...coding.regions import regions, token_grid
from ...errors import HscError
from ...message import ReceivedMessage
from ...words import counted
from . import digital_part
from .digital_part import Arrived
from .models import Model
from .network import LATENTS, HdaNetwork, dequantise
from .parameters import HdaParameters


@dataclass(frozen=True)
class Fused:
    """What fusion gives.

    Attributes:
        z: ẑ, float (120, h, w).
        variance: of its error, float (120, h, w).
        lost: regions that are unknown in it.
        closed: chunks that came and did not open.
    """

    z: torch.Tensor
    variance: torch.Tensor
    lost: int = 0
    closed: int = 0

    @property
    def notices(self) -> tuple[str, ...]:
        """What the receiver's user should know of chunks that came and did not open, and of regions that did
        not come.
        """
        # A region whose chunk did not open is among the lost ones, or guessed.
        missing = max(0, self.lost - self.closed)
        lost = (f"{counted(missing, 'region')} of the image did not arrive",) if missing else ()
        return closed_notices(self.closed) + lost


@torch.inference_mode()
def fuse(received: ReceivedMessage, key: bytes | None, model: Model, parameters: HdaParameters) -> Fused:
    """HDA fusion of HDA-DeepSC, eqs. (8) and (16), from whatever arrived. Raises HscError when nothing of the
    digital part did.
    """
    network, quality, fineness = model.network, parameters.quality, parameters.fineness
    tables = model.entropy[quality][fineness]
    came = digital_part.receive(received, parameters.source_bytes, key, tables, LATENTS + activity.LATENTS)
    if came.placed:
        table = model.log_power[quality, fineness]
        log_power = activity.log_powers(table, came.coded[None, LATENTS:], fineness)[0]
    elif came.closed:
        log_power, came = _guess(came, parameters, model, received.shape)
    else:
        raise HscError(
            f"{received.codec}: nothing of the digital part arrived: send at a more robust MCS, or with a "
            "larger repair share"
        )
    base = network.hyper.decode(dequantise(came.coded[None, :LATENTS], quality))[0]  # z̃
    nothing = Fused(torch.zeros_like(base), network.deviation.square()[:, None, None])
    return join(base, log_power, came, received, parameters.selection, network, nothing)


def join(
    base: torch.Tensor,
    log_power: torch.Tensor,
    came: Arrived,
    received: ReceivedMessage,
    selection: Selection,
    network: HdaNetwork,
    elsewhere: Fused,
) -> Fused:
    """Eqs. (8) and (16), for both codecs.

    Args:
        base: z̃, float (120, h, w).
        log_power: int64 (120, h, w), right in the regions that are known.
        came: the digital part.
        received: the message, for its analog part.
        selection: of the analog values.
        network: the receiver's.
        elsewhere: ẑ and its variance in regions that are not known.
    """
    analog, variance = torch.zeros_like(base), analog_part.analog_layer(log_power, selection).power
    if received.analog is not None:
        ranked = analog_part.without_padding(log_power, received.shape)
        # û, eq. (8)
        estimate, variance = analog_part.scatter(received.analog, log_power, selection, came.placed, ranked)
        analog = network.channel_decode(estimate[None])[0]  # ẑ_A
    known = torch.zeros(base.shape[1:], dtype=torch.bool)
    for region, _ in came.placed:
        known[region.tokens] = True
    lost = len(regions(*received.shape[:2])) - len(came.placed)
    z = torch.where(known, base + analog, elsewhere.z)  # ẑ = z̃ + ẑ_A, eq. (16)
    return Fused(z, torch.where(known, variance, elsewhere.variance), lost, came.closed)


def _guess(
    came: Arrived, parameters: HdaParameters, model: Model, shape: tuple[int, int, int]
) -> tuple[torch.Tensor, Arrived]:
    """What an eavesdropper can do who knows the networks and not the key: take every token for one of mean
    activity.
    """
    down, across = token_grid(*shape[:2])
    row = torch.full((1, len(activity.GROUPS), down, across), activity.OFFSET)
    table = model.log_power[parameters.quality, parameters.fineness].long()
    log_power = activity.power_table(table, row)[0]
    ranked, where = analog_part.without_padding(log_power, shape), regions(*shape[:2])
    counts = [analog_part.length(ranked, parameters.selection, [each]) for each in where]
    first = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(int).tolist()
    return log_power, replace(came, placed=list(zip(where, first, strict=True)))


def closed_notices(closed: int) -> tuple[str, ...]:
    """What the receiver's user should know of chunks that came and did not open."""
    what = "1 chunk does" if closed == 1 else f"{closed} chunks do"
    return (f"{what} not open: altered, or the receiver's key is not the transmitter's",) if closed else ()
