"""What the codec `hda_hevc` has of its own: tables fitted to what HEVC intra leaves over, and a restorer
trained behind such bases.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from ...coding import activity, hevc, hevc_rate, nnpf
from ...coding.budget import TooFew
from ...images.datasets import Photos
from ...nn.precision import mixed
from ...phy import mcs
from ...refiner import bands
from ...training.export import export
from ...training.loop import Run, accelerator, fit, planes
from . import digital_part, models
from .fit import activity_tables, power_tables
from .hevc_model import RESTORER, fine_colour_added, residual_class
from .network import QUALITIES, HdaNetwork
from .objective import (
    FINENESS,
    SNRS_DB,
    Conditions,
    analog_link,
    balanced,
    losses,
    semantic_distortion,
    values_per_token,
)
from .restorer import Restorer
from .training import RESTORER_METHOD

# Bytes of a base per pixel for classes 0 (finest) to 11. Chosen by trial.
BYTES_PER_PIXEL = 0.30 * 2.0 ** (-0.6 * np.arange(QUALITIES))
# Crops that the tables are fitted to, their side, and the seed that picks them.
CROPS, SIZE, SEED = 40, 256, 3
# Crops that the restorer is trained on.
PAIRS = 800
# CBRs that the restorer is trained for, and how often each.
CBRS, _OFTEN = (1 / 6, 1 / 12, 1 / 24), (0.7, 0.2, 0.1)
# Least and largest share of the channel uses that a base takes in training.
DIGITAL_SHARE = 0.1, 0.9
# Share of a digital part's channel uses that are the base's, beside activity and headers. Chosen by trial.
_BASE_SHARE = 0.8


def train(run: Run) -> dict[str, float]:
    """Fit the tables to the shipped network, whatever the start, train the restorer, export both; returns the
    figures on the card.
    """
    photos, network = run.photos(), models.network({})
    state, figures = fit_tables(photos, network)
    pairs = Pairs.make(photos, network, state, run)
    restorer, steps = train_restorer(network, pairs, run)
    state |= {RESTORER + key: value for key, value in restorer.state_dict().items()}
    export(run, state, steps, figures, f": {CROPS} of seed {SEED} for the tables, {PAIRS} for the restorer")
    return figures


@torch.no_grad()
def fit_tables(photos: Photos, network: HdaNetwork) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
    """Tables fitted to random crops, as shipped, and the mean power of every class. No gradients."""
    crops = photos.crops(np.random.default_rng(SEED), CROPS, SIZE)
    z = network.encode(planes(crops))
    log_power, energy, stored = [], [], []
    for share in BYTES_PER_PIXEL:
        bases = _bases(crops, partial(_fitted, bytes_per_pixel=share))
        features = network.channel_encode(z - network.encode(planes(bases)))
        energy.append(float(features.square().mean().log2()))
        log_power.append(power_tables(network, features).to(torch.int16))
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
    def make(cls, photos: Photos, network: HdaNetwork, tables: dict[str, torch.Tensor], run: Run) -> Pairs:
        """Random crops through HEVC. `tables`: as `fit_tables` makes them."""
        images = photos.crops(np.random.default_rng(run.recipe.seed), PAIRS, run.recipe.crop)
        z = network.encode(planes(images))
        bases, log_power = [], []
        for size in BYTES_PER_PIXEL:
            of_class = _bases(
                images, partial(hevc.encode, quality=hevc_rate.typical_quality(size), told=True)
            )
            features = network.channel_encode(z - network.encode(planes(of_class)))
            bases.append(of_class)
            log_power.append(_log_powers(features, network, tables))
        return cls(images, np.stack(bases), torch.stack(log_power))

    def batch(
        self, rng: np.random.Generator, size: int, quality: int, device: torch.device
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Images and bases (B, 3, S, S) and log-powers (B, 120, h, w) of random crops, on a device."""
        picked = rng.integers(len(self.images), size=size)
        images, bases = (planes(of[picked], device) for of in (self.images, self.bases[quality]))
        return images, bases, self.log_power[quality, picked].to(device).long()


def _log_powers(features: torch.Tensor, network: HdaNetwork, tables: dict[str, torch.Tensor]) -> torch.Tensor:
    """Log-powers int16 (N, 120, h, w) that the tables give for u (N, 120, h, w), each by its own class."""
    active = activity.latents(features, network.weight, FINENESS)
    classes = [residual_class(u, tables["energy"].numpy()) for u in features]
    known = [
        activity.log_powers(tables["log_power"][each, FINENESS], of_one[None], FINENESS)
        for each, of_one in zip(classes, active, strict=True)
    ]
    return torch.cat(known).to(torch.int16)


def draw(rng: np.random.Generator, batch: int) -> Conditions:
    """Random conditions: SNR −2 to 22 dB, a CBR, the classes whose base takes a tenth to nine tenths of the
    channel uses there.
    """
    snr_db, cbr = rng.uniform(*SNRS_DB), rng.choice(CBRS, p=_OFTEN)
    uses = 8 * BYTES_PER_PIXEL / mcs.chosen(digital_part.CODE, snr_db, 0.0).bits_per_use / _BASE_SHARE
    share = uses / (3 * cbr)
    fitting = np.flatnonzero((share > DIGITAL_SHARE[0]) & (share < DIGITAL_SHARE[1]))
    quality = int(rng.choice(fitting)) if len(fitting) else QUALITIES - 1
    values = values_per_token(cbr, min(share[quality], DIGITAL_SHARE[1]))
    return Conditions(quality, np.full(batch, snr_db), losses(rng, batch), values, snr_db)


def loss_of(
    restorer: Restorer,
    network: HdaNetwork,
    images: torch.Tensor,
    bases: torch.Tensor,
    log_power: torch.Tensor,
    at: Conditions,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss of the restorer, eq. (18), and the images' mean MSE."""
    with torch.no_grad(), torch.autocast(images.device.type, enabled=False):  # as on the air
        z, base = network.encode(images), network.encode(bases)
        estimate, variance = analog_link(network.channel_encode(z - base), log_power, at)
        restored = base + network.channel_decode(estimate)  # eq. (16)
        decoded = network.transform.inverse(restored) + fine_colour_added(images, bases)
        error = bands.of_coefficients(variance)
    found = restorer(decoded, error, bases)
    mse = (images - found.detach().clamp(0, 1)).square().mean()
    return balanced(semantic_distortion(images, found.float())), mse


def train_restorer(network: HdaNetwork, pairs: Pairs, run: Run) -> tuple[Restorer, int]:
    """Train a restorer behind HEVC bases; returns its moving average, and the steps."""
    rng, batch, device = np.random.default_rng(), run.recipe.batch, accelerator().device
    network, restorer = network.to(device), run.recipe.build().to(memory_format=torch.channels_last)

    def loss(restorer: Restorer, _: float) -> tuple[torch.Tensor, torch.Tensor]:
        at = draw(rng, batch)
        with mixed(device):
            return loss_of(restorer, network, *pairs.batch(rng, batch, at.quality, device), at)

    return fit(restorer, loss, run, RESTORER_METHOD)


def _bases(images: np.ndarray, code: Callable[[np.ndarray], bytes]) -> np.ndarray:
    """Images uint8 (N, S, S, 3) → their bases. Two are coded at a time: x265 leaves Python's lock."""
    with ThreadPoolExecutor(2) as pool:
        codes = pool.map(code, images)
        return np.stack([nnpf.decode(data, image.shape) for data, image in zip(codes, images, strict=True)])


def _fitted(image: np.ndarray, bytes_per_pixel: float) -> bytes:
    """An image as HEVC of a size; of the lowest quality where that is larger still."""
    try:
        return hevc_rate.Coder(image).fit(int(bytes_per_pixel * image.shape[0] * image.shape[1]), told=True)
    except TooFew:
        return hevc.encode(image, hevc.LOWEST)
