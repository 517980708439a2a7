"""Pictures for people: an image beside what arrived, with labels, and grids of such tiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..images import region
from ..images.files import picture
from ..metrics import PSNR_LIMIT_DB

_BACKGROUND, _INK, _FAINT, _EMPTY = (255, 255, 255), (25, 25, 25), (110, 110, 110), (235, 235, 235)
_MARGIN = 12  # around tiles [pixels]
_LINE = 20  # height of a line of text [pixels]
_HEADING, _TITLE = 17, 14  # sizes of letters [pixels]
_DETAIL = 13


@dataclass(frozen=True)
class Tile:
    """A picture with a title and a line below it. `pixels` is uint8 (H, W, C), or None where there is none,
    and `missing` says why. `region`: of interest, as of `codecs.contract.Decoded`, whose outline is drawn.
    """

    pixels: np.ndarray | None
    title: str
    detail: str = ""
    missing: str = "nothing arrived"
    region: np.ndarray | None = None


def quality(psnr_db: float) -> str:
    """PSNR in words for a label."""
    return "no error" if psnr_db >= PSNR_LIMIT_DB else f"{psnr_db:.2f} dB"


def grid(rows: Sequence[Sequence[Tile]], tile_height: int = 256, heading: str = "") -> Image.Image:
    """Tiles in rows, all of one height; small images are enlarged without smoothing, so that their pixels can
    be seen.
    """
    sizes = [[_size(tile, row, tile_height) for tile in row] for row in rows]
    texts = [[max(_width(tile.title), _width(tile.detail)) for tile in row] for row in rows]
    columns = max(len(row) for row in rows)
    widths = [
        max(max(size[i][0], text[i]) for size, text in zip(sizes, texts, strict=True) if i < len(size))
        for i in range(columns)
    ]
    heights = [max(h for _, h in size) + 2 * _LINE + _MARGIN for size in sizes]
    top = 2 * _MARGIN + (_LINE + _MARGIN if heading else 0)
    width = max(sum(widths) + _MARGIN * (columns + 1), _width(heading, _HEADING) + 2 * _MARGIN)
    canvas = Image.new("RGB", (width, top + sum(heights)), _BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    if heading:
        draw.text((_MARGIN, _MARGIN), heading, fill=_INK, font=_font(_HEADING))
    for row, size, height in zip(rows, sizes, heights, strict=True):
        left = _MARGIN
        for tile, (w, h), width in zip(row, size, widths, strict=False):
            _paint(canvas, draw, tile, (left, top), (w, h))
            left += width + _MARGIN
        top += height
    return canvas


def compare(tiles: Sequence[Tile]) -> Image.Image:
    """One row of tiles: the original, and what arrived."""
    height = max(t.pixels.shape[0] for t in tiles if t.pixels is not None)
    return grid([tiles], tile_height=height if height >= 224 else height * -(-224 // height))


def _size(tile: Tile, row: Sequence[Tile], height: int) -> tuple[int, int]:
    pixels = (
        tile.pixels
        if tile.pixels is not None
        else next((t.pixels for t in row if t.pixels is not None), np.zeros((1, 1, 1)))
    )
    return max(1, round(pixels.shape[1] * height / pixels.shape[0])), height


def _paint(
    canvas: Image.Image, draw: ImageDraw.ImageDraw, tile: Tile, corner: tuple[int, int], size: tuple[int, int]
) -> None:
    x, y = corner
    if tile.pixels is None:
        draw.rectangle((x, y, x + size[0] - 1, y + size[1] - 1), fill=_EMPTY)
        draw.text((x + size[0] / 2, y + size[1] / 2), tile.missing, fill=_FAINT, font=_font(14), anchor="mm")
    else:
        enlarged = size[1] > tile.pixels.shape[0]
        method = Image.Resampling.NEAREST if enlarged else Image.Resampling.LANCZOS
        canvas.paste(picture(tile.pixels).convert("RGB").resize(size, method), corner)
        if tile.region is not None:
            _outline(draw, tile.region, tile.pixels.shape[:2], corner, size[1])
    draw.text((x, y + size[1] + 3), tile.title, fill=_INK, font=_font(_TITLE))
    draw.text((x, y + size[1] + 3 + _LINE), tile.detail, fill=_FAINT, font=_font(_DETAIL))


def _outline(
    draw: ImageDraw.ImageDraw,
    blocks: np.ndarray,
    shape: tuple[int, int],
    corner: tuple[int, int],
    height: int,
) -> None:
    """The outline of a region of a picture of `shape` (H, W) that is drawn so high."""
    lines = region.outline(blocks, shape) * (height / shape[0]) + corner * 2
    for colour, width in region.PENS:
        for line in lines.tolist():
            draw.line(line, fill=colour, width=width + 1)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _width(text: str, size: int = _TITLE) -> int:
    return int(_font(size).getlength(text)) + 2
