"""What is trained of the learned image codec."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ...training.loop import Run
from ...training.recipe import Recipe
from .lic_network import LicNetwork


@dataclass(frozen=True, kw_only=True)
class LicTraining(Recipe):
    """The codec.

    Attributes:
        erased: share of the latent symbols that the decoder lacks in training.
    """

    erased: float = 0.0

    def build(self) -> LicNetwork:
        """The untrained network."""
        return LicNetwork()

    def train(self, run: Run, start: dict[str, torch.Tensor] | None) -> dict[str, float]:
        """As `Recipe.train`; transform and decoder of LRISC at the start, which mend coefficients of the same
        kind and are told their variance.
        """
        from . import lic_training

        return lic_training.train(run, start)


_CLEAN = LicTraining(name="lic", data="photos", steps=20_000, batch=4, learning_rate=1e-3, crop=192)

RECIPES = (
    _CLEAN,
    # As the paper trains LIC-GMM-AM for table I.
    LicTraining(
        name="lic-8",
        data="photos",
        start="lic",
        steps=6_000,
        batch=4,
        learning_rate=2e-4,
        crop=192,
        erased=0.08,
    ),
)
