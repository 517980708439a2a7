"""Image files: any format that pillow or pillow-heif reads becomes uint8 (H, W, C) with one or three
channels.
"""

from __future__ import annotations

import glob
import io
import os
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from ..errors import HscError
from ..files import label, printable
from ..paths import examples_folder
from ..phy.header import MAX_SIDE
from . import pixels as image_pixels

# Shortest side of an image [pixels].
MIN_SIDE = 8
# What pillow identifies, but does not decode by itself: it would run Ghostscript or a plugin that nobody has
# installed.
_NOT_DECODED = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}
# Bytes read from a pipe; the largest image that can be sent has fewer.
_MAX_PIPE = 1 << 30


@dataclass(frozen=True)
class SourceImage:
    """An image to send.

    Attributes:
        path: the file it came from.
        pixels: uint8 (H, W, C), C is 1 or 3.
        notes: what was changed on the way from the file to the pixels, in words.
    """

    path: Path
    pixels: np.ndarray
    notes: tuple[str, ...] = ()


@lru_cache(maxsize=1)
def _formats() -> tuple[tuple[str, ...], frozenset[str]]:
    """Formats that are read, by pillow's names, and their suffixes."""
    import pillow_heif

    pillow_heif.register_heif_opener()
    image_pixels.know_camera_tiffs()
    suffixes = Image.registered_extensions()
    formats = tuple(name for name in Image.OPEN if name not in _NOT_DECODED)
    return formats, frozenset(suffix for suffix, name in suffixes.items() if name in formats)


def find(paths: Iterable[Path], say: Callable[[str], object] = lambda _: None) -> list[Path]:
    """Files named, and the images in folders named (sorted; without hidden files and subfolders).

    A missing file and a folder without images stay in the list: `load` says so, and the others are still
    sent.

    Args:
        paths: files and folders.
        say: is told in one line how many files of a folder are left out.

    Raises:
        HscError: there is nothing but folders without images.
    """
    found: list[Path] = []
    empty: list[Path] = []
    for path in paths:
        inside = _images_in(path, say) if os.path.isdir(path) else [path]
        empty += [] if inside else [path]
        found += inside or [path]
    if empty and len(empty) == len(found):
        raise _no_image_in(empty[0])
    return found


def matching(patterns: Iterable[str]) -> list[Path]:
    """Files and folders that names and glob patterns mean; one that is not here is looked for among the
    examples. Raises HscError for a pattern without any, or for none at all.
    """
    named: list[Path] = []
    for pattern in patterns:
        matches = _matches(pattern)
        if not matches:
            raise HscError(
                f"no file matches '{label(pattern)}': "
                "give a file, a folder or a pattern such as 'images/*.png'"
            )
        named += matches
    if not named:
        raise HscError("no image file given: name files, folders or patterns")
    return named


def _matches(pattern: str) -> list[Path]:
    if os.path.lexists(pattern):  # a name may have a ~ or [brackets] of its own
        return [Path(pattern)]
    roots = [Path(), *filter(None, [examples_folder()])]
    found = (sorted(glob.glob(str(root / os.path.expanduser(pattern)))) for root in roots)
    return [Path(path) for path in next(filter(None, found), [])]


def _images_in(folder: Path, say: Callable[[str], object]) -> list[Path]:
    try:
        files = sorted(p for p in folder.iterdir() if os.path.isfile(p))
    except OSError as error:
        say(f"{label(folder)} cannot be read ({error.strerror})")
        return []
    images = [p for p in files if p.suffix.lower() in _formats()[1] and not p.name.startswith(".")]
    if images and len(images) < len(files):
        others = len(files) - len(images)
        say(f"{label(folder)}: {others} of {len(files)} files are hidden or no images, left out")
    return images


def _no_image_in(folder: Path) -> HscError:
    return HscError(f"no image in folder {label(folder)}: name a folder with files such as .png or .jpg")


def load(path: Path) -> SourceImage:
    """Read one image file, or a pipe.

    EXIF orientation is applied, and grey stays grey. Deep values become 8 bit, transparency is put on white
    or black, of several pictures one is taken, CMYK and the like become RGB: each of these is noted
    (`image_pixels`).

    Raises:
        HscError: missing, unreadable or damaged file, or sides outside MIN_SIDE to MAX_SIDE pixels.
    """
    name = label(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pillow remarks on odd metadata
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with open(path, "rb") as raw, Image.open(_seekable(raw), formats=_formats()[0]) as file:
                _check_size(name, *file.size)
                return SourceImage(path, *image_pixels.read(file))
    except FileNotFoundError:
        raise HscError(f"no such file: {name}") from None
    except IsADirectoryError:
        raise _no_image_in(path) from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        most = Image.MAX_IMAGE_PIXELS // 10**6
        raise HscError(f"{name}: too many pixels, send an image of less than {most} megapixels") from None
    except UnidentifiedImageError:
        raise HscError(f"{name}: not an image that pillow can read, convert it to PNG or JPEG") from None
    except HscError:
        raise
    except Exception as error:  # pillow's readers raise many kinds on a damaged file
        raise HscError(f"{name}: cannot be read ({_first_line(error)}), check the file") from None


def _seekable(raw: io.BufferedReader) -> io.BufferedIOBase:
    return raw if raw.seekable() else io.BytesIO(raw.read(_MAX_PIPE))


def _check_size(name: str, width: int, height: int) -> None:
    if not (MIN_SIDE <= width <= MAX_SIDE and MIN_SIDE <= height <= MAX_SIDE):
        raise HscError(
            f"{name}: {width} x {height} pixels cannot be sent, sides must be {MIN_SIDE} to {MAX_SIDE} pixels"
        )


def _first_line(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return printable((text.strip().splitlines() or [type(error).__name__])[0])


def picture(pixels: np.ndarray) -> Image.Image:
    """uint8 (H, W, C) → pillow image."""
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def jpeg(image: Image.Image) -> bytes:
    """The content of a JPEG file for pictures that are looked at, a fifth of a PNG file: no colour is
    thinned out.
    """
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "JPEG", quality=92, subsampling=0)
    return buffer.getvalue()


def png(image: Image.Image) -> bytes:
    """The content of a PNG file."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
