"""What is trained of HDA-DeepSC: the network by algorithm 1, decoders of profiles, table II's semantic
codecs, and `hda_hevc`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ...training.loop import Run
from ...training.recipe import Recipe
from .models import COMMON, PROFILES, RESTORER
from .objective import Stage
from .restorer import Restorer
from .training import ProfileDecoder, RestorerTraining, SemanticCodec, WholeCodec


@dataclass(frozen=True, kw_only=True)
class HevcTables(Recipe):
    """What `hda_hevc` has of its own: tables fitted to what HEVC leaves over, and a restorer."""

    def build(self) -> Restorer:
        """The untrained network."""
        return Restorer(based=True)

    def train(self, run: Run, start: dict[str, torch.Tensor] | None) -> dict[str, float]:
        """As `Recipe.train`; from the shipped network whatever the start."""
        from . import hevc_fit  # It needs the HEVC coder, which other recipes do without.

        return hevc_fit.train(run)


_USUAL = {"data": "photos", "batch": 4, "learning_rate": 4e-4, "crop": 192}

RECIPES = (
    WholeCodec(name=COMMON, steps=200_000, whole_rate=0.25, **_USUAL),
    # Eight batches are added up, so that the full rate does not lose what the decoder alone had learned.
    WholeCodec(
        name="hda-deepsc-whole",
        start=COMMON,
        steps=40_000,
        accumulate=8,
        stages=((Stage.WHOLE, 1.0),),
        **{**_USUAL, "learning_rate": 2e-4},
    ),
    *(
        ProfileDecoder(name=profile.name, start=COMMON, steps=20_000, profile=profile, **_USUAL)
        for profile in PROFILES
    ),
    RestorerTraining(name=RESTORER, data="photos", steps=40_000, batch=8, learning_rate=6e-4, crop=128),
    SemanticCodec(name="hda-semantic-mse", steps=20_000, fourier=0.0, **_USUAL),
    SemanticCodec(name="hda-semantic-fourier", steps=20_000, **_USUAL),
    SemanticCodec(name="hda-semantic-module", steps=20_000, fourier=0.0, spectral=True, **_USUAL),
    HevcTables(name="hda-hevc", data="photos", steps=40_000, batch=8, learning_rate=6e-4, crop=128),
)
