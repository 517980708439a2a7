"""How a received image is judged: PSNR and MS-SSIM always, and what costs more time only where it is asked
for.

The names are those of `transmission.Measured` and of the columns in result files.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from .. import metrics
from ..errors import HscError

Measure = Callable[[np.ndarray, np.ndarray], float | None]
Rectangle = tuple[int, int, int, int]  # x, y, width, height [pixels]

# Side of the image on which a quality is tried [pixels]. All of them take it.
_TRIAL = 64
_REASON = 160  # characters of why a quality is left out


@dataclass(frozen=True)
class Quality:
    """A figure of merit that costs time.

    Attributes:
        label: what people read; it names the network.
        measure: (received, original), uint8 (H, W, C) each → its value; None where it cannot be had.
    """

    label: str
    measure: Measure


def _distance(name: str) -> Measure:
    return lambda received, image: metrics.perceptual(received, image, (name,))[name]


def _same_class(received: np.ndarray, image: np.ndarray) -> float:
    from .semantic_consistency import same_class

    return same_class(received, image)


def _feature_cosine(received: np.ndarray, image: np.ndarray) -> float:
    from .semantic_consistency import feature_cosine

    return feature_cosine(received, image)


def colour_shift(received: np.ndarray, image: np.ndarray) -> float:
    """Largest difference of the mean of a colour, of pixels in [0, 1]."""
    return float(np.abs(received.mean((0, 1)) - image.mean((0, 1))).max()) / 255


FURTHER = {
    **{name: Quality(label, _distance(name)) for name, label in metrics.PERCEPTUAL.items()},
    "same_class": Quality("same class (SqueezeNet)", _same_class),
    "feature_cosine": Quality("cosine of features (SqueezeNet)", _feature_cosine),
    "colour_shift": Quality("shift of the mean colour", colour_shift),
}

# Labels of all that can be drawn, by column.
LABELS = {
    "psnr": "PSNR [dB]",
    "ms_ssim_db": "MS-SSIM [dB], -10 log10(1 - MS-SSIM)",
    "psnr_inside_db": "PSNR inside the region [dB]",
    "side_share": "share of the channel uses that is digital",
    "failed": "share of the images that did not arrive",
    "decode_seconds": "decoding, one processor [s]",
    **{name: quality.label for name, quality in FURTHER.items()},
    **{name: f"{label}, less is better" for name, label in metrics.PERCEPTUAL.items()},
}

# Those that are shares of images: no confidence interval leaves 0 to 1.
SHARES = ("same_class", "failed", "side_share")


def measurable(names: Iterable[str], say: Callable[[str], None]) -> tuple[str, ...]:
    """Those of FURTHER that work here, tried on a small image; of the others it is said why not."""
    trial = np.full((_TRIAL, _TRIAL, 3), 128, np.uint8)
    found = []
    for name in names:
        try:
            value = FURTHER[name].measure(trial, trial)
            reason = "" if value is not None else "its weights are not installed"
        except HscError as error:
            reason = textwrap.shorten(str(error), _REASON)
        if reason:
            say(f"left out: {FURTHER[name].label} ({reason})")
        else:
            found.append(name)
    return tuple(found)


def psnr_inside_db(received: np.ndarray, image: np.ndarray, rectangle: Rectangle) -> float:
    """PSNR of a rectangle [dB]. Raises ValueError when it is not all inside the image."""
    x, y, width, height = rectangle
    if not (0 <= x < x + width <= image.shape[1] and 0 <= y < y + height <= image.shape[0]):
        raise ValueError(f"the rectangle {rectangle} is not inside an image of shape {image.shape}")
    inside = slice(y, y + height), slice(x, x + width)
    return metrics.psnr_db(received[inside], image[inside])
