"""What the systems are measured against: separate source and channel coding, SoftCast, conventional hybrid
transmission.
"""

from ...codecs.system import CodecEntry, System
from ...refiner.shorthands import SHORTHANDS

SYSTEM = System(
    name="baselines",
    title="Baselines",
    codecs=(
        CodecEntry("separate", 2, f"{__name__}.separate:SeparateCodec", colour="#1f77b4"),
        CodecEntry("softcast", 3, f"{__name__}.softcast:SoftCastCodec", colour="#17becf"),
        CodecEntry("hda_dct", 4, f"{__name__}.hda_dct:HdaDctCodec", colour="#9467bd"),
    ),
    recipes=f"{__name__}.recipes:RECIPES",
    shorthands=SHORTHANDS,
    page="docs/systems/baselines.md",
)
