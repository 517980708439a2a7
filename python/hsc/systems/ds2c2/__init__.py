"""DS²C²: a base layer by a recursive GAN and a residual that lives through block erasures (arXiv 2409.03243),
and the learned image codec it is compared with.
"""

from ...codecs.system import CodecEntry, System

_PARTS, _BITS, _ENDS = (f"{__name__}.blocks.{name}" for name in ("parts", "interleaving", "ends"))

SYSTEM = System(
    name="ds2c2",
    title="DS²C²",
    codecs=(
        CodecEntry("ds2c2", 10, f"{__name__}.codec:Ds2c2Codec", colour="#005f73"),
        CodecEntry("lic", 11, f"{__name__}.lic:LicCodec", colour="#bcbd22"),
    ),
    recipes=f"{__name__}.recipes:RECIPES",
    figures=f"{__name__}.figures:FIGURES",
    blocks=(
        f"{_PARTS}:ds2c2_base_encoder",
        f"{_PARTS}:ds2c2_residual_encoder",
        f"{_BITS}:ds2c2_bit_interleaver",
        f"{_BITS}:ds2c2_bit_deinterleaver",
        f"{_PARTS}:ds2c2_base_decoder",
        f"{_PARTS}:ds2c2_residual_decoder",
        f"{_ENDS}:ds2c2_transmitter",
        f"{_ENDS}:ds2c2_receiver",
    ),
    page="docs/systems/ds2c2.md",
)
