"""What is trained of the baselines: the post-filter behind HEVC."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ...coding.nnpf import WEIGHTS, PostFilter
from ...training.loop import Run
from ...training.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class PostFilterRecipe(Recipe):
    """The post-filter, on crops and what HEVC makes of them."""

    def build(self) -> PostFilter:
        """The untrained network."""
        return PostFilter()

    def train(self, run: Run, start: dict[str, torch.Tensor] | None) -> dict[str, float]:
        """As `Recipe.train`; weights as shipped, or none."""
        from . import nnpf_training  # It needs the HEVC coder, which other recipes do without.

        return nnpf_training.train(run, start)


RECIPES = (
    PostFilterRecipe(name=WEIGHTS, data="photos", steps=60_000, batch=16, learning_rate=1e-3, crop=96),
)
