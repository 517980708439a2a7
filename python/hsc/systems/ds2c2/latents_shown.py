"""Figure 4 of the paper: latents of the binary residual, before the interleaver and after its inverse."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from ...channel import erase_blocks
from ...evaluation.curves import Axis, Curves, Series
from ...evaluation.drawing import panels
from ...evaluation.figure import Given
from ...evaluation.pictures import Tile, grid
from ...nn import planes
from ...nn.transform import pad
from . import base, bits
from .base_network import MULTIPLE
from .latents import weights_of
from .parameters import RATES
from .sending import symbols_of
from .table1 import PAPER_BLOCK

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing
    from PIL import Image

ERASED = 0.16
_FINENESS, _STEPS, _LEVEL = 2, 2, RATES.index("0.26")
# Channels of a latent that are shown.
_SHOWN = 4


def before_and_after(image: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """r_i and r_i′ of uint8 (H, W, C), symbols −1 and 1, int8 (C, h, w): the receiver is not told, and lost
    symbols are −1.
    """
    shape = tuple(image.shape)
    prior = base.synthesise(base.encode(image, _FINENESS).c, _FINENESS, shape, _STEPS).refined
    sent = symbols_of(pad(planes.to_planes(image), MULTIPLE), prior, weights_of(_LEVEL))
    data = bits.interleave(bits.pack(sent), sent.shape, PAPER_BLOCK)
    came = erase_blocks(data, ERASED, PAPER_BLOCK, np.random.default_rng(seed))
    return sent, bits.deinterleave(*came, sent.shape, PAPER_BLOCK, told=False)[0]


def _latents(given: Given) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    for seed, (name, image) in enumerate(given.images.items()):
        given.progress(f"latents of {name}")
        yield (name, *before_and_after(image, seed))


def fig4(given: Given) -> Curves:
    """Share of ones of every channel before and after, and how alike both latents are."""
    before, after, changed, alike = [], [], [], []
    for _, sent, came in _latents(given):
        before.append((sent > 0).mean((1, 2)))
        after.append((came > 0).mean((1, 2)))
        changed.append((sent != came).mean())
        alike.append(np.corrcoef(sent.ravel(), came.ravel())[0, 1])
    x = Axis("channel", "channel of the latent", [float(i) for i in range(len(before[0]))])
    series = [
        Series(name, "measured", x, Axis("ones", "share of ones", np.mean(shares, 0).tolist()))
        for name, shares in (("before the interleaver", before), ("after the deinterleaver", after))
    ]
    findings = {
        "images": len(given.images),
        "symbols that changed [%]": 100 * float(np.mean(changed)),
        "correlation of both latents": float(np.mean(alike)),
    }
    text = (
        f"Kodak, binary residual of 0.26 bits per pixel, blocks of {PAPER_BLOCK} bytes, {ERASED:.0%} erased, "
        "of which the receiver is not told."
    )
    return Curves("ds2c2-fig4", text, given.command, series, findings, None)


def drawn(found: Curves) -> Drawing:
    """Both series over the channels."""
    figure, (axis,) = panels(1, width=7.0)
    for series, style in zip(found.series, ("o-", "s--"), strict=True):
        axis.plot(series.x.values, series.y.values, style, label=series.name)
    axis.set(xlabel=found.series[0].x.unit, ylabel=found.series[0].y.unit, ylim=(0, 1))
    axis.grid(alpha=0.3)
    axis.legend()
    return figure


def pictures_of(given: Given, found: Curves) -> Image.Image:
    """Some channels of each photograph's latent, before and after."""
    rows = []
    for name, sent, came in _latents(given):
        for what, latent in (("before the interleaver", sent), ("after the deinterleaver", came)):
            rows.append(
                [
                    Tile(
                        np.uint8(127.5 * (channel + 1))[..., None],
                        what,
                        f"{name.rsplit('-', 1)[0]}, channel {i}",
                    )
                    for i, channel in enumerate(latent[:_SHOWN])
                ]
            )
    return grid(rows, tile_height=rows[0][0].pixels.shape[0] * 4, heading=found.description)
