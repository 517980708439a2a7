"""What is trained of HDA-DeepSC: the network by algorithm 1, decoders of profiles, table II's semantic
codecs, and `hda_hevc`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from ...training.loop import Run
from ...training.recipe import Recipe
from .models import DECODER, PROFILES
from .network import HdaNetwork

Stages = tuple[tuple[str, float], ...]

# Share of the schedule at which each stage of algorithm 1 ends. The decoder's stage costs half of the others'
# time and gives most.
ALGORITHM_1: Stages = (("semantic", 0.02), ("transceiver", 0.04), ("decoder", 0.45), ("whole", 1.0))
SEMANTIC: Stages = (("semantic", 1.0),)


@dataclass(frozen=True, kw_only=True)
class HdaTraining(Recipe):
    """The network of HDA-DeepSC, or a part of it.

    Attributes:
        fourier: λ_F of eq. (18).
        stages: of algorithm 1, each with the share of the schedule at which it ends.
        whole_rate: learning rate of the stage "whole" relative to the recipe's. In batches of four the whole
            network at the full rate lost 0.1 dB at 10 dB and 1.5 dB at 20 dB against the decoder trained
            alone (measured).
        saves: beginnings of the names of what is saved; empty: everything, tables included.
        spectral: with the Fourier-based module of table II.
    """

    fourier: float = 0.1
    stages: Stages = ALGORITHM_1
    whole_rate: float = 1.0
    saves: tuple[str, ...] = ()
    spectral: bool = False

    def stage(self, fraction: float) -> str:
        """The stage at a share of the schedule."""
        return next(name for name, end in self.stages if fraction < end)

    def build(self) -> HdaNetwork:
        """The untrained network."""
        return HdaNetwork(self.spectral)

    def train(self, run: Run, start: dict[str, torch.Tensor] | None) -> dict[str, float]:
        """As `Recipe.train`; weights as shipped, whose tables are fitted anew, or the linear start."""
        from . import training

        return training.train(run, start)


@dataclass(frozen=True, kw_only=True)
class HevcTables(Recipe):
    """What `hda_hevc` has of its own: tables fitted to what HEVC leaves over, and a decoder."""

    def build(self) -> HdaNetwork:
        """The untrained network."""
        return HdaNetwork()

    def train(self, run: Run, start: dict[str, torch.Tensor] | None) -> dict[str, float]:
        """As `Recipe.train`; from the shipped network whatever the start."""
        from . import hevc_fit  # needs the HEVC coder, which other recipes do without

        return hevc_fit.train(run, start)


_NETWORK = HdaTraining(
    name="hda-deepsc", data="photos", steps=200_000, batch=4, learning_rate=4e-4, crop=192, whole_rate=0.25
)
_SEMANTIC_PARTS = ("transform.", "encoder.", "decoder.", "reliability.", "deviation", "weight")
_SEMANTIC = replace(_NETWORK, steps=20_000, stages=SEMANTIC, whole_rate=1.0, saves=_SEMANTIC_PARTS)

RECIPES = (
    _NETWORK,
    # Eight batches are added up, so that the full rate does not lose what the decoder alone had learned.
    replace(
        _NETWORK,
        name="hda-deepsc-whole",
        start="hda-deepsc",
        steps=40_000,
        accumulate=8,
        learning_rate=2e-4,
        stages=(("whole", 1.0),),
        whole_rate=1.0,
    ),
    *(
        replace(
            _NETWORK,
            name=profile.name,
            start="hda-deepsc",
            steps=20_000,
            stages=(("decoder", 1.0),),
            whole_rate=1.0,
            saves=DECODER,
        )
        for profile in PROFILES
    ),
    replace(_SEMANTIC, name="hda-semantic-mse", fourier=0.0),
    replace(_SEMANTIC, name="hda-semantic-fourier", fourier=0.1),
    replace(_SEMANTIC, name="hda-semantic-module", fourier=0.0, spectral=True),
    HevcTables(
        name="hda-hevc",
        data="photos",
        start="hda-deepsc",
        steps=20_000,
        batch=4,
        learning_rate=4e-4,
        crop=192,
    ),
)
