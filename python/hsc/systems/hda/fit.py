"""What HDA-DeepSC takes from statistics and not from gradients: its linear start, and the tables that both
ends share.
"""

from __future__ import annotations

import numpy as np
import torch

from ...coding import activity
from ...coding.stored_tables import LARGEST_INDEX, histograms, pack_tables
from .network import DEAD_ZONE, QUALITIES, HdaNetwork, dequantise, quantise, step_size

# Steps of Adam that the densities are fitted in, their rate, and the crops of a step. Chosen by trial.
DENSITY_STEPS = 400
_DENSITY_RATE = 1e-2
_DENSITY_CROPS = 64
# Quality at which the mean powers of u are taken: where the codec lands at 10 dB, a CBR of 1/6 and a DA ratio
# of 0.2, roughly.
_WEIGHT_QUALITY = 7


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
    pairs = zip(active, activity.STEPS, strict=True)
    return torch.stack([activity.fit_table(features, *pair) for pair in pairs])


def _auxiliary(network: HdaNetwork, z: torch.Tensor, latents: torch.Tensor, quality: int) -> torch.Tensor:
    """u (N, 120, h, w) of z_A at a quality, eqs. (15), (3), from samples z and their latents."""
    base = network.hyper.decode(dequantise(quantise(latents, quality), quality))
    return network.channel_encode(z - base)


@torch.no_grad()
def tables(network: HdaNetwork, z: torch.Tensor, latents: torch.Tensor) -> dict[str, torch.Tensor]:
    """Entropy tables as shipped, uint16: latents from their density, (12, 256, 82); activity from its
    histogram, (12, 4, 32, 82).
    """
    steps = [float(step_size(quality)) for quality in range(QUALITIES)]
    dense = [network.density.probabilities(step, LARGEST_INDEX, DEAD_ZONE).numpy() for step in steps]
    active = [
        activity_tables(network, _auxiliary(network, z, latents, quality)) for quality in range(QUALITIES)
    ]
    return {
        "tables": torch.from_numpy(np.stack(list(map(pack_tables, dense))).astype(np.uint16)),
        "activity_tables": torch.from_numpy(np.stack(active)),
    }


def activity_tables(network: HdaNetwork, features: torch.Tensor) -> np.ndarray:
    """Entropy tables of the activity of u (N, 120, h, w), every fineness, as shipped, uint16 (4, 32, 82)."""
    finenesses = range(len(activity.STEPS))
    found = [activity.latents(features, network.weight, fineness) for fineness in finenesses]
    return np.stack([pack_tables(histograms(each)) for each in found]).astype(np.uint16)


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
