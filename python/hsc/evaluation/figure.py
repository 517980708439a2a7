"""A figure or table that `evaluate` makes: what it shows, on what and how it is measured, how it is drawn.

Systems declare theirs in a tuple (`System.figures`); those that belong to no system are in
`bench/figures.py`. All else about figures, such as the help of `evaluate`, is read off these declarations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np

from .curves import Curves
from .plan import Plan, Say

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing
    from PIL import Image


class Source(Enum):
    """Where the images of a figure come from."""

    NONE = "no image"
    DIGITS = "MNIST test digits"  # the first ones
    KODAK = "Kodak photographs"  # evenly spread over the 24
    STREET = "street scenes"  # of CamVid's test images, evenly spread
    PHOTOGRAPH = "photograph"  # a Kodak photograph, or a sample image where there is no data folder
    SAMPLES = "images, the samples in turns"


# Images of a run with --quick, where a figure does not say otherwise. Chosen so that it takes seconds.
_QUICK = {
    Source.NONE: 0,
    Source.DIGITS: 20,
    Source.KODAK: 2,
    Source.STREET: 2,
    Source.PHOTOGRAPH: 1,
    Source.SAMPLES: 20,
}


@dataclass(frozen=True)
class Images:
    """What a figure is measured on.

    Attributes:
        source: where they come from.
        count: how many, unless `--images` says otherwise.
    """

    source: Source = Source.NONE
    count: int = 0

    def wanted(self, asked: int | None, quick: bool) -> int:
        """How many images a run takes: as many as the user asked for, few when it is to be quick."""
        return asked or (_QUICK[self.source] if quick else self.count)

    def __str__(self) -> str:
        return self.source.value if self.source is Source.NONE else f"{self.count} {self.source.value}"


@dataclass(frozen=True)
class Given:
    """What a measurement is given.

    Attributes:
        images: by name, uint8 (H, W, C).
        count: how many were asked for; of Source.SAMPLES `images` has only the different ones.
        command: what a user types to get the same.
        progress: told what is being measured.
    """

    images: Mapping[str, np.ndarray]
    count: int
    command: str
    progress: Say = lambda text: None


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure or table: exactly one of `plan` and `measure` says how it is measured.

    Attributes:
        name: what users type; also of the result file and the drawing.
        summary: what it shows, in a line.
        images: what it is measured on.
        plan: (names of images, say, **quick) → `Plan` of independent points, for what is a sweep of codecs:
            they are measured in parallel, kept, and shared with other figures.
        measure: (Given, **quick) → `Curves`, for anything else.
        draw: `Curves` → matplotlib's figure.
        quick: keyword arguments of `plan` or `measure` with which `--quick` makes it short.
        pictures: (Given, the `Curves` found) → a grid of received images, where there is one to see.
    """

    name: str
    summary: str
    images: Images = Images()
    plan: Callable[..., Plan] | None = None
    measure: Callable[..., Curves] | None = None
    draw: Callable[[Curves], Drawing]
    quick: Mapping[str, Any] = field(default_factory=dict)
    pictures: Callable[[Given, Curves], Image.Image] | None = None

    def __post_init__(self) -> None:
        if (self.plan is None) == (self.measure is None):
            raise ValueError(f"figure '{self.name}': give either plan or measure")

    def arguments(self, quick: bool) -> Mapping[str, Any]:
        """Keyword arguments of `plan` or `measure`."""
        return self.quick if quick else {}
