"""What is trained: a recipe is one set of weights, and its sizes, seeds and rates. Systems bring theirs; the
loop is in `loop.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from ..codecs import registry
from ..codecs.system import System
from ..errors import HscError

if TYPE_CHECKING:
    import torch
    from torch import nn

    from .loop import Run


@dataclass(frozen=True)
class Fading:
    """Channel during training: kind as in `channel.py`, mean SNR uniform in [low, high] dB."""

    kind: str
    snr_low_db: float
    snr_high_db: float


@dataclass(frozen=True, kw_only=True)
class Recipe(ABC):
    """One training run. A family of networks has a dataclass of its own with what it needs in addition.

    Attributes:
        name: of the weights that come out.
        data: training images: MNIST's digits, photographs, or CamVid's street scenes.
        steps, batch, learning_rate: Adam, cosine schedule after a short warm-up.
        accumulate: batches whose gradients are added up to one step.
        start: weights to start from; none for the family's own start.
        samples: number of training images used; 0 for all. Few-shot recipes use few.
        crop: side of the training crops of photographs.
        seed: of the start.
    """

    name: str
    data: Literal["mnist", "photos", "street"]
    steps: int
    batch: int
    learning_rate: float
    accumulate: int = 1
    start: str = ""
    samples: int = 0
    crop: int = 128
    seed: int = 1

    @abstractmethod
    def build(self) -> nn.Module:
        """The untrained network."""

    @abstractmethod
    def train(self, run: Run, start: dict[str, torch.Tensor] | None) -> dict[str, float]:
        """Train, export weights with their card into the run's folder, and return the card's figures on
        held-out data.

        `start`: weights to start from, or None for the family's own start.
        """


def names() -> tuple[str, ...]:
    """Names of all recipes of all systems, sorted."""
    return tuple(sorted(_all()))


def recipe(name: str, **changes: object) -> Recipe:
    """A recipe by name, with fields replaced by `changes`. Raises HscError for an unknown name."""
    return replace(_found(name)[1], **changes)


def system_of(name: str) -> System:
    """The system that a recipe belongs to. Raises HscError for an unknown name."""
    return _found(name)[0]


def _found(name: str) -> tuple[System, Recipe]:
    if name not in (known := _all()):
        raise HscError(f"unknown recipe '{name}': choose one of {', '.join(sorted(known))}")
    return known[name]


def _all() -> dict[str, tuple[System, Recipe]]:
    """What is no recipe, or has a name that is taken, is left out: only a plug-in can have that."""
    known: dict[str, tuple[System, Recipe]] = {}
    for system, recipes in registry.parts(lambda system: system.recipes):
        for each in recipes if isinstance(recipes, tuple) else (recipes,):
            if not isinstance(each, Recipe):
                registry.report(f"{each!r} of plug-in '{system.name}' is left out: it is no Recipe")
            elif each.name in known:
                registry.report(
                    f"recipe '{each.name}' of plug-in '{system.name}' is left out: "
                    f"it is there already, in '{known[each.name][0].name}': rename it"
                )
            else:
                known[each.name] = (system, each)
    return known
