"""What HDA-DeepSC takes from statistics and not from gradients: its linear start, and the tables that both
ends share.
"""

from __future__ import annotations

import numpy as np
import torch

from . import activity, models
from . import network as hda

DENSITY_STEPS = 400
LEAST_TOKENS = 20  # that a row of the power table is fitted to
WEIGHT_QUALITY = 7


@torch.no_grad()
def initialise(network: hda.HdaNetwork, images: torch.Tensor) -> None:
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
def set_deviation(network: hda.HdaNetwork, images: torch.Tensor) -> torch.Tensor:
    """Set the scale of each channel of z from images (N, 3, S, S), all that the semantic codec alone needs;
    returns their z.
    """
    z = torch.cat([network.transform(part) for part in images.split(16)])
    network.deviation.copy_(z.square().mean((0, 2, 3)).sqrt())
    return z


def fit_density(network: hda.HdaNetwork, latents: torch.Tensor) -> float:
    """Fit eq. (17) to latents (N, 256, h, w) by eq. (24), over all qualities; returns the last bits per
    latent position.
    """
    optimizer = torch.optim.Adam(network.density.parameters(), lr=1e-2)
    for _ in range(DENSITY_STEPS):
        some = latents[torch.randint(len(latents), (64,))]
        step = hda.step_size(torch.randint(hda.QUALITIES, (64, 1, 1, 1)))
        bits = network.density(some + (torch.rand_like(some) - 0.5) * step, step).mean()
        optimizer.zero_grad()
        bits.backward()
        optimizer.step()
    return bits.item() / (latents.shape[2] * latents.shape[3])


@torch.no_grad()
def fit_power(network: hda.HdaNetwork, z: torch.Tensor, latents: torch.Tensor) -> None:
    """Set the mean powers and the power tables of z_A, every quality, from samples z (N, 120, h, w) and their
    latents.
    """
    network.weight.copy_(
        _auxiliary(network, z, latents, WEIGHT_QUALITY).square().mean((0, 2, 3)).clamp_min(1e-8)
    )
    for quality in range(hda.QUALITIES):
        features = _auxiliary(network, z, latents, quality)
        for fineness in range(len(hda.ACTIVITY_STEPS)):
            network.log_power[quality, fineness] = power_rows(
                features, network.activity_latents(features, fineness), fineness
            )


def power_rows(features: torch.Tensor, active: torch.Tensor, fineness: int) -> torch.Tensor:
    """Power table int32 (44, 120), in 1/64 octave, from u (N, 120, h, w) and its activity latents."""
    row = activity.rows(active, hda.ACTIVITY_STEPS[fineness])
    parts = zip(row.unbind(1), features.square().split(activity.GROUPS, 1), strict=True)
    table = torch.cat(
        [power_by_row(rows.flatten(), power.movedim(1, -1).flatten(0, 2)) for rows, power in parts], 1
    )
    return (table * hda.OCTAVE).round().int()


def _auxiliary(network: hda.HdaNetwork, z: torch.Tensor, latents: torch.Tensor, quality: int) -> torch.Tensor:
    """u of z_A at a quality."""
    return network.channel_encode(
        z - network.hyper.decode(hda.dequantise(hda.quantise(latents, quality), quality))
    )


def power_by_row(row: torch.Tensor, power: torch.Tensor) -> torch.Tensor:
    """Rows (n,) and powers (n, C) → log2 of the mean power by row, (44, C): a parabola in the row, fitted
    where there are tokens enough.
    """
    count = torch.bincount(row, minlength=activity.ROWS).double()
    total = torch.zeros(activity.ROWS, power.shape[1], dtype=torch.double).index_add_(0, row, power.double())
    place = torch.arange(activity.ROWS).double() - activity.OFFSET
    enough = count > LEAST_TOKENS
    design = torch.stack([torch.ones_like(place), place, place * place], 1)
    weight = count[enough].sqrt()[:, None]
    # A row is half an octave: only the departure from that is fitted, and held beyond the rows that were
    # seen.
    departure = (total[enough] / count[enough][:, None]).clamp_min(1e-9).log2() - place[enough][:, None] / 2
    solution = torch.linalg.lstsq(design[enough] * weight, departure * weight).solution
    inside = place.clamp(place[enough].min(), place[enough].max())
    return (
        torch.stack([torch.ones_like(inside), inside, inside * inside], 1) @ solution + place[:, None] / 2
    ).float()


@torch.no_grad()
def tables(network: hda.HdaNetwork, z: torch.Tensor, latents: torch.Tensor) -> dict[str, torch.Tensor]:
    """Entropy tables as shipped, uint16: latents from their density, (12, 256, 82); activity from its
    histogram, (12, 4, 32, 82).
    """
    dense, active = [], []
    for quality in range(hda.QUALITIES):
        step = float(hda.step_size(quality))
        dense.append(
            models.pack_tables(
                network.density.probabilities(step, models.LARGEST_INDEX, hda.DEAD_ZONE).numpy()
            )
        )
        features = _auxiliary(network, z, latents, quality)
        active.append(activity_tables(network, features))
    return {
        "tables": torch.from_numpy(np.stack(dense).astype(np.uint16)),
        "activity_tables": torch.from_numpy(np.stack(active)),
    }


def activity_tables(network: hda.HdaNetwork, features: torch.Tensor) -> np.ndarray:
    """Entropy tables of the activity of u (N, 120, h, w) at every fineness, as shipped, uint16 (4, 32, 82)."""
    found = [
        histograms(network.activity_latents(features, fineness))
        for fineness in range(len(hda.ACTIVITY_STEPS))
    ]
    return np.stack([models.pack_tables(histogram) for histogram in found]).astype(np.uint16)


def histograms(values: torch.Tensor) -> np.ndarray:
    """Values (N, C, h, w) → smoothed relative frequencies of −40 … 40 and of what is beyond, (C, 82)."""
    size = 2 * models.LARGEST_INDEX + 2
    index = (values + models.LARGEST_INDEX).clamp(0, size - 1).movedim(1, 0).flatten(1)
    counts = torch.stack([torch.bincount(channel, minlength=size) for channel in index]).double().numpy()
    spread = 0.9 * counts + 0.05 * np.roll(counts, 1, 1) + 0.05 * np.roll(counts, -1, 1)
    return spread + 0.02


@torch.no_grad()
def refit(network: hda.HdaNetwork, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Fit densities and power tables anew to images (N, 3, S, S); returns their z and latents."""
    z = torch.cat([network.encode(part) for part in images.split(8)])
    latents = network.hyper.encode(z)
    with torch.enable_grad():
        fit_density(network, latents)
    fit_power(network, z, latents)
    return z, latents


@torch.no_grad()
def refit_power(network: hda.HdaNetwork, images: torch.Tensor) -> None:
    """Fit the mean powers and the power tables alone anew to images (N, 3, S, S)."""
    z = torch.cat([network.encode(part) for part in images.split(8)])
    fit_power(network, z, network.hyper.encode(z))


@torch.no_grad()
def shipped_state(network: hda.HdaNetwork, images: torch.Tensor) -> dict[str, torch.Tensor]:
    """Fit all tables anew to training images (N, 3, S, S) and return what the codec loads, densities left
    out.
    """
    z, latents = refit(network, images)
    state = {key: value for key, value in network.state_dict().items() if not key.startswith("density.")}
    return {**state, "log_power": network.log_power.to(torch.int16), **tables(network, z, latents)}
