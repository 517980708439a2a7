"""Small pictures."""

from pathlib import Path

import numpy as np
from gnuradio.hsc.images import files
from PIL import Image


def pixels(path: Path) -> np.ndarray:
    return files.load(path).pixels


def photo(path: Path, seed: int, side: int = 64) -> Path:
    """A small colour picture of soft blobs."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC).save(path)
    return path
