"""What the codec `hda_hevc` has of its own: tables fitted to what HEVC intra leaves over, and a decoder
trained behind such bases.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from ...coding import hevc
from ...errors import HscError
from ...images import datasets
from ...phy import mcs
from ...training.export import export
from ...training.loop import Run, accelerator, fit, mixed_precision, planes
from ...training.recipe import Recipe
from . import hevc_codec, models
from . import network as hda
from .fit import activity_tables, power_rows
from .objective import FINENESS, Draw, analog_link, balanced, semantic_distortion
from .training import METHOD, learn_decoder

BYTES_PER_PIXEL = 0.30 * 2.0 ** (-0.6 * np.arange(hda.QUALITIES))  # of the base, for classes 0 (finest) to 11
CROPS, SIZE, SEED = 40, 256, 3
PAIRS = 200  # crops that the decoder is trained on
CBR = 1 / 6
DIGITAL_SHARE = 0.1, 0.9
RELIABLE = 0.8  # of a base's channel uses beside activity and headers
EMA = 0.998


def train(run: Run, _: dict[str, torch.Tensor] | None = None) -> dict[str, float]:
    """Fit the tables to the shipped network, whatever the start, train its decoder, export both; returns the
    figures on the card.
    """
    photos, network = run.photos(), models.network({})
    state, figures = fit_tables(photos, network)
    pairs = Pairs.make(photos, network, state["log_power"].long(), state["energy"].numpy(), run.recipe)
    network, steps = train_decoder(network, pairs, run)
    state |= {key: value for key, value in network.state_dict().items() if key.startswith(models.DECODER)}
    export(run, state, steps, figures, f": {CROPS} of seed {SEED} for the tables, {PAIRS} for the decoder")
    return figures


@torch.no_grad()
def fit_tables(
    photos: datasets.Photos, network: hda.HdaNetwork
) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
    """Tables fitted to random crops, as shipped, and the mean power of every class. No gradients."""
    crops = photos.crops(np.random.default_rng(SEED), CROPS, SIZE)
    z = network.encode(planes(crops))
    log_power, energy, stored = [], [], []
    for share in BYTES_PER_PIXEL:
        bases = np.stack([_base(crop, share) for crop in crops])
        features = network.channel_encode(z - network.encode(planes(bases)))
        energy.append(float(features.square().mean().log2()))
        found = [network.activity_latents(features, fineness) for fineness in range(len(hda.ACTIVITY_STEPS))]
        log_power.append(
            torch.stack([power_rows(features, active, fineness) for fineness, active in enumerate(found)]).to(
                torch.int16
            )
        )
        stored.append(activity_tables(network, features))
    state = {
        "log_power": torch.stack(log_power),
        "energy": torch.tensor(energy),
        "tables": torch.from_numpy(np.stack(stored)),
    }
    return state, {f"class {quality}: log2 of mean power": value for quality, value in enumerate(energy)}


@dataclass(frozen=True)
class Pairs:
    """Crops and their bases at the quality that is typical of every class's size.

    Attributes:
        images: uint8 (N, S, S, 3).
        bases: uint8 (12, N, S, S, 3).
        log_power: int64 (12, N, 120, h, w), the tables' for what each base leaves over.
    """

    images: np.ndarray
    bases: np.ndarray
    log_power: torch.Tensor

    @classmethod
    @torch.no_grad()
    def make(
        cls,
        photos: datasets.Photos,
        network: hda.HdaNetwork,
        log_power: torch.Tensor,
        energy: np.ndarray,
        chosen: Recipe,
    ) -> Pairs:
        """Random crops through HEVC."""
        images = photos.crops(np.random.default_rng(chosen.seed), PAIRS, chosen.crop)
        qualities = [hevc.typical_quality(size) for size in BYTES_PER_PIXEL]
        bases = np.stack(
            [[hevc.decode(hevc.encode(image, q), image.shape) for image in images] for q in qualities]
        )
        powers = []
        for of_class in bases:
            features = network.channel_encode(
                network.encode(planes(images)) - network.encode(planes(of_class))
            )
            active = network.activity_latents(features, FINENESS)
            chosen_tables = [log_power[hevc_codec.residual_class(u, energy), FINENESS] for u in features]
            powers.append(
                torch.cat(
                    [hda.log_powers(t, a[None], FINENESS) for t, a in zip(chosen_tables, active, strict=True)]
                ).to(torch.int16)
            )
        return cls(images, bases, torch.stack(powers))

    def batch(
        self, rng: np.random.Generator, size: int, quality: int, device: torch.device
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Images and bases (B, 3, S, S) and log-powers (B, 120, h, w) of random crops, on a device."""
        picked = rng.integers(len(self.images), size=size)
        images, bases = (planes(of[picked], device) for of in (self.images, self.bases[quality]))
        return images, bases, self.log_power[quality, picked].to(device).long()


def draw(rng: np.random.Generator, batch: int) -> Draw:
    """Random conditions: SNR −2 to 22 dB, the classes whose base takes a tenth to nine tenths of the channel
    uses there.
    """
    snr_db = rng.uniform(-2, 22)
    uses = 8 * BYTES_PER_PIXEL / mcs.best_for(snr_db).bits_per_use / RELIABLE
    share = uses / (3 * CBR)
    fitting = np.flatnonzero((share > DIGITAL_SHARE[0]) & (share < DIGITAL_SHARE[1]))
    quality = int(rng.choice(fitting))
    erased = np.where(rng.random(batch) < 0.25, rng.uniform(0, 0.35, batch), 0.0)
    return Draw(quality, np.full(batch, snr_db), erased, 384 * CBR * (1 - share[quality]), snr_db)


def loss_of(
    network: hda.HdaNetwork, images: torch.Tensor, bases: torch.Tensor, log_power: torch.Tensor, at: Draw
) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss of the decoder, eq. (18), and the images' mean MSE."""
    with torch.no_grad():
        z, base = network.encode(images), network.encode(bases)
        estimate, variance = analog_link(network.channel_encode(z - base), log_power, at)
        restored = base + network.channel_decode(estimate)  # eq. (16)
    decoded = network.decode(restored, variance)
    return balanced(semantic_distortion(images, decoded)), (
        images - decoded.detach().clamp(0, 1)
    ).square().mean()


def train_decoder(network: hda.HdaNetwork, pairs: Pairs, run: Run) -> tuple[hda.HdaNetwork, int]:
    """Train the decoder of `network` behind HEVC bases; returns the moving average of the network, and the
    steps.
    """
    network.mixed_precision = mixed_precision(accelerator().device)
    learn_decoder(network)
    rng, batch, device = np.random.default_rng(), run.recipe.batch, accelerator().device

    def loss(network: hda.HdaNetwork, _: float) -> tuple[torch.Tensor, torch.Tensor]:
        at = draw(rng, batch)
        return loss_of(network, *pairs.batch(rng, batch, at.quality, device), at)

    network, steps = fit(network, loss, run, replace(METHOD, average=EMA))
    network.mixed_precision = False
    return network, steps


def _base(image: np.ndarray, bytes_per_pixel: float) -> np.ndarray:
    """An image through HEVC at a size; at the lowest quality where that is larger still."""
    try:
        datasets = hevc.fit(image, int(bytes_per_pixel * image.shape[0] * image.shape[1]))
    except HscError:
        datasets = hevc.encode(image, hevc.LOWEST)
    return hevc.decode(datasets, image.shape)
