"""Analog part of the HDA codecs: which coefficients are sent, with which gain, in which order, and how they
come back.

Both ends derive everything from integer log-powers (`activity.py`), one threshold and one water level.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from ..errors import HscError
from ..message import ReceivedAnalog
from ..nn.planes import check_shape
from ..nn.transform import BLOCK, WIDTH
from . import whitening
from .activity import OCTAVE
from .regions import Region, token_grid

# What decides of a coefficient that is never sent.
NEVER = -(1 << 20)
# Least power that a coefficient is sent with, in units of the water-filling's p. Chosen by trial.
_LEAST_POWER = 0.05
# Largest amplitude over √λ₀ [octaves], beyond what any message has: a received λ₀ may be anything, and floats
# shall hold what it leads to.
_MOST_OCTAVES = 40


@dataclass(frozen=True)
class Selection:
    """What the header says of the analog part: integer log-powers [1/64 octave], int16.

    Attributes:
        threshold: least log-power that is sent.
        water: log-power λ₀ of the water-filling.
    """

    threshold: int
    water: int


@dataclass(frozen=True)
class AnalogLayer:
    """What is known at both ends about the analog part, per token and channel, each (B, 120, h, w).

    Attributes:
        power: float, prior power λ of each channel-encoded coefficient.
        sent: bool, which coefficients are sent.
        gain: float, amplitude g that each is sent with; 0 where not sent.
    """

    power: torch.Tensor
    sent: torch.Tensor
    gain: torch.Tensor


def features_map(values: np.ndarray, shape: tuple[int, int, int]) -> torch.Tensor:
    """Coefficients of an image (H, W, C), or another map of its size, flattened → float (120, h, w). Raises
    HscError for another number of values, and for an image too large to be served.
    """
    check_shape(shape)
    wanted = (WIDTH, *token_grid(*shape[:2]))
    if values.size != math.prod(wanted):
        raise HscError(
            f"{values.size} features are not those of an image of shape {shape}: "
            "connect the features of the same codec"
        )
    return torch.from_numpy(values.reshape(wanted))


def without_padding(log_power: torch.Tensor, shape: tuple[int, int, int]) -> torch.Tensor:
    """Log-powers (120, h, w) of an image (H, W, C) → what decides of the coefficients: the same, and `NEVER`
    of tokens without a pixel of the image.
    """
    found = log_power.clone()
    found[:, -(-shape[0] // BLOCK) :], found[:, :, -(-shape[1] // BLOCK) :] = NEVER, NEVER
    return found


def analog_layer(
    log_power: torch.Tensor, selection: Selection, ranked: torch.Tensor | None = None
) -> AnalogLayer:
    """Coefficients and gains from integer log-powers (B, 120, h, w).

    Power p = g²λ of the minimum total LLSE error under a power constraint: p ∝ √(λ/λ₀) − 1, λ₀ =
    2^(water/64): water-filling; SoftCast's p ∝ √λ when λ₀ is far below.

    `ranked`: log-powers times the weights of the errors, where some places count more than others: they
    decide what is sent, and with how much power. None: all count alike.
    """
    ranked = log_power if ranked is None else ranked
    power = (log_power / OCTAVE).exp2()
    sent = ranked >= selection.threshold
    ratio = ((ranked - selection.water) / (2 * OCTAVE)).clamp_max(_MOST_OCTAVES).exp2()
    p = torch.where(sent, (ratio - 1).clamp_min(_LEAST_POWER), torch.zeros_like(ratio))
    return AnalogLayer(power, sent, (p / power).sqrt())


def _counted(log_power: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The log-powers that there are, ascending, and how often each. They span some thousands, so that
    counting is many times faster than sorting.
    """
    lowest = log_power.min()
    counts = torch.bincount((log_power - lowest).flatten())
    there = counts.nonzero().flatten()
    return there + lowest, counts[there]


def water_level(log_power: torch.Tensor, snr_db: float) -> int:
    """λ₀ of the water-filling [1/64 octave] for log-powers of the coefficients sent, any shape, at an SNR
    [dB].
    """
    if not log_power.numel():
        return 0
    return _water_level(*_counted(log_power), snr_db)


def _water_level(values: torch.Tensor, counts: torch.Tensor, snr_db: float) -> int:
    """The same for log-powers, ascending, and how often each is there."""
    amplitude, weight = (values / (2 * OCTAVE)).exp2().double(), counts.double() / counts.sum()
    # 20 octaves below the weakest, the powers are SoftCast's to a thousandth.
    low, high = int(values[0]) - 20 * OCTAVE, int(values[-1])
    while high - low > 1:
        middle = (low + high) // 2
        snr = ((amplitude * 2 ** (-middle / (2 * OCTAVE)) - 1).clamp_min(0) * weight).sum()
        low, high = (middle, high) if snr > 10 ** (snr_db / 10) else (low, middle)
    return low


def select(ranked: torch.Tensor, values: int, snr_db: float) -> Selection:
    """The selection that sends at most `values` coefficients, made for `snr_db`. `ranked`: what decides of
    them, int64 (120, h, w), not `NEVER` of all.
    """
    levels, counts = _counted(ranked[ranked > NEVER])
    above = counts.flip(0).cumsum(0).flip(0)  # how many coefficients have at least each level
    fitting = torch.nonzero(above <= values)
    if not len(fitting):
        return Selection(int(levels[-1]) + 1, 0)
    first = int(fitting[0])
    return Selection(int(levels[first]), _water_level(levels[first:], counts[first:], snr_db))


def expected_error(
    features: torch.Tensor,
    log_power: torch.Tensor,
    ranked: torch.Tensor,
    selection: Selection,
    snr_db: float,
) -> float:
    """Sum of the squared errors that the receiver's LLSE estimates, eq. (8), of u (120, h, w) will have at an
    SNR [dB]: of what is sent, the part that the estimate shrinks away and noise; all of what is not; without
    the padding's. `ranked`: as in `analog_layer`.
    """
    layer = analog_layer(log_power, selection, ranked)
    noise = (layer.gain * features).square().sum() / layer.sent.sum().clamp_min(1) * 10 ** (-snr_db / 10)
    signal = layer.gain.square() * layer.power
    weight = signal / (signal + noise).clamp_min(1e-30)
    error = ((1 - weight) * features).square() + weight.square() * noise / layer.gain.square().clamp_min(
        1e-30
    )
    return float(torch.where(layer.sent, error, features.square())[ranked > NEVER].sum())


def length(ranked: torch.Tensor, selection: Selection, regions: list[Region]) -> int:
    """Analog values that `gather` makes."""
    sent = ranked >= selection.threshold
    counts = (int(sent[(slice(None), *region.tokens)].sum()) for region in regions)
    return sum(map(whitening.mixed_length, counts))


def mix(
    features: torch.Tensor,
    log_power: torch.Tensor,
    ranked: torch.Tensor,
    selection: Selection,
    spare: int = 1,
) -> torch.Tensor:
    """Coefficients u, any shape → analog values (n,), eq. (3), whitened. `ranked`: as in `analog_layer`;
    `spare`: as in `whitening.mix`.
    """
    layer = analog_layer(log_power, selection, ranked)
    order = whitening.order(ranked[layer.sent])
    return whitening.mix((layer.gain * features)[layer.sent][order], spare)


def unmix(
    received: ReceivedAnalog,
    first: int,
    log_power: torch.Tensor,
    ranked: torch.Tensor,
    selection: Selection,
    spare: int = 1,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Values from `first` on → LLSE estimates of what `mix` was given and the variance of their error,
    eq. (8). What is beyond the stream counts as lost.
    """
    layer = analog_layer(log_power, selection, ranked)
    order = whitening.order(ranked[layer.sent])
    gain, power = layer.gain[layer.sent][order], layer.power[layer.sent][order]
    values, noise = _slice(received, first, whitening.mixed_length(len(order), spare))
    found, error = whitening.unmix(values, noise, gain.square() * power, spare)
    estimate, variance = torch.zeros(log_power.shape), layer.power.clone()
    for target, part in ((estimate, found / gain), (variance, error / gain.square())):
        filled = torch.empty(len(order))
        filled[order] = part
        target[layer.sent] = filled
    return estimate, variance


def gather(
    features: torch.Tensor,
    log_power: torch.Tensor,
    selection: Selection,
    regions: list[Region],
    ranked: torch.Tensor | None = None,
) -> tuple[np.ndarray, list[int]]:
    """Coefficients u (120, h, w) → analog values float32 (n,), region by region (`mix`); and each region's
    first place among them. `ranked`: as in `analog_layer`.
    """
    maps = features, log_power, log_power if ranked is None else ranked
    parts = [mix(*(_tokens_first(each, region) for each in maps), selection) for region in regions]
    first = np.concatenate([[0], np.cumsum([len(part) for part in parts])[:-1]])
    return torch.cat(parts).numpy().astype(np.float32), first.astype(int).tolist()


def scatter(
    received: ReceivedAnalog,
    log_power: torch.Tensor,
    selection: Selection,
    placed: list[tuple[Region, int]],
    ranked: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Received values → LLSE estimates of the coefficients and the variance of their error, (120, h, w) each
    (`unmix`).

    Args:
        received: the analog stream.
        log_power: int64 (120, h, w), right in the regions of `placed`.
        placed: known regions with their first place.
        ranked: as in `analog_layer`.
    """
    maps = log_power, log_power if ranked is None else ranked
    estimate, variance = torch.zeros(log_power.shape), (log_power / OCTAVE).exp2()
    for region, first in placed:
        found = unmix(received, first, *(_tokens_first(each, region) for each in maps), selection)
        for target, part in zip((estimate, variance), found, strict=True):
            target[(slice(None), *region.tokens)] = part.permute(2, 0, 1)
    return estimate, variance


def _slice(received: ReceivedAnalog, first: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """`count` values from `first` on, and their noise variances; what is beyond the stream counts as lost."""
    values, noise = torch.zeros(count), torch.full((count,), torch.inf)
    there = max(0, min(count, len(received.values) - first))
    values[:there] = torch.from_numpy(np.array(received.values[first : first + there], np.float32))
    noise[:there] = torch.from_numpy(np.array(received.noise_variance[first : first + there], np.float32))
    return values, noise


def _tokens_first(values: torch.Tensor, region: Region) -> torch.Tensor:
    """A region of a map (120, h, w) as (rows, columns, 120)."""
    return values[(slice(None), *region.tokens)].permute(1, 2, 0).contiguous()


def llse(values: torch.Tensor, noise: torch.Tensor, layer: AnalogLayer) -> tuple[torch.Tensor, torch.Tensor]:
    """Linear least-squares estimate of u, eq. (8), from y = g·u + noise of the given variance, inf where
    erased; and the variance of its error. All have the layer's shape.
    """
    signal, nothing = layer.gain.square() * layer.power, torch.zeros_like(values)
    weight = torch.where(layer.sent & torch.isfinite(noise), signal / (signal + noise), nothing)
    estimate = weight * torch.where(layer.sent, values, nothing) / layer.gain.clamp_min(1e-12)
    return estimate, layer.power * (1 - weight)
