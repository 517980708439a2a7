"""The same detail of every system of a plan, where they differ most: a grid of pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from .. import metrics
from . import pictures, sweep
from .curves import Curves
from .detail import place as where
from .figure import Given
from .plan import Plan, Say
from .transmission import Point

# A grid of so many tiles in a row fits a page.
_TILES = 6


def grid_of(
    given: Given,
    found: Curves,
    plan: Callable[[Sequence[str], Say, Sequence[float]], Plan],
    heading: str,
    place: str,
) -> Image.Image:
    """For each photograph and place the original and what every system of `found` made of it.

    Args:
        given: the photographs.
        found: what the plan gave: its curves are shown, over its places.
        plan: (names of images, say, places) → the plan, one point of each image and place to a curve.
        heading: of the grid; what all pictures have in common.
        place: format of a place on the x axis.
    """
    there, places = {series.name for series in found.series}, found.series[0].x.values
    planned = [
        each for each in plan(list(given.images), lambda text: None, places).curves if each.label in there
    ]
    rows: list[list[pictures.Tile]] = []
    for i, name in enumerate(given.images):
        given.progress(f"pictures of {name}")
        points = [[each.points[j][i][0] for each in planned] for j in range(len(places))]
        texts = [place.format(x) for x in places]
        rows += _details(name, given.images[name], [each.label for each in planned], points, texts)
    rest = "details at full size, where the systems differ most; figures are those of the whole images."
    return pictures.grid(rows, tile_height=rows[0][0].pixels.shape[0], heading=f"{heading}: {rest}")


def _details(
    name: str,
    image: np.ndarray,
    labels: Sequence[str],
    points: Sequence[Sequence[Point]],
    places: Sequence[str],
) -> list[list[pictures.Tile]]:
    """Rows of tiles for one photograph: for each place the original and what every system made of it."""
    wanted = [point for column in points for point in column]
    outcome = sweep.run(wanted, {name: image}, workers=0, pictures=wanted)
    window = where(image, [_arrived(column, outcome) for column in points])
    rows: list[list[pictures.Tile]] = []
    for column, text in zip(points, places, strict=True):
        original = f"original, {name.rsplit('-', 1)[0]}", text
        tiles = [pictures.Tile(image[window], *original)]
        tiles += [_tile(label, p, outcome, window) for label, p in zip(labels, column, strict=True)]
        rows += [tiles[first : first + _TILES] for first in range(0, len(tiles), _TILES)]
    return rows


def _arrived(points: Sequence[Point], outcome: sweep.Outcome) -> list[np.ndarray]:
    there = [p for p in points if p in outcome.measured and outcome.measured[p].failure is None]
    return [outcome.pictures[point] for point in there]


def _tile(label: str, point: Point, outcome: sweep.Outcome, window: tuple[slice, slice]) -> pictures.Tile:
    measured = outcome.measured.get(point)
    if measured is None:
        return pictures.Tile(None, label, outcome.errors[point])
    return pictures.Tile(
        None if measured.failure else outcome.pictures[point][window],
        f"{label}, {pictures.quality(measured.psnr_db)}",
        ", ".join(metrics.in_words(vars(measured))),
    )
