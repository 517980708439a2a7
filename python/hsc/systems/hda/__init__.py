"""HDA-DeepSC: hybrid digital-analog semantic communication (Xie, Qin, Han and Letaief, JSAC 2025)."""

from ...codecs.system import CodecEntry, Shorthand, System
from ...refiner.shorthands import SHORTHANDS
from .options import HdaOptions

SYSTEM = System(
    name="hda",
    title="HDA-DeepSC",
    codecs=(
        CodecEntry(
            "hda_deepsc",
            5,
            f"{__name__}.codec:HdaDeepScCodec",
            f"{__name__}.blocks:hda_semantic_encoder",
            f"{__name__}.blocks:hda_semantic_decoder",
            colour="#d62728",
        ),
        CodecEntry("hda_hevc", 8, f"{__name__}.hevc_codec:HdaHevcCodec", colour="#ff7f0e"),
    ),
    recipes=f"{__name__}.recipes:RECIPES",
    figures=f"{__name__}.figures:FIGURES",
    blocks=tuple(
        f"{__name__}.blocks:{name}"
        for name in (
            *("hda_semantic_encoder", "hda_semantic_decoder", "hda_allocation", "hda_fusion"),
            *("hda_transmitter", "hda_receiver"),
        )
    ),
    shorthands=(
        Shorthand("--da-ratio", HdaOptions, "da_ratio"),
        Shorthand("--key", HdaOptions, "key"),
        Shorthand("--rx-key", HdaOptions, "key", only_receiver=True),
        *SHORTHANDS,
    ),
    page="docs/systems/hda.md",
)
