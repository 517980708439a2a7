"""Regions: the parts of an image that the digital part codes by themselves, so that a lost chunk costs its
region and no more.

A region is 8 × 8 latent positions (256 × 256 pixels), less at the right and lower edge.
"""

from __future__ import annotations

from dataclasses import dataclass

# Pixels and tokens along the side of a latent position.
LATENT_PIXELS, TOKENS = 32, 4
# Latent positions along the side of a region.
REGION = 8


@dataclass(frozen=True)
class Region:
    """Where a region lies, in latent positions."""

    index: int
    rows: slice
    columns: slice

    @property
    def latents(self) -> tuple[slice, slice]:
        """Its part of a map of latents (…, h/4, w/4)."""
        return self.rows, self.columns

    @property
    def tokens(self) -> tuple[slice, slice]:
        """Its part of a map of tokens (…, h, w)."""
        return tuple(slice(side.start * TOKENS, side.stop * TOKENS) for side in (self.rows, self.columns))

    @property
    def size(self) -> tuple[int, int]:
        """Latent positions down and across."""
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start


def grid(height: int, width: int) -> tuple[int, int]:
    """Latent positions down and across of an image of that size in pixels."""
    return -(-height // LATENT_PIXELS), -(-width // LATENT_PIXELS)


def token_grid(height: int, width: int) -> tuple[int, int]:
    """Tokens down and across of an image of that size in pixels, in whole latent positions."""
    down, across = grid(height, width)
    return TOKENS * down, TOKENS * across


def regions(height: int, width: int) -> list[Region]:
    """All regions of an image, row by row."""
    down, across = grid(height, width)
    corners = [(top, left) for top in range(0, down, REGION) for left in range(0, across, REGION)]
    return [
        Region(i, slice(top, min(top + REGION, down)), slice(left, min(left + REGION, across)))
        for i, (top, left) in enumerate(corners)
    ]
