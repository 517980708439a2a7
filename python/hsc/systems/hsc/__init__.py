"""HSC: hybrid semantic-complementary transmission (arXiv 2507.17196)."""

from ...codecs.system import CodecEntry, Shorthand, System
from .options import HscOptions

_AMOUNTS = ("--rank", "--psnr", "--cbr")  # at most one says how much CR is sent

SYSTEM = System(
    name="hsc",
    title="HSC",
    codecs=(
        CodecEntry(
            "hsc",
            1,
            f"{__name__}.codec:HscCodec",
            f"{__name__}.blocks:hsc_semantic_encoder",
            f"{__name__}.blocks:hsc_semantic_decoder",
        ),
    ),
    recipes=f"{__name__}.recipes:RECIPES",
    figures=f"{__name__}.figures:FIGURES",
    blocks=tuple(
        f"{__name__}.blocks:{name}"
        for name in (
            *("hsc_semantic_encoder", "hsc_semantic_decoder", "cr_projection", "cr_recomposition"),
            *("hsc_transmitter", "hsc_receiver"),
        )
    ),
    shorthands=(
        Shorthand("--rank", HscOptions, "rank", excludes=_AMOUNTS),
        Shorthand("--psnr", HscOptions, "psnr_db", excludes=_AMOUNTS),
        Shorthand("--cr", HscOptions, "cr"),
        Shorthand("--semantic", HscOptions, "semantic"),
        Shorthand("--symbols", HscOptions, "symbols"),
        Shorthand("--tuning", HscOptions, "tuning"),
    ),
    page="docs/systems/hsc.md",
)
