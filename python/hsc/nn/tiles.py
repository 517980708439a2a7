"""An image in tiles, each with what a network sees beyond it: as in one piece, in less memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

# Rows and columns of an image.
Area = tuple[slice, ...]


@dataclass(frozen=True)
class Tile:
    """One tile.

    Attributes:
        around: what a network is given, in the image.
        within: the tile itself, in what it was given.
        place: the tile itself, in the image.
    """

    around: Area
    within: Area
    place: Area


def tiles(height: int, width: int, side: int, reach: int) -> Iterator[Tile]:
    """The tiles of an image, `side` pixels each way, with `reach` pixels around: multiples, all four, of what
    the network's own grid asks for.
    """
    ends = height, width
    for top in range(0, height, side):
        for left in range(0, width, side):
            first = top, left
            place = tuple(slice(at, min(at + side, end)) for at, end in zip(first, ends, strict=True))
            around = tuple(
                slice(max(own.start - reach, 0), min(own.start + side + reach, end))
                for own, end in zip(place, ends, strict=True)
            )
            within = tuple(
                slice(own.start - out.start, own.stop - out.start)
                for own, out in zip(place, around, strict=True)
            )
            yield Tile(around, within, place)


def tiled(
    network: Callable[..., torch.Tensor], side: int, reach: int, images: torch.Tensor, *maps: torch.Tensor
) -> torch.Tensor:
    """A network, applied tile by tile: the same image in less memory.

    Args:
        network: of parts of the images and of the maps.
        side, reach: as in `tiles`.
        images: (B, C, H, W), as the network's result.
        maps: of the same size, or smaller by a whole number that divides all sides, side and reach.
    """
    found = torch.empty_like(images)
    for tile in tiles(*images.shape[-2:], side, reach):
        parts = (each[..., *_scaled(tile.around, images.shape[-2] // each.shape[-2])] for each in maps)
        found[..., *tile.place] = network(images[..., *tile.around], *parts)[..., *tile.within]
    return found


def _scaled(area: Area, cell: int) -> Area:
    return tuple(slice(of.start // cell, -(-of.stop // cell)) for of in area)
