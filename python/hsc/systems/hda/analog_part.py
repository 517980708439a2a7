"""Analog part of the HDA codecs: which coefficients are sent, in which order, and how they come back.

Both ends derive everything from integer log-powers (`nn.activity`), one threshold and one water level.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ...coding import whitening
from ...message import ReceivedAnalog
from . import network
from .regions import Region


@dataclass(frozen=True)
class Selection:
    """What the header says of the analog part: integer log-powers [1/64 octave], int16.

    Attributes:
        threshold: least log-power that is sent.
        water: log-power λ₀ of the water-filling.
    """

    threshold: int
    water: int


def select(log_power: torch.Tensor, values: int, snr_db: float) -> Selection:
    """The selection that sends at most `values` coefficients of a map of log-powers int64 (120, h, w), made
    for `snr_db`.
    """
    levels, counts = log_power.flatten().unique(return_counts=True)
    above = counts.flip(0).cumsum(0).flip(0)  # coefficients of at least each level
    fitting = torch.nonzero(above <= values)
    if not len(fitting):
        return Selection(int(levels[-1]) + 1, 0)
    first = int(fitting[0])
    sent = levels[first:].repeat_interleave(counts[first:])
    return Selection(int(levels[first]), network.water_level(sent, snr_db))


def expected_error(log_power: torch.Tensor, selection: Selection, snr_db: float) -> float:
    """Sum of the LLSE errors over all coefficients that the tables predict at an SNR [dB]."""
    layer = network.analog_layer(log_power, selection.threshold, selection.water)
    signal = layer.gain.square() * layer.power
    noise = signal.sum() / layer.sent.sum().clamp_min(1) * 10 ** (-snr_db / 10)
    return float((layer.power * (1 - signal / (signal + noise).clamp_min(1e-30))).sum())


def gather(
    features: torch.Tensor, log_power: torch.Tensor, selection: Selection, regions: list[Region]
) -> tuple[np.ndarray, list[int]]:
    """Coefficients (120, h, w) → analog values float32 (n,), region by region, whitened, and each region's
    first place.
    """
    layer = network.analog_layer(log_power, selection.threshold, selection.water)
    scaled, parts = layer.gain * features, []
    for region in regions:
        sent = _tokens_first(layer.sent, region)
        order = whitening.order(_tokens_first(log_power, region)[sent])
        parts.append(whitening.mix(_tokens_first(scaled, region)[sent][order]))
    first = np.concatenate([[0], np.cumsum([len(part) for part in parts])[:-1]])
    return torch.cat(parts).numpy().astype(np.float32), first.astype(int).tolist()


def scatter(
    received: ReceivedAnalog, log_power: torch.Tensor, selection: Selection, placed: list[tuple[Region, int]]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Received values → LLSE estimates of the coefficients and the variance of their error, (120, h, w) each,
    eq. (8).

    Args:
        received: the analog stream.
        log_power: int64 (120, h, w), right in the regions of `placed`.
        placed: known regions with their first place.
    """
    layer = network.analog_layer(log_power, selection.threshold, selection.water)
    estimate, variance = torch.zeros(log_power.shape), layer.power.clone()
    for region, first in placed:
        where = (slice(None), *region.tokens)
        sent = _tokens_first(layer.sent, region)
        order = whitening.order(_tokens_first(log_power, region)[sent])
        gain = _tokens_first(layer.gain, region)[sent][order]
        power = _tokens_first(layer.power, region)[sent][order]
        values, noise = _slice(received, first, whitening.mixed_length(len(order)))
        found, error = whitening.unmix(values, noise, gain.square() * power)
        for target, part in ((estimate, found / gain), (variance, error / gain.square())):
            tokens = _tokens_first(target, region)
            filled = torch.empty(len(order))
            filled[order] = part
            tokens[sent] = filled
            target[where] = tokens.permute(2, 0, 1)
    return estimate, variance


def _slice(received: ReceivedAnalog, first: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """`count` values from `first` on with their noise variances; what lies beyond the stream counts as lost."""
    values, noise = torch.zeros(count), torch.full((count,), torch.inf)
    there = max(0, min(count, len(received.values) - first))
    values[:there] = torch.from_numpy(np.array(received.values[first : first + there], np.float32))
    noise[:there] = torch.from_numpy(np.array(received.noise_variance[first : first + there], np.float32))
    return values, noise


def _tokens_first(values: torch.Tensor, region: Region) -> torch.Tensor:
    """A region of a map (120, h, w) as (rows, columns, 120)."""
    return values[(slice(None), *region.tokens)].permute(1, 2, 0).contiguous()
