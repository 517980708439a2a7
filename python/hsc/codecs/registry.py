"""The one list of codecs. A codec is added by one module and one line in `_MODULES`."""

from __future__ import annotations

import importlib
from typing import Protocol

import numpy as np

from ..errors import HscError
from ..message import Link, Message, ReceivedMessage

# name -> (number in the packet header, module:class). Numbers are part of the air interface: never reuse one.
_MODULES: dict[str, tuple[int, str]] = {
    "hsc": (1, "systems.hsc.codec:HscCodec"),
    "separate": (2, "systems.baselines.separate:SeparateCodec"),
    "softcast": (3, "systems.baselines.softcast:SoftCastCodec"),
    "hda_dct": (4, "systems.baselines.hda_dct:HdaDctCodec"),
    "hda_deepsc": (5, "systems.hda.codec:HdaDeepScCodec"),
    "deepjscc": (6, "systems.deepjscc.codec:DeepJsccCodec"),
    "deepjscc_q": (7, "systems.deepjscc.quantised:DeepJsccQCodec"),
    "hda_hevc": (8, "systems.hda.hevc_codec:HdaHevcCodec"),
}


class Codec(Protocol):
    """One transmission system. Without GNU Radio and without channel: both ends call the same class.

    A codec whose messages have a part that is an image by itself names it in an attribute `base` (`message.Base`).
    """

    name: str

    def encode(self, image: np.ndarray, link: Link) -> Message:
        """uint8 (H, W, C) image -> message. Raises HscError for an image or a budget it cannot serve."""

    def decode(self, received: ReceivedMessage) -> np.ndarray:
        """Received message -> uint8 (H, W, C) image, from whatever arrived. Raises HscError when nothing usable did."""


def names() -> tuple[str, ...]:
    """Registered codec names, in the order of their numbers."""
    return tuple(_MODULES)


def number(name: str) -> int:
    """Number of a codec in the packet header. Raises HscError for an unknown name."""
    return _entry(name)[0]


def name_of(number_: int) -> str:
    """Codec name of a header number. Raises HscError for an unknown number."""
    for name, (value, _) in _MODULES.items():
        if value == number_:
            return name
    raise HscError(f"codec number {number_} is unknown: the packet comes from a newer version, update this receiver")


def module(name: str) -> str:
    """Module of this package that holds a codec, such as "hsc". Raises HscError for an unknown name."""
    return _entry(name)[1].split(":")[0]


def create(name: str, **options: object) -> Codec:
    """Make a codec. `options` are the fields of the codec's options dataclass; an unknown one raises HscError."""
    home, cls = _entry(name)[1].split(":")
    return getattr(importlib.import_module(f"..{home}", __package__), cls)(**options)


def _entry(name: str) -> tuple[int, str]:
    if name not in _MODULES:
        raise HscError(f"unknown codec '{name}': choose one of {', '.join(_MODULES)}")
    return _MODULES[name]
