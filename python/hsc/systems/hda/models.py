"""The networks of the HDA codecs as they are shipped: the common weights, and what each DA ratio and CBR has
of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from ... import weights
from ...coding.entropy import TOTAL, EntropyTables
from ...errors import HscError
from . import activity
from . import network as hda

COMMON = "hda-deepsc"
DECODER = ("decoder.", "reliability.")  # what a profile has of its own: one transmitter serves all
LARGEST_INDEX = 40  # beyond it a latent's index is escaped
STORED_TOTAL = 1 << 16  # the shipped tables are integers of this sum; the coder's precision is finer


@dataclass(frozen=True)
class Profile:
    """One set of weights: the common ones, and a decoder of its own.

    Attributes:
        number: in the codec's parameters on the air.
        name: of its own weights, which come over the common ones.
        cbr, da_ratio: what it was trained for.
    """

    number: int
    name: str
    cbr: float
    da_ratio: float


PROFILES = (
    Profile(0, "hda-deepsc-da0.2", 1 / 6, 0.2),
    Profile(1, "hda-deepsc-da0.4", 1 / 6, 0.4),
    Profile(2, "hda-deepsc-da0.875", 1 / 6, 0.875),
    Profile(3, "hda-deepsc-da1.5", 1 / 6, 1.5),
    Profile(4, "hda-deepsc-da3", 1 / 6, 3.0),
    Profile(5, "hda-deepsc-cbr1-12", 1 / 12, 0.2),
    Profile(6, "hda-deepsc-cbr1-24", 1 / 24, 0.2),
)


@dataclass(frozen=True)
class Model:
    """A profile, ready for use: the network and its entropy tables.

    Attributes:
        latents: for every quality, the rows of its latents.
        tables: for every quality and fineness of the activity, the rows of the latents and then of the
            activity latents.
    """

    network: hda.HdaNetwork
    latents: tuple[EntropyTables, ...]
    tables: tuple[tuple[EntropyTables, ...], ...]


def nearest(cbr: float, da_ratio: float) -> Profile:
    """The profile trained nearest to a CBR and a DA ratio, in octaves."""
    return min(PROFILES, key=lambda p: abs(np.log2(p.cbr / cbr)) + abs(np.log2(p.da_ratio / da_ratio)))


def by_name(name: str) -> Profile | None:
    """The profile with weights of that name, None when there is none."""
    return next((profile for profile in PROFILES if profile.name == name), None)


@lru_cache(maxsize=1)
def common() -> Model:
    """The model of the transmitter. Raises HscError when weights are missing or damaged."""
    return Model(network({}), *_common_tables())


@lru_cache(maxsize=len(PROFILES))
def load(profile: Profile) -> Model:
    """The model of a receiver. Raises HscError when weights are missing or damaged."""
    return Model(network(weights.load(profile.name)), *_common_tables())


def network(own: Mapping[str, torch.Tensor]) -> hda.HdaNetwork:
    """The common network with some weights of its own. Raises HscError when they do not fit, or the common
    ones are missing.
    """
    state = {key: value for key, value in _common().items() if not key.endswith("tables")} | dict(own)
    made = hda.HdaNetwork()
    found = made.load_state_dict(state, strict=False)
    if found.unexpected_keys or any(
        not key.startswith(("density.", "encoder.")) for key in found.missing_keys
    ):
        raise HscError(f"weights of {COMMON} do not fit this version's network: install again")
    return made.eval().requires_grad_(False)


@lru_cache(maxsize=1)
def _common() -> dict[str, torch.Tensor]:
    return weights.load(COMMON)


@lru_cache(maxsize=1)
def _common_tables() -> tuple[tuple[EntropyTables, ...], tuple[tuple[EntropyTables, ...], ...]]:
    """`Model.latents` and `Model.tables`."""
    latents, active = _common()["tables"], _common()["activity_tables"]
    both = (
        tuple(unpack_tables(torch.cat([one, other])) for other in more)
        for one, more in zip(latents, active, strict=True)
    )
    return tuple(unpack_tables(part) for part in latents), tuple(both)


def unpack_tables(stored: torch.Tensor) -> EntropyTables:
    """Shipped tables, integers (R, S) of sum 2^16 per row, each less one → tables of the coder's precision.
    Exact.
    """
    frequency = (stored.to(torch.int64).numpy() + 1) * (TOTAL // STORED_TOTAL)
    return EntropyTables(frequency, np.full(len(frequency), -LARGEST_INDEX))


def pack_tables(probabilities: np.ndarray) -> np.ndarray:
    """Probabilities (R, S), last column the escape → integers (R, S) as they are shipped: at least 1, of sum
    2^16, less one.
    """
    share = probabilities / probabilities.sum(1, keepdims=True)
    frequency = np.floor(share * (STORED_TOTAL - share.shape[1])).astype(np.int64)
    frequency[np.arange(len(frequency)), frequency.argmax(1)] += (
        STORED_TOTAL - share.shape[1] - frequency.sum(1)
    )
    return frequency


ROWS = hda.LATENTS + activity.LATENTS
