"""Thumbnail: an example of a system from outside gr-hsc.

It sends an image at a fraction of its size as bytes; a small network at the receiver sharpens what is
enlarged.
"""

from pathlib import Path

from gnuradio.hsc.codecs.system import CodecEntry, Shorthand, System

from .options import NAME, ThumbnailOptions

_HERE = Path(__file__).parent

SYSTEM = System(
    name=NAME,
    title="Thumbnail",
    codecs=(CodecEntry(NAME, 200, f"{__name__}.codec:ThumbnailCodec"),),
    recipes=f"{__name__}.recipes:RECIPES",
    figures=f"{__name__}.figures:FIGURES",
    blocks=(f"{__name__}.blocks:thumbnail_preview",),
    shorthands=(Shorthand("--factor", ThumbnailOptions, "factor"),),
    weights=_HERE / "weights",
    page=str(_HERE / "thumbnail.md"),
)
