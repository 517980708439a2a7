"""HSC: hybrid semantic-complementary transmission (arXiv 2507.17196)."""

from ...codecs.system import CodecEntry, Shorthand, System
from .options import HscOptions

# At most one says how much CR is sent.
_AMOUNTS = ("--rank", "--psnr", "--cbr")
_PARTS, _ENDS = f"{__name__}.blocks.parts", f"{__name__}.blocks.ends"

SYSTEM = System(
    name="hsc",
    title="HSC",
    codecs=(
        CodecEntry(
            "hsc",
            1,
            f"{__name__}.codec:HscCodec",
            f"{_PARTS}:hsc_semantic_encoder",
            f"{_PARTS}:hsc_semantic_decoder",
            colour="#e377c2",
        ),
    ),
    recipes=f"{__name__}.recipes:RECIPES",
    figures=f"{__name__}.figures:FIGURES",
    blocks=(
        f"{_PARTS}:hsc_semantic_encoder",
        f"{_PARTS}:hsc_semantic_decoder",
        f"{_PARTS}:cr_projection",
        f"{_PARTS}:cr_recomposition",
        f"{_ENDS}:hsc_transmitter",
        f"{_ENDS}:hsc_receiver",
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
