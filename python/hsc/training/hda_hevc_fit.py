"""What the codec `hda_hevc` has of its own: tables fitted to what HEVC intra leaves over, and a decoder trained behind such bases."""

from __future__ import annotations

import copy
import dataclasses
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from .. import data, weights
from ..codecs import hda_hevc, hda_models, hevc
from ..errors import HscError
from ..nn import hda
from ..phy import mcs
from .hda_fit import activity_tables, power_rows
from .hda_objective import FINENESS, Draw, analog_link, balanced, semantic_distortion
from .loop import WARM_UP, Progress
from .recipes import Recipe

BYTES_PER_PIXEL = 0.30 * 2.0 ** (-0.6 * np.arange(hda.QUALITIES))  # of the base, for classes 0 (finest) to 11
CROPS, SIZE, SEED = 40, 256, 3
PAIRS = 200  # crops that the decoder is trained on
CBR = 1 / 6
DIGITAL_SHARE = 0.1, 0.9
RELIABLE = 0.8  # of a base's channel uses beside activity and headers
EMA = 0.998


def train(chosen: Recipe, out: Path, path: str | Path | None, cache: str | Path | None, minutes: float | None, report: Callable) -> dict:
    """Fit the tables, train the decoder, write both as weights into `out`; returns the figures of the card."""
    photos, network = data.photos(path, cache), hda_models.network({})
    state, figures = fit(photos, network)
    steps = 0
    if chosen.steps:
        pairs = Pairs.make(photos, network, state["log_power"].long(), state["energy"].numpy(), chosen)
        steps = train_decoder(network, pairs, chosen, minutes, report)
    state |= {key: value for key, value in network.state_dict().items() if key.startswith(hda_models.DECODER)}
    about = {
        "recipe": {key: value for key, value in dataclasses.asdict(chosen).items() if value not in (None, "", 0)},
        "data": f"photographs of photos/train, random crops: {CROPS} for the tables, {PAIRS} for the decoder",
        "crops": CROPS,
        "seed": SEED,
        "steps": steps,
        "figures": figures,
    }
    weights.save(hda_hevc.WEIGHTS, state, about, folder=out)
    return figures


@torch.no_grad()
def fit(photos: data.Photos, network: hda.HdaNetwork) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
    """Tables fitted to random crops, as shipped, and the mean power of every class. No gradients."""
    crops = photos.crops(np.random.default_rng(SEED), CROPS, SIZE)
    z = network.encode(_planes(crops))
    log_power, energy, stored = [], [], []
    for share in BYTES_PER_PIXEL:
        bases = np.stack([_base(crop, share) for crop in crops])
        features = network.channel_encode(z - network.encode(_planes(bases)))
        energy.append(float(features.square().mean().log2()))
        found = [network.activity_latents(features, fineness) for fineness in range(len(hda.ACTIVITY_STEPS))]
        log_power.append(torch.stack([power_rows(features, active, fineness) for fineness, active in enumerate(found)]).to(torch.int16))
        stored.append(activity_tables(network, features))
    state = {"log_power": torch.stack(log_power), "energy": torch.tensor(energy), "tables": torch.from_numpy(np.stack(stored))}
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
    def make(cls, photos: data.Photos, network: hda.HdaNetwork, log_power: torch.Tensor, energy: np.ndarray, chosen: Recipe) -> Pairs:
        """Random crops through HEVC."""
        images = photos.crops(np.random.default_rng(chosen.seed), PAIRS, chosen.crop)
        qualities = [hevc.typical_quality(size) for size in BYTES_PER_PIXEL]
        bases = np.stack([[hevc.decode(hevc.encode(image, q), image.shape) for image in images] for q in qualities])
        powers = []
        for of_class in bases:
            features = network.channel_encode(network.encode(_planes(images)) - network.encode(_planes(of_class)))
            active = network.activity_latents(features, FINENESS)
            chosen_tables = [log_power[hda_hevc.residual_class(u, energy), FINENESS] for u in features]
            powers.append(
                torch.cat([hda.log_powers(t, a[None], FINENESS) for t, a in zip(chosen_tables, active, strict=True)]).to(torch.int16)
            )
        return cls(images, bases, torch.stack(powers))

    def batch(self, rng: np.random.Generator, size: int, quality: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Images and bases (B, 3, S, S) and log-powers (B, 120, h, w) of random crops."""
        picked = rng.integers(len(self.images), size=size)
        return _planes(self.images[picked]), _planes(self.bases[quality, picked]), self.log_power[quality, picked].long()


def draw(rng: np.random.Generator, batch: int) -> Draw:
    """Random conditions: SNR −2 to 22 dB, the classes whose base takes a tenth to nine tenths of the channel uses there."""
    snr_db = rng.uniform(-2, 22)
    uses = 8 * BYTES_PER_PIXEL / mcs.best_for(snr_db).bits_per_use / RELIABLE
    share = uses / (3 * CBR)
    fitting = np.flatnonzero((share > DIGITAL_SHARE[0]) & (share < DIGITAL_SHARE[1]))
    quality = int(rng.choice(fitting))
    erased = np.where(rng.random(batch) < 0.25, rng.uniform(0, 0.35, batch), 0.0)
    return Draw(quality, np.full(batch, snr_db), erased, 384 * CBR * (1 - share[quality]), snr_db)


def loss_of(
    network: hda.HdaNetwork, images: torch.Tensor, bases: torch.Tensor, log_power: torch.Tensor, at: Draw
) -> tuple[torch.Tensor, float]:
    """Loss of the decoder, eq. (18), and the images' mean MSE."""
    with torch.no_grad():
        z, base = network.encode(images), network.encode(bases)
        estimate, variance = analog_link(network.channel_encode(z - base), log_power, at)
        restored = base + network.channel_decode(estimate)  # eq. (16)
    decoded = network.decode(restored, variance)
    return balanced(semantic_distortion(images, decoded)), float((images - decoded.detach().clamp(0, 1)).square().mean())


def train_decoder(network: hda.HdaNetwork, pairs: Pairs, chosen: Recipe, minutes: float | None, report: Callable) -> int:
    """Train the decoder of `network` behind HEVC bases, in place; returns the steps."""
    network.mixed_precision = True
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name.startswith(hda_models.DECODER))
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    average, rng = copy.deepcopy(network), np.random.default_rng(chosen.seed)
    optimizer, begun, done, fraction = torch.optim.AdamW(trained, betas=(0.9, 0.99), weight_decay=0.0), time.monotonic(), 0, 0.0
    while fraction < 1:
        for group in optimizer.param_groups:
            group["lr"] = chosen.learning_rate * min(1.0, (done + 1) / WARM_UP) * (0.51 + 0.49 * math.cos(math.pi * fraction))
        at = draw(rng, chosen.batch)
        loss, mse = loss_of(network, *pairs.batch(rng, chosen.batch, at.quality), at)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 5.0)
        optimizer.step()
        done += 1
        with torch.no_grad():
            for mean, value in zip(average.parameters(), network.parameters(), strict=True):
                mean.lerp_(value, 1 - min(EMA, (1 + done) / (10 + done)))
        report(Progress(done, chosen.steps, loss.item(), mse))
        fraction = max(done / chosen.steps, (time.monotonic() - begun) / (60 * minutes) if minutes else 0.0)
    network.load_state_dict(average.state_dict())
    network.mixed_precision = False
    network.requires_grad_(False)
    return done


def _base(image: np.ndarray, bytes_per_pixel: float) -> np.ndarray:
    """An image through HEVC at a size; at the lowest quality where that is larger still."""
    try:
        data = hevc.fit(image, int(bytes_per_pixel * image.shape[0] * image.shape[1]))
    except HscError:
        data = hevc.encode(image, hevc.LOWEST)
    return hevc.decode(data, image.shape)


def _planes(images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 255
