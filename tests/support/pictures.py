"""Small pictures."""

from pathlib import Path

import numpy as np
from gnuradio.hsc.images import files
from PIL import Image

from . import ROOT


def pixels(path: Path) -> np.ndarray:
    return files.load(path).pixels


def crops(folder: Path) -> Path:
    """Two pieces of sample photographs in a folder: one of a size that no block divides, one grey."""
    for i, (name, size) in enumerate([("lake", (75, 101)), ("kitten", (64, 96))]):
        whole = pixels(ROOT / "examples" / "images" / f"{name}.jpg")
        piece = whole[60 : 60 + size[0], 80 : 80 + size[1]]
        Image.fromarray(piece[..., 1] if i else piece).save(folder / f"crop{i}.png")
    return folder


def photo(path: Path, seed: int, side: int = 64) -> Path:
    """A small colour picture of soft blobs."""
    small = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC).save(path)
    return path
