"""What is trained of LRISC: the codec, and the refiner behind it."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ...refiner.network import RefinerNetwork
from ...training.loop import Run
from ...training.recipe import Fading, Recipe
from .network import LriscNetwork


@dataclass(frozen=True, kw_only=True)
class LriscCodecTraining(Recipe):
    """The codec without the refiner.

    Attributes:
        fading: SNR of the links of a batch.
    """

    fading: Fading = Fading("awgn", -2.0, 22.0)

    def build(self) -> LriscNetwork:
        """The untrained network."""
        return LriscNetwork()

    def train(self, run: Run, start: dict[str, torch.Tensor] | None) -> dict[str, float]:
        """As `Recipe.train`; the transform and the decoder of HDA-DeepSC at the start, which are made for the
        same coefficients.
        """
        from . import training

        if start is None:
            start = {**run.weights("hda-deepsc"), **run.weights("hda-deepsc-cbr1-12")}
        return training.train(run, start)


@dataclass(frozen=True, kw_only=True)
class RefinerTraining(Recipe):
    """The conditional diffusion refiner, behind the codec's weights as they are."""

    def build(self) -> RefinerNetwork:
        """The untrained network."""
        return RefinerNetwork()

    def train(self, run: Run, start: dict[str, torch.Tensor] | None) -> dict[str, float]:
        """As `Recipe.train`."""
        from . import refiner_training

        return refiner_training.train(run, start)


RECIPES = (
    LriscCodecTraining(
        name="lrisc",
        data="photos",
        steps=20_000,
        batch=4,
        learning_rate=4e-4,
        crop=192,
    ),
    RefinerTraining(
        name="refiner",
        data="photos",
        steps=40_000,
        batch=8,
        learning_rate=6e-4,
        crop=128,
    ),
)
