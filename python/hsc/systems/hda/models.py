"""The networks of the HDA codecs as they are shipped: the common weights, and what each DA ratio and CBR has
of its own; and the form of their entropy tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from ... import weights
from ...coding.entropy import EntropyTables
from ...coding.stored_tables import unpack_tables
from ...errors import HscError
from .network import HdaNetwork
from .restorer import Restorer, ready

COMMON = "hda-deepsc"
# Beginnings of the names of what a profile has of its own. One transmitter serves all.
DECODER = ("decoder.", "reliability.")
# Beginnings of the names of what the common weights may lack: densities have become tables, and an encoder
# that was never trained adds nothing.
_NOT_SHIPPED = ("density.", "encoder.")


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

    @property
    def digital_share(self) -> float:
        """Share of the channel uses that the digital part takes."""
        return self.da_ratio / (1 + self.da_ratio)


# Weights of the restorer.
RESTORER = "hda-deepsc-restorer"
# DA ratios of section V-E of the paper at its CBR of 1/6, and the smaller CBRs of figure 6.
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
    """Networks and tables, ready for use.

    Attributes:
        network: in evaluation mode.
        log_power: integers (12, 4, 44, 120), power of u by quality, fineness and row of the activity
            [1/64 octave].
        entropy: tables for every quality and fineness: of the latents' rows, and then of the activity's.
    """

    network: HdaNetwork
    log_power: torch.Tensor
    entropy: tuple[tuple[EntropyTables, ...], ...]


def nearest(cbr: float, da_ratio: float) -> Profile:
    """The profile trained nearest to a CBR and a DA ratio, in octaves."""
    return min(PROFILES, key=lambda p: abs(np.log2(p.cbr / cbr)) + abs(np.log2(p.da_ratio / da_ratio)))


@lru_cache(maxsize=1)
def common() -> Model:
    """The model of the transmitter. Raises HscError when weights are missing or damaged."""
    return _with_tables(network({}))


@lru_cache(maxsize=1)
def load_restorer() -> Restorer:
    """The last stage of a receiver, for all profiles. Raises HscError when its weights are missing or
    damaged.
    """
    return ready(False, weights.load(RESTORER))


@lru_cache(maxsize=len(PROFILES))
def load(profile: Profile) -> Model:
    """The model of a receiver. Raises HscError when weights are missing or damaged."""
    return _with_tables(network(weights.load(profile.name)))


def _with_tables(made: HdaNetwork) -> Model:
    return Model(made, made.log_power, _entropy())


def network(own: Mapping[str, torch.Tensor]) -> HdaNetwork:
    """The common network with some weights of its own. Raises HscError when they do not fit, or the common
    ones are missing.
    """
    state = {key: value for key, value in _common().items() if not key.endswith("tables")} | dict(own)
    made = HdaNetwork()
    found = made.load_state_dict(state, strict=False)
    if found.unexpected_keys or not all(key.startswith(_NOT_SHIPPED) for key in found.missing_keys):
        raise HscError(f"weights of {COMMON} do not fit this version's network: install again")
    return made.eval().requires_grad_(False)


@lru_cache(maxsize=1)
def _common() -> dict[str, torch.Tensor]:
    return weights.load(COMMON)


@lru_cache(maxsize=1)
def _entropy() -> tuple[tuple[EntropyTables, ...], ...]:
    """`Model.entropy` of HDA-DeepSC."""
    qualities = zip(_common()["tables"], _common()["activity_tables"], strict=True)
    return tuple(
        tuple(unpack_tables(torch.cat([latents, active])) for active in finenesses)
        for latents, finenesses in qualities
    )
