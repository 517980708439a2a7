"""Image files: any format that pillow reads becomes uint8 (H, W, C) with one or three channels."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, ImageSequence, UnidentifiedImageError

from .errors import HscError
from .phy.packet import MAX_SIDE

MIN_SIDE = 8
_DEEP_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N", "F")


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


def find(paths: Iterable[Path]) -> list[Path]:
    """Files named, and the images in folders named (sorted, not in their subfolders). A missing file stays in the list:
    `load` says so, and the others are still sent. Raises HscError for a folder without images."""
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        known = Image.registered_extensions()
        inside = sorted(p for p in path.iterdir() if p.is_file() and p.suffix.lower() in known)
        if not inside:
            raise HscError(f"no image in folder {path}: name a folder with files such as .png or .jpg")
        found += inside
    return found


def load(path: Path) -> SourceImage:
    """Read one image file.

    EXIF orientation is applied, grey stays grey, 16 bit becomes 8 bit, an alpha channel is dropped, of an animation the first
    frame is taken; each of these but the first two is noted.

    Raises:
        HscError: missing, unreadable or damaged file, or sides outside MIN_SIDE to MAX_SIDE pixels.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pillow remarks on odd metadata
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as file:
                _check_size(path, *file.size)
                animated = getattr(file, "n_frames", 1) > 1
                image = ImageOps.exif_transpose(next(iter(ImageSequence.Iterator(file))).copy())
    except FileNotFoundError:
        raise HscError(f"no such file: {path}") from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise HscError(f"{path}: too many pixels, send an image of less than {Image.MAX_IMAGE_PIXELS // 10**6} megapixels") from None
    except UnidentifiedImageError:
        raise HscError(f"{path}: not an image that pillow can read, convert it to PNG or JPEG") from None
    except HscError:
        raise
    except Exception as error:  # pillow's readers raise many kinds on a damaged file
        raise HscError(f"{path}: cannot be read ({_first_line(error)}), check the file") from None
    pixels, notes = _pixels(image)
    return SourceImage(path, pixels, (*(["first frame of an animation"] if animated else []), *notes))


def _check_size(path: Path, width: int, height: int) -> None:
    if not (MIN_SIDE <= width <= MAX_SIDE and MIN_SIDE <= height <= MAX_SIDE):
        raise HscError(f"{path}: {width} x {height} pixels cannot be sent, sides must be {MIN_SIDE} to {MAX_SIDE} pixels")


def _pixels(image: Image.Image) -> tuple[np.ndarray, list[str]]:
    """Pillow image -> uint8 (H, W, C) and notes."""
    notes = []
    if image.mode in _DEEP_MODES:
        image = _eight_bit(image)
        notes.append("16-bit values converted to 8 bit")
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        notes.append("alpha channel dropped")
    grey = image.mode in ("1", "L", "LA", "La")
    pixels = np.asarray(image.convert("L" if grey else "RGB"))
    return (pixels[..., None] if grey else pixels).copy(), notes


def _eight_bit(image: Image.Image) -> Image.Image:
    """Grey of more than 8 bits -> 8 bits; values that fit 8 bits, or [0, 1] for floats, are taken as such."""
    values = np.nan_to_num(np.asarray(image).astype(np.float64))
    top = values.max(initial=0)
    full = (1.0 if top <= 1 else 255.0) if image.mode == "F" else (255.0 if image.mode == "I" and top <= 255 else 65535.0)
    return Image.fromarray(np.clip(np.rint(values / full * 255), 0, 255).astype(np.uint8))


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def picture(pixels: np.ndarray) -> Image.Image:
    """uint8 (H, W, C) -> pillow image."""
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
