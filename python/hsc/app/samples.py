"""The sample images that come with the module."""

from __future__ import annotations

from pathlib import Path

from ..errors import HscError
from ..images.files import find, load
from ..paths import examples_folder


def folder() -> Path:
    """Where they are, in a checkout or an installation. Raises HscError when they are not."""
    examples = examples_folder()
    if examples is None:
        raise HscError(
            "the sample images are not there: run ./gr-hsc from a complete checkout, or install again"
        )
    return examples / "images"


def photographs() -> list[Path]:
    """Colour images, sorted."""
    return [path for path in find([folder()]) if load(path).pixels.shape[2] == 3]


def digits() -> list[Path]:
    """Grey images of 28 x 28 pixels, sorted."""
    return [path for path in find([folder()]) if load(path).pixels.shape == (28, 28, 1)]
