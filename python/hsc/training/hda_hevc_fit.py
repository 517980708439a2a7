"""Tables of the codec `hda_hevc`: what HEVC intra leaves over, fitted to training photographs. No gradients."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from .. import data, weights
from ..codecs import hda_hevc, hda_models, hevc
from ..codecs.hda_deepsc import semantic_encode
from ..nn import hda
from .hda_fit import activity_tables, power_rows

BYTES_PER_PIXEL = 0.30 * 2.0 ** (-0.6 * np.arange(hda.QUALITIES))  # of the base, for classes 0 (finest) to 11
CROPS, SIZE, SEED = 40, 256, 3


@torch.no_grad()
def fit(out: Path, path: str | Path | None, cache: str | Path | None) -> dict[str, float]:
    """Fit the tables to random crops and write them as weights into `out`."""
    model = hda_models.load(hda_models.PROFILES[0])
    network = model.network
    crops = data.photos(path, cache).crops(np.random.default_rng(SEED), CROPS, SIZE)
    z = torch.stack([semantic_encode(crop, model) for crop in crops])
    log_power, energy, stored = [], [], []
    for share in BYTES_PER_PIXEL:
        bases = [hevc.decode(hevc.fit(crop, int(share * SIZE * SIZE)), crop.shape) for crop in crops]
        features = network.channel_encode(z - torch.stack([semantic_encode(base, model) for base in bases]))
        energy.append(float(features.square().mean().log2()))
        found = [network.activity_latents(features, fineness) for fineness in range(len(hda.ACTIVITY_STEPS))]
        log_power.append(torch.stack([power_rows(features, active, fineness) for fineness, active in enumerate(found)]).to(torch.int16))
        stored.append(activity_tables(network, features))
    state = {
        "log_power": torch.stack(log_power),
        "energy": torch.tensor(energy),
        "tables": torch.from_numpy(np.stack(stored)),
    }
    figures = {f"class {quality}: log2 of mean power": value for quality, value in enumerate(energy)}
    about = {
        "recipe": {"name": hda_hevc.WEIGHTS},
        "data": "photographs of photos/train, random crops",
        "crops": CROPS,
        "seed": SEED,
        "figures": figures,
    }
    weights.save(hda_hevc.WEIGHTS, state, about, storage="float16", folder=out)
    return figures
