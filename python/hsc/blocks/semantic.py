"""Semantic Encoder and Decoder of whichever system has them: each brings blocks of its own, and here they are
chosen by codec.
"""

from __future__ import annotations

import inspect

from ..codecs import registry
from ..codecs.system import load
from ..errors import HscError
from .base import MessageBlock


def semantic_encoder(codec: str = "hsc", **options: object) -> MessageBlock:
    """The Semantic Encoder of a codec: images in, and out what its paper calls the semantic part.

    Args:
        codec: name in the registry.
        options: of that codec's own block.

    Raises:
        HscError: a codec without one, or an option that it does not have.
    """
    return _made(codec, registry.entry(codec).semantic_encoder, "Encoder", options)


def semantic_decoder(codec: str = "hsc", **options: object) -> MessageBlock:
    """The Semantic Decoder of a codec: what its Semantic Encoder made, as it was received, in. As
    `semantic_encoder`.
    """
    return _made(codec, registry.entry(codec).semantic_decoder, "Decoder", options)


def _made(codec: str, place: str, which: str, options: dict[str, object]) -> MessageBlock:
    if not place:
        served = [entry.name for entry in registry.entries() if entry.semantic_encoder]
        raise HscError(
            f"codec '{codec}' has no Semantic {which}: use the Message {which}, "
            f"or choose one of {', '.join(served)}"
        )
    block = load(place)
    known = inspect.signature(block).parameters
    for name in options:
        if name not in known:
            raise HscError(
                f"the Semantic {which} of {codec} has no option {name}: "
                f"choose from {', '.join(known) or 'none at all'}"
            )
    return block(**options, **({"codec": codec} if "codec" in known else {}))
