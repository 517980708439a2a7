"""What is trained of DS²C²'s base layer."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ...training.loop import Run
from ...training.recipe import Recipe
from .base_network import WEIGHTS, BaseNetwork


@dataclass(frozen=True, kw_only=True)
class BaseTraining(Recipe):
    """CompNet, SegNet and the recursive FineNet.

    Attributes:
        perceptual: weight of L_VGG in eq. (4), beside 1 of L_SSIM.
        adversarial: weight of the discriminators' part of eq. (2); 0: no DiscNet.
    """

    perceptual: float = 0.1
    adversarial: float = 0.0

    def build(self) -> BaseNetwork:
        """The untrained network."""
        return BaseNetwork()

    def train(self, run: Run, start: dict[str, torch.Tensor] | None) -> dict[str, float]:
        """As `Recipe.train`. The family's own start is the DCT with tables fitted to photographs: one step is
        enough to export that.
        """
        from . import base_training

        return base_training.train(run, start)


_USUAL = {"batch": 4, "learning_rate": 5e-4, "crop": 192}

RECIPES = (
    BaseTraining(name=WEIGHTS, data="photos", steps=16_000, **_USUAL),
    BaseTraining(
        name="ds2c2-base-gan",
        data="photos",
        start=WEIGHTS,
        steps=6_000,
        perceptual=1.0,
        adversarial=0.01,
        **_USUAL,
    ),
    # The paper's low number of training images (section IV-B): an update from few photographs.
    BaseTraining(name="ds2c2-base-few", data="photos", start=WEIGHTS, samples=50, steps=300, **_USUAL),
    BaseTraining(name="ds2c2-base-street", data="street", start=WEIGHTS, steps=2_000, **_USUAL),
)
