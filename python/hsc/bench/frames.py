"""Frames for a camera: from a folder of images, an animation or a video file."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, ImageSequence

from ..errors import HscError
from ..images.files import find

# Side of a frame [pixels].
SIZE = 256
# Frames that are kept: 3 MB; the camera gives them again and again.
MAX_FRAMES = 16
VIDEOS = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ogv", ".ts", ".webm")
_WANTED = "give a folder of images, an animated GIF or WebP, or a video file such as clip.mp4"


def load_frames(path: Path, limit: int = MAX_FRAMES) -> list[np.ndarray]:
    """The first `limit` frames of a folder of images, an animation or a video file: uint8 (SIZE, SIZE, 3),
    cropped to a square.

    Raises HscError when there are none.
    """
    found = list(itertools.islice(_frames(path), limit))
    if not found:
        raise HscError(f"{path}: no frames; {_WANTED}")
    return [np.asarray(ImageOps.fit(frame.convert("RGB"), (SIZE, SIZE))) for frame in found]


def _frames(path: Path) -> Iterator[Image.Image]:
    for file in find([path]):
        try:
            yield from _video(file) if file.suffix.lower() in VIDEOS else _pictures(file)
        except OSError as error:  # FFmpeg's are of this kind or the next
            raise HscError(f"{file}: {error.strerror or error}; {_WANTED}") from None
        except (ValueError, Image.DecompressionBombError) as error:
            raise HscError(f"{file}: {error}; {_WANTED}") from None


def _pictures(file: Path) -> Iterator[Image.Image]:
    with Image.open(file) as picture:
        yield from (frame.copy() for frame in ImageSequence.Iterator(picture))


def _video(file: Path) -> Iterator[Image.Image]:
    import av  # here alone: it takes a moment to load

    with av.open(str(file)) as container:
        if not container.streams.video:
            raise ValueError("no video in it")
        for frame in container.decode(video=0):
            yield frame.to_image()
