"""An opened image file → pixels uint8 (H, W, C), and in words what was changed: deep values, transparency,
colour models, frames.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFile, ImageOps, TiffImagePlugin

# Pillow's modes of 16-bit integers.
_DEEP_16 = ("I;16", "I;16B", "I;16L", "I;16N")
# Pillow's modes of more than 8 bits.
_DEEP = (*_DEEP_16, "I", "F")
# Pillow's modes of colours times alpha, and that of the colours.
_PREMULTIPLIED = {"RGBa": "RGBA", "La": "LA"}
# Formats whose pictures are the frames of an animation.
_ANIMATIONS = ("GIF", "PNG", "WEBP", "AVIF", "FLI")
# Tags of TIFF 6.0, each with the value that is asked for below.
_BITS = 258
_STRIP_BYTES = 279
_COMPRESSION = 259
_UNCOMPRESSED = 1
_PHOTOMETRIC = 262
_WHITE_IS_ZERO = 0
_SAMPLE_FORMAT = 339
_UNSIGNED = 1
# Bits of a sample that cameras have and pillow knows in part.
_CAMERA_BITS = (10, 12, 14)
# Mean luma (BT.601) from which a drawing is put on black: on white nothing would be seen of it.
LIGHT = 192
# A picture with nothing as bright as this looks black.
DARK = 16


@dataclass(frozen=True)
class _Stored:
    """How a file stores its samples: what pillow's mode does not tell.

    Attributes:
        format: pillow's name of the file format.
        rawmode: pillow's name of the layout of the samples, empty where the reader has none.
        bits: significant bits of a sample, as a TIFF file tells them, else 16.
        unsigned: the file says that its integers are.
        white_is_zero: the file says that its values are those of a negative.
    """

    format: str
    rawmode: str
    bits: int = 16
    unsigned: bool = False
    white_is_zero: bool = False

    @property
    def deep_colour(self) -> bool:
        """Colours of 16 bits, of which pillow keeps the upper 8."""
        return re.search(r";16[BLN]$", self.rawmode) is not None


def read(file: ImageFile.ImageFile) -> tuple[np.ndarray, tuple[str, ...]]:
    """Decode an image: pixels uint8 (H, W, C) with C = 1 or 3, and notes. Raises as pillow does, and
    ValueError without finite values.

    EXIF orientation is applied; grey stays grey. Of several pictures it is the one that the file shows first.
    """
    if isinstance(file, TiffImagePlugin.TiffImageFile):
        _lay_out(file)
    stored = _stored(file)
    image = ImageOps.exif_transpose(file)
    if image.mode in _PREMULTIPLIED:
        image = image.convert(_PREMULTIPLIED[image.mode])
    frames = _frames(file)
    opaque, notes = _deep(image, stored) if image.mode in _DEEP else _shallow(image, stored)
    if not image.has_transparency_data:
        return opaque, (*frames, *notes)
    pixels, background = on_background(opaque, _alpha(image, stored))
    return pixels, (*frames, *notes, *background)


def know_camera_tiffs() -> None:
    """Let pillow open grey TIFF files of 10, 12 and 14 bits; it knows 12 bits in little-endian files only."""
    for order in (TiffImagePlugin.II, TiffImagePlugin.MM):
        for bits in _CAMERA_BITS:
            TiffImagePlugin.OPEN_INFO[order, 1, (1,), 1, (bits,), ()] = ("I;16", "I;12")


def _lay_out(file: TiffImagePlugin.TiffImageFile) -> None:
    """Samples of 10, 12 or 14 bits: one after another, as TIFF 6.0 has them, or each in 16 bits, as many
    cameras write them.
    """
    tags = file.tag_v2
    bits = tags.get(_BITS, (1,))
    if bits not in ((b,) for b in _CAMERA_BITS):
        return
    plain = tags.get(_COMPRESSION, _UNCOMPRESSED) == _UNCOMPRESSED
    if plain and sum(tags.get(_STRIP_BYTES, ())) == 2 * file.width * file.height:
        rawmode = "I;16" if tags.prefix == TiffImagePlugin.II else "I;16B"
        file.tile = [tile._replace(args=(rawmode, *tile.args[1:])) for tile in file.tile]
    elif bits != (12,):
        raise ValueError(f"samples of {bits[0]} bits one after another: convert it to 16 bits")


def _stored(file: ImageFile.ImageFile) -> _Stored:
    layout = file.tile[0].args if file.tile else ""
    rawmode = str(layout[0]) if isinstance(layout, (tuple, list)) and layout else str(layout or "")
    if not isinstance(file, TiffImagePlugin.TiffImageFile):
        return _Stored(file.format or "", rawmode)
    tags = file.tag_v2
    bits, kind = tags.get(_BITS, (1,))[0], tags.get(_SAMPLE_FORMAT, (_UNSIGNED,))[0]
    return _Stored("TIFF", rawmode, bits, kind == _UNSIGNED, tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO)


def _frames(file: ImageFile.ImageFile) -> tuple[str, ...]:
    # pillow's readers of formats with one picture lack the attribute
    count = getattr(file, "n_frames", 1)
    if count < 2:
        return ()
    if file.format in _ANIMATIONS:
        return (f"first frame of an animation of {count}",)
    return (f"one of the {count} pictures in the file",)


def _shallow(image: Image.Image, stored: _Stored) -> tuple[np.ndarray, list[str]]:
    """Image of 8-bit samples or fewer → uint8 (H, W, C), its transparency left out, and notes."""
    notes = []
    if image.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX"):
        notes.append(f"{image.mode} colours converted to RGB")
    # pillow makes 16-bit grey with alpha RGBA
    grey = image.mode in ("1", "L", "LA") or stored.rawmode.startswith("LA;")
    pixels = np.asarray(image.convert("L" if grey else "RGB"))
    if stored.deep_colour:
        notes.append("16-bit values converted to 8 bit" + _dark(pixels))
    return (pixels[..., None] if grey else pixels).copy(), notes


def _alpha(image: Image.Image, stored: _Stored) -> np.ndarray:
    """Opacity of an image that has transparency, uint8 (H, W)."""
    key = image.info.get("transparency")
    if image.mode in _DEEP:
        return np.where(np.asarray(image) == key, 0, 255).astype(np.uint8)
    if stored.deep_colour and isinstance(key, tuple):
        # the transparent colour has 16 bits, the pixels have the upper 8
        return np.where((np.asarray(image) == np.array(key) >> 8).all(2), 0, 255).astype(np.uint8)
    return np.asarray(image.convert("RGBA"))[..., 3]


def on_background(pixels: np.ndarray, alpha: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Put a picture with transparency on white, or on black when it is light: pixels, and a note where that
    changes anything.

    Light is a mean luma, weighted by opacity, of LIGHT and more.

    Args:
        pixels: uint8 (H, W, C).
        alpha: opacity, uint8 (H, W).
    """
    if alpha.min() == 255:
        return pixels, ()
    if alpha.max() == 0:
        return np.full_like(pixels, 255), ("transparent all over: sent as white",)
    picture = Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[..., 0])
    luma = np.asarray(picture.convert("L"))
    light = np.multiply(luma, alpha, dtype=np.uint16).sum(dtype=np.uint64) / alpha.sum(dtype=np.uint64)
    background = 0 if light >= LIGHT else 255
    mixed = Image.new(picture.mode, picture.size, (background,) * pixels.shape[2])
    mixed.paste(picture, mask=Image.fromarray(alpha))
    note = "transparent: put on white" if background else "transparent, and light: put on black"
    return np.array(mixed).reshape(pixels.shape), (note,)


def _deep(image: Image.Image, stored: _Stored) -> tuple[np.ndarray, list[str]]:
    """Grey of more than 8 bits → uint8 (H, W, 1), and what range of values was taken."""
    values = np.asarray(image)
    if image.mode == "I" and stored.bits == 32 and stored.unsigned:
        values = values.view(np.uint32)  # pillow reads them as signed
    kind = {"F": "float", "I": "integer"}.get(image.mode, f"{stored.bits}-bit")
    first, last, lost = _range(values, image.mode, stored)
    if first == last:
        note = f"{kind} values that are all {first:.6g}: sent as grey"
        return np.full((*values.shape, 1), 128, np.uint8), [note]
    if stored.white_is_zero:
        first, last = last, first
    pixels = to_eight_bit(values, first, last)[..., None]
    note = f"{kind} values converted to 8 bit, {first:.6g} is black, {last:.6g} white"
    return pixels, [note + (f", {lost} are not finite" if lost else "") + _dark(pixels)]


def _range(values: np.ndarray, mode: str, stored: _Stored) -> tuple[float, float, int]:
    """Values that are shown as black and as white, and how many are not finite.

    Floats in [0, 1] and 16-bit integers have a range by definition, or by the file's BitsPerSample; other
    floats and integers have that of their finite values. TIFF files of cameras hold 8, 10 or 12 bits in 16
    and do not say so: values that would all look black are taken for that.
    """
    finite = values[np.isfinite(values)]
    if not finite.size:
        raise ValueError("no value is finite")
    low, high = float(finite.min()), float(finite.max())
    lost = values.size - finite.size
    if mode == "F":
        return (0.0, 1.0, lost) if low >= 0 and high <= 1 else (low, high, lost)
    if mode not in _DEEP_16 and stored.format != "PPM":
        return low, high, lost
    bits = stored.bits
    if stored.format == "TIFF" and bits == 16 and low < high < 65536 * DARK / 256:
        bits = next(b for b in (8, 10, 12) if high < 2**b)
    return 0.0, 2.0**bits - 1, lost


def to_eight_bit(values: np.ndarray, first: float, last: float) -> np.ndarray:
    """Values (H, W) → uint8, `first` to 0 and `last` to 255, either of which may be the larger; beyond them
    it is cut, NaN is `first`.
    """
    if values.dtype.itemsize == 2:  # a table of all 16-bit values is much smaller than an image of floats
        return to_eight_bit(np.arange(1 << 16), first, last)[values]
    scaled = values.astype(np.float64)
    scaled -= first
    scaled *= 255 / (last - first)
    np.clip(scaled, 0, 255, out=scaled)  # keeps NaN
    np.nan_to_num(scaled, copy=False, nan=0.0)
    return np.rint(scaled, out=scaled).astype(np.uint8)


def _dark(pixels: np.ndarray) -> str:
    brightest = int(pixels.max())
    return f"; a dark picture: nothing is above {brightest} of 255" if brightest < DARK else ""
