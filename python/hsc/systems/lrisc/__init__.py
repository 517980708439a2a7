"""LRISC: latent JSCC of adaptive length, SNR adaptation, and a conditional diffusion receiver
(arXiv 2504.21577).
"""

from ...codecs.system import CodecEntry, Shorthand, System
from ...refiner.shorthands import SHORTHANDS
from .options import LriscOptions

_BLOCKS = (f"{__name__}.blocks:lrisc_latent_encoder", f"{__name__}.blocks:lrisc_latent_decoder")

SYSTEM = System(
    name="lrisc",
    title="LRISC",
    codecs=(CodecEntry("lrisc", 9, f"{__name__}.codec:LriscCodec", *_BLOCKS, colour="#111111"),),
    recipes=f"{__name__}.recipes:RECIPES",
    figures=f"{__name__}.figures:FIGURES",
    blocks=(
        *_BLOCKS,
        f"{__name__}.blocks:lrisc_rate_allocation",
        f"{__name__}.blocks:lrisc_transmitter",
        f"{__name__}.blocks:lrisc_receiver",
    ),
    shorthands=(
        *SHORTHANDS,
        Shorthand("--roi", LriscOptions, "roi"),
    ),
    page="docs/systems/lrisc.md",
)
