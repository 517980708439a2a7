"""A detail of pictures at full size: where systems differ most, and how it is shown beside the small whole
picture.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import uniform_filter

from ..images.files import picture

SIZE = (224, 224)  # of a detail: height, width
WHOLE = 192  # largest side of the whole picture beside it
_GAP = 6  # between the two [pixels]
_BACKGROUND, _FRAME = (255, 255, 255), (230, 30, 30)

Window = tuple[slice, slice]


def local_mse(image: np.ndarray, received: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Mean squared error of every window of `size` pixels, uint8 (H, W, C) twice →
    float32 (H - h + 1, W - w + 1).
    """
    error = np.square(image.astype(np.float32) - received).mean(2)
    inside = tuple(
        slice(part // 2, part // 2 + side - part + 1) for side, part in zip(error.shape, size, strict=True)
    )
    return np.maximum(uniform_filter(error, size, mode="constant")[inside], 0)


def window_at(top: int, left: int, size: tuple[int, int]) -> Window:
    """The window of `size` pixels with this corner."""
    return slice(top, top + size[0]), slice(left, left + size[1])


def place(image: np.ndarray, groups: Iterable[Iterable[np.ndarray]], size: tuple[int, int] = SIZE) -> Window:
    """The window where the systems' pictures differ most in quality.

    Quality of a window is its RMS error; systems of one group are compared with each other, and the window is
    that of the largest mean standard deviation over the groups. A picture that is alone in its group counts
    with its error.

    Args:
        image: the original, uint8 (H, W, C).
        groups: pictures of the same shape that may be compared, such as those of one SNR.
        size: height and width of the window; an image with a smaller side gives all of that side.
    """
    size = tuple(min(part, side) for part, side in zip(size, image.shape, strict=False))
    spread = np.zeros([side - part + 1 for side, part in zip(image.shape, size, strict=False)], np.float32)
    for group in groups:
        errors = [np.sqrt(local_mse(image, received, size)) for received in group]
        if errors:
            spread += np.std(errors, axis=0) if len(errors) > 1 else errors[0]
    return window_at(*np.unravel_index(spread.argmax(), spread.shape), size)


def beside(pixels: np.ndarray, window: Window) -> np.ndarray:
    """The whole picture, small and with a frame round the detail, and beside it the detail at full size:
    uint8 (h, w, 3).

    A picture that is no larger than its detail is given back as it is.
    """
    height, width = pixels.shape[:2]
    detail = pixels[window]
    if detail.shape == pixels.shape:
        return pixels
    scale = min(1, WHOLE / max(height, width))
    small = max(1, round(width * scale)), max(1, round(height * scale))
    whole = picture(pixels).convert("RGB").resize(small, Image.Resampling.LANCZOS)
    edges = [(part.start * scale, part.stop * scale - 1) for part in window]
    ImageDraw.Draw(whole).rectangle(
        (edges[1][0], edges[0][0], edges[1][1], edges[0][1]), outline=_FRAME, width=2
    )
    size = whole.width + _GAP + detail.shape[1], max(whole.height, detail.shape[0])
    canvas = Image.new("RGB", size, _BACKGROUND)
    canvas.paste(whole, (0, 0))
    canvas.paste(picture(np.ascontiguousarray(detail)).convert("RGB"), (whole.width + _GAP, 0))
    return np.asarray(canvas)
