"""What the systems are measured against: separate source and channel coding, SoftCast, conventional hybrid
transmission.
"""

from ...codecs.system import CodecEntry, System

SYSTEM = System(
    name="baselines",
    title="Baselines",
    codecs=(
        CodecEntry("separate", 2, f"{__name__}.separate:SeparateCodec"),
        CodecEntry("softcast", 3, f"{__name__}.softcast:SoftCastCodec"),
        CodecEntry("hda_dct", 4, f"{__name__}.hda_dct:HdaDctCodec"),
    ),
    page="docs/systems/baselines.md",
)
