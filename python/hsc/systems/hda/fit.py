"""What HDA-DeepSC takes from statistics and not from gradients: its linear start, and the tables that both
ends share.
"""

from __future__ import annotations

import numpy as np
import torch

from ...coding import activity
from . import models
from .network import DEAD_ZONE, QUALITIES, HdaNetwork, dequantise, quantise, step_size

# Steps of Adam that the densities are fitted in, their rate, and the crops of a step. Chosen by trial.
DENSITY_STEPS = 400
_DENSITY_RATE = 1e-2
_DENSITY_CROPS = 64
# A row of the power table is fitted to more tokens than these. Chosen by trial.
_LEAST_TOKENS = 20
# Quality at which the mean powers of u are taken: where the codec lands at 10 dB, a CBR of 1/6 and a DA ratio
# of 0.2, roughly.
_WEIGHT_QUALITY = 7
# Share of a histogram's count that goes to the values on either side, and what each value has besides, so
# that none is impossible. Chosen by trial.
_SPREAD, _LEAST_COUNT = 0.05, 0.02


@torch.no_grad()
def initialise(network: HdaNetwork, images: torch.Tensor) -> None:
    """The linear start from images (N, 3, S, S): scales, KLT of the hyper codec, densities, power tables. The
    codec then is SoftCast on what a KLT coder leaves over, with known local powers."""
    z = set_deviation(network, images)
    network.hyper.initialise_klt(z)
    latents = network.hyper.encode(z)
    network.density.scale.copy_(latents.square().mean((0, 2, 3)).sqrt().clamp_min(1e-3)[:, None, None])
    with torch.enable_grad():
        fit_density(network, latents)
    fit_power(network, z, latents)


@torch.no_grad()
def set_deviation(network: HdaNetwork, images: torch.Tensor) -> torch.Tensor:
    """Set the scale of each channel of z from images (N, 3, S, S), all that the semantic codec alone needs;
    returns their z.
    """
    z = torch.cat([network.transform(part) for part in images.split(16)])
    network.deviation.copy_(z.square().mean((0, 2, 3)).sqrt())
    return z


def fit_density(network: HdaNetwork, latents: torch.Tensor) -> float:
    """Fit eq. (17) to latents (N, 256, h, w) by eq. (24), over all qualities; returns the last bits per
    latent position.
    """
    optimizer = torch.optim.Adam(network.density.parameters(), lr=_DENSITY_RATE)
    for _ in range(DENSITY_STEPS):
        some = latents[torch.randint(len(latents), (_DENSITY_CROPS,))]
        step = step_size(torch.randint(QUALITIES, (_DENSITY_CROPS, 1, 1, 1)))
        bits = network.density(some + (torch.rand_like(some) - 0.5) * step, step).mean()
        optimizer.zero_grad()
        bits.backward()
        optimizer.step()
    return bits.item() / (latents.shape[2] * latents.shape[3])


@torch.no_grad()
def fit_power(network: HdaNetwork, z: torch.Tensor, latents: torch.Tensor) -> None:
    """Set the mean powers and the power tables of z_A, every quality, from samples z (N, 120, h, w) and their
    latents.
    """
    usual = _auxiliary(network, z, latents, _WEIGHT_QUALITY)
    network.weight.copy_(usual.square().mean((0, 2, 3)).clamp_min(1e-8))
    for quality in range(QUALITIES):
        network.log_power[quality] = power_tables(network, _auxiliary(network, z, latents, quality))


def power_tables(network: HdaNetwork, features: torch.Tensor) -> torch.Tensor:
    """Power tables int32 (4, 44, 120) [1/64 octave], for every fineness of the activity, fitted to u
    (N, 120, h, w).
    """
    finenesses = range(len(activity.STEPS))
    active = [activity.latents(features, network.weight, fineness) for fineness in finenesses]
    return torch.stack([_power_table(features, *each) for each in zip(active, activity.STEPS, strict=True)])


def _power_table(features: torch.Tensor, active: torch.Tensor, step: int) -> torch.Tensor:
    row = activity.rows(active, step)
    parts = zip(row.unbind(1), features.square().split(activity.GROUPS, 1), strict=True)
    table = [power_by_row(rows.flatten(), power.movedim(1, -1).flatten(0, 2)) for rows, power in parts]
    return (torch.cat(table, 1) * activity.OCTAVE).round().int()


def _auxiliary(network: HdaNetwork, z: torch.Tensor, latents: torch.Tensor, quality: int) -> torch.Tensor:
    """u (N, 120, h, w) of z_A at a quality, eqs. (15), (3), from samples z and their latents."""
    base = network.hyper.decode(dequantise(quantise(latents, quality), quality))
    return network.channel_encode(z - base)


def power_by_row(row: torch.Tensor, power: torch.Tensor) -> torch.Tensor:
    """Rows (n,) and powers (n, C) → log2 of the mean power by row, (44, C): a parabola in the row, fitted
    where there are tokens enough.
    """
    count = torch.bincount(row, minlength=activity.ROWS).double()
    total = torch.zeros(activity.ROWS, power.shape[1], dtype=torch.double).index_add_(0, row, power.double())
    place = torch.arange(activity.ROWS).double() - activity.OFFSET
    enough = count > _LEAST_TOKENS
    weight = count[enough].sqrt()[:, None]
    # A row is half an octave: the departure from that is fitted, and held beyond the rows that were seen.
    departure = (total[enough] / count[enough][:, None]).clamp_min(1e-9).log2() - place[enough][:, None] / 2
    solution = torch.linalg.lstsq(_parabola(place)[enough] * weight, departure * weight).solution
    inside = place.clamp(place[enough].min(), place[enough].max())
    return (_parabola(inside) @ solution + place[:, None] / 2).float()


def _parabola(x: torch.Tensor) -> torch.Tensor:
    return torch.stack([torch.ones_like(x), x, x * x], 1)


@torch.no_grad()
def tables(network: HdaNetwork, z: torch.Tensor, latents: torch.Tensor) -> dict[str, torch.Tensor]:
    """Entropy tables as shipped, uint16: latents from their density, (12, 256, 82); activity from its
    histogram, (12, 4, 32, 82).
    """
    steps = [float(step_size(quality)) for quality in range(QUALITIES)]
    dense = [network.density.probabilities(step, models.LARGEST_INDEX, DEAD_ZONE).numpy() for step in steps]
    active = [
        activity_tables(network, _auxiliary(network, z, latents, quality)) for quality in range(QUALITIES)
    ]
    return {
        "tables": torch.from_numpy(np.stack(list(map(models.pack_tables, dense))).astype(np.uint16)),
        "activity_tables": torch.from_numpy(np.stack(active)),
    }


def activity_tables(network: HdaNetwork, features: torch.Tensor) -> np.ndarray:
    """Entropy tables of the activity of u (N, 120, h, w), every fineness, as shipped, uint16 (4, 32, 82)."""
    finenesses = range(len(activity.STEPS))
    found = [activity.latents(features, network.weight, fineness) for fineness in finenesses]
    return np.stack([models.pack_tables(histograms(each)) for each in found]).astype(np.uint16)


def histograms(values: torch.Tensor) -> np.ndarray:
    """Values (N, C, h, w) → smoothed relative frequencies of −40 … 40 and of what is beyond, (C, 82)."""
    size = 2 * models.LARGEST_INDEX + 2
    index = (values + models.LARGEST_INDEX).clamp(0, size - 1).movedim(1, 0).flatten(1)
    counts = torch.stack([torch.bincount(channel, minlength=size) for channel in index]).double().numpy()
    beside = _SPREAD * np.roll(counts, 1, 1) + _SPREAD * np.roll(counts, -1, 1)
    return (1 - 2 * _SPREAD) * counts + beside + _LEAST_COUNT


@torch.no_grad()
def refit(network: HdaNetwork, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Fit densities and power tables anew to images (N, 3, S, S); returns their z and latents."""
    z = torch.cat([network.encode(part) for part in images.split(8)])
    latents = network.hyper.encode(z)
    with torch.enable_grad():
        fit_density(network, latents)
    fit_power(network, z, latents)
    return z, latents


@torch.no_grad()
def refit_power(network: HdaNetwork, images: torch.Tensor) -> None:
    """Fit the mean powers and the power tables alone anew to images (N, 3, S, S)."""
    z = torch.cat([network.encode(part) for part in images.split(8)])
    fit_power(network, z, network.hyper.encode(z))


@torch.no_grad()
def shipped_state(network: HdaNetwork, images: torch.Tensor) -> dict[str, torch.Tensor]:
    """Fit all tables anew to training images (N, 3, S, S) and return what the codec loads, densities left
    out.
    """
    z, latents = refit(network, images)
    state = {key: value for key, value in network.state_dict().items() if not key.startswith("density.")}
    return {**state, "log_power": network.log_power.to(torch.int16), **tables(network, z, latents)}
