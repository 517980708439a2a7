"""DeepJSCC and DeepJSCC-Q: one analog stream (HDA-DeepSC's benchmark "analog DeepSC"), with denoisers at the
receiver.
"""

from ...codecs.system import CodecEntry, Shorthand, System
from ...refiner.shorthands import SHORTHANDS
from .options import DeepJsccOptions

_BLOCKS = (f"{__name__}.blocks:deepjscc_semantic_encoder", f"{__name__}.blocks:deepjscc_semantic_decoder")

SYSTEM = System(
    name="deepjscc",
    title="DeepJSCC",
    codecs=(
        CodecEntry("deepjscc", 6, f"{__name__}.codec:DeepJsccCodec", *_BLOCKS, colour="#2ca02c"),
        CodecEntry("deepjscc_q", 7, f"{__name__}.quantised:DeepJsccQCodec", *_BLOCKS, colour="#8c564b"),
    ),
    recipes=f"{__name__}.recipes:RECIPES",
    blocks=(*_BLOCKS, f"{__name__}.blocks:denoiser"),
    shorthands=(
        Shorthand("--denoiser", DeepJsccOptions, "denoiser"),
        Shorthand("--denoiser-steps", DeepJsccOptions, "denoiser_steps"),
        *SHORTHANDS,
    ),
    page="docs/systems/deepjscc.md",
)
