"""What is trained of DS²C²'s dispersed coding."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ...training.loop import Run
from ...training.recipe import Recipe
from .detail_network import WEIGHTS, DetailNetwork


@dataclass(frozen=True, kw_only=True)
class DetailTraining(Recipe):
    """Tables and the receiver's network, behind the base's weights as they are.

    Attributes:
        base: weights of the base.
    """

    base: str = "ds2c2-base"

    def build(self) -> DetailNetwork:
        """The untrained network."""
        from . import base_prior

        return DetailNetwork(base_prior.FINENESSES, base_prior.FEATURES)

    def train(self, run: Run, start: dict[str, torch.Tensor] | None) -> dict[str, float]:
        """As `Recipe.train`; the transform and the decoder of HDA-DeepSC at the start, which are made for the
        same coefficients.
        """
        from . import base_prior, detail_training

        if start is None:
            start = {**run.weights("hda-deepsc"), **run.weights("hda-deepsc-cbr1-12")}
        return detail_training.train(run, start, base_prior.load(run.weights(self.base)))


RECIPES = (DetailTraining(name=WEIGHTS, data="photos", steps=20_000, batch=4, learning_rate=4e-4, crop=192),)
