"""What is trained of DeepJSCC: the codec, the codec with a constellation, and the denoisers of its values."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from ...training.loop import Run
from ...training.recipe import Fading, Recipe
from . import denoisers
from .denoisers.denoiser import Denoiser
from .network import DeepJscc


@dataclass(frozen=True, kw_only=True)
class Jscc(Recipe):
    """The codec.

    Attributes:
        fading: channel of most links of a batch.
        quantised: values are points of constellations.
    """

    fading: Fading = Fading("awgn", 0.0, 20.0)
    quantised: bool = False

    def build(self) -> DeepJscc:
        """The untrained network."""
        return DeepJscc()

    def train(self, run: Run, start: dict[str, torch.Tensor] | None) -> dict[str, float]:
        """As `Recipe.train`; from the linear codec where there is no start."""
        from . import training

        return training.train(run, start)


@dataclass(frozen=True, kw_only=True)
class ValueDenoiser(Recipe):
    """A denoiser of the codec's values.

    Attributes:
        kind: its name in `denoisers.KINDS`.
        fading: channel of the values.
    """

    kind: str
    fading: Fading = Fading("awgn", 0.0, 20.0)

    def build(self) -> Denoiser:
        """The untrained denoiser."""
        return denoisers.make(self.kind)

    def train(self, run: Run, start: dict[str, torch.Tensor] | None) -> dict[str, float]:
        """As `Recipe.train`."""
        from . import denoiser_training

        return denoiser_training.train(run, start)


_PHOTOS = {"data": "photos", "steps": 30_000, "batch": 4, "learning_rate": 8e-4, "crop": 192}
_CODEC = Jscc(name="deepjscc", **{**_PHOTOS, "steps": 60_000}, fading=Fading("awgn", -2.0, 22.0))

RECIPES = (
    _CODEC,
    replace(_CODEC, name="deepjscc-q", quantised=True, start="deepjscc", steps=30_000, learning_rate=3e-4),
    ValueDenoiser(name="deepjscc-dncnn", kind="dncnn", **_PHOTOS),
    ValueDenoiser(name="deepjscc-ddpm", kind="ddpm", **_PHOTOS),
    ValueDenoiser(
        name="deepjscc-diffsdnet",
        kind="diffsdnet",
        start="deepjscc-ddpm",
        fading=Fading("awgn", 0.0, 12.0),
        **{**_PHOTOS, "learning_rate": 3e-4},
    ),
)
