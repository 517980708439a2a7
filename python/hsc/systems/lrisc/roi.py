"""Regions of interest of LRISC (version 2): where errors count more, and how the receiver is told.

A region is a map of tokens that count `weight` times (in amplitude); it is sent in front of y, as rectangles
or as a packed map, and its bytes are side information like y's.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from ...codecs.contract import error_shape
from ...coding.activity import OCTAVE
from ...errors import HscError
from ...images import files
from ...nn.transform import BLOCK

# Steps of the weight in an octave of amplitude, as it is sent.
_STEPS = 8
# First byte: none, a packed map; anything between is so many rectangles.
_NONE, _MAP = 0, 255
# Bytes of a rectangle: four numbers of 16 bits.
_RECTANGLE = 8
# Bytes of the length of a packed map.
_LENGTH = 3


@dataclass(frozen=True)
class Region:
    """What counts more.

    Attributes:
        tokens: bool (h, w), the tokens inside.
        weight: log2 of how many times an error inside counts, in eighths.
        rectangles: (top, left, height, width) in tokens when the region is made of them, else none.
    """

    tokens: np.ndarray
    weight: int = 0
    rectangles: tuple[tuple[int, int, int, int], ...] = ()

    @classmethod
    def none(cls, size: tuple[int, int]) -> Region:
        """Everything counts alike; tokens down and across."""
        return cls(np.zeros(size, bool))

    def blocks(self, shape: tuple[int, int, int]) -> np.ndarray | None:
        """`contract.Decoded.region` of an image (H, W, C); None where everything counts alike."""
        _, down, across = error_shape(shape)
        return self.tokens[:down, :across] if self.weight and self.tokens.any() else None

    def log_weight(self) -> torch.Tensor:
        """What it adds to the log-power that decides, int64 (h, w) [1/64 octave]."""
        return torch.from_numpy(self.tokens.astype(np.int64) * (2 * self.weight * OCTAVE // _STEPS))

    def pack(self) -> bytes:
        """Side information; one byte when there is none."""
        if not self.weight or not self.tokens.any():
            return bytes([_NONE])
        if 0 < len(self.rectangles) < _MAP:
            numbers = np.array(self.rectangles, ">u2").tobytes()
            return bytes([len(self.rectangles), self.weight]) + numbers
        packed = zlib.compress(np.packbits(self.tokens).tobytes(), 9)
        return bytes([_MAP, self.weight]) + len(packed).to_bytes(_LENGTH, "big") + packed


def unpack(data: bytes, size: tuple[int, int]) -> tuple[Region, bytes]:
    """Side information → the region over so many tokens, and what stands behind it. Raises HscError for bytes
    that no version sends.
    """
    if not data:
        raise HscError("the side information is empty: the packet comes from another version")
    kind, region = data[0], Region.none(size)
    if kind == _NONE:
        return region, data[1:]
    if len(data) < 2:
        raise HscError("the region of interest is cut off: the packet comes from another version")
    weight = data[1]
    if kind == _MAP:
        length = int.from_bytes(data[2 : 2 + _LENGTH], "big")
        end = 2 + _LENGTH + length
        return Region(_inflated(data[2 + _LENGTH : end], size), weight), data[end:]
    end = 2 + _RECTANGLE * kind
    if len(data) < end:
        raise HscError("the region of interest is cut off: the packet comes from another version")
    rectangles = np.frombuffer(data[2:end], ">u2").reshape(-1, 4).tolist()
    return of_rectangles([tuple(each) for each in rectangles], size, weight), data[end:]


def _inflated(packed: bytes, size: tuple[int, int]) -> np.ndarray:
    wanted = -(-size[0] * size[1] // 8)
    try:
        raw = zlib.decompressobj().decompress(packed, wanted)
    except zlib.error:
        raw = b""
    if len(raw) != wanted:
        raise HscError("the map of the region of interest is damaged: the packet comes from another version")
    return np.unpackbits(np.frombuffer(raw, np.uint8))[: size[0] * size[1]].reshape(size).astype(bool)


def of_rectangles(rectangles: list[tuple[int, int, int, int]], size: tuple[int, int], weight: int) -> Region:
    """Rectangles (top, left, height, width) in tokens → the region, cut at the image's edge."""
    tokens = np.zeros(size, bool)
    for top, left, height, width in rectangles:
        tokens[top : top + height, left : left + width] = True
    return Region(tokens, weight, tuple(rectangles))


def of_mask(mask: np.ndarray, size: tuple[int, int], weight: float) -> Region:
    """A mask of pixels, bool (H, W), → the tokens that it touches, over so many tokens down and across."""
    padded = np.zeros((size[0] * BLOCK, size[1] * BLOCK), bool)
    inside = mask[: padded.shape[0], : padded.shape[1]]
    padded[: inside.shape[0], : inside.shape[1]] = inside
    return Region(padded.reshape(size[0], BLOCK, size[1], BLOCK).any((1, 3)), steps(weight))


def steps(weight: float) -> int:
    """A weight in amplitude, 1 to 8, as it is sent."""
    return round(_STEPS * float(np.log2(weight)))


def read(text: str | None, shape: tuple[int, int, int], size: tuple[int, int], weight: float) -> Region:
    """The option `roi` for an image (H, W, C) of so many tokens. Raises HscError for text that is neither
    rectangles nor a mask of the image's size.
    """
    if text is None:
        return Region.none(size)
    try:
        numbers = [[int(n) for n in part.split(",")] for part in text.split(";") if part.strip()]
    except ValueError:
        path = Path(text)
        return of_image(files.load(path).pixels, shape, size, weight, f"the mask {path.name}")
    if not numbers or any(len(part) != 4 for part in numbers):
        raise HscError(f"the region of interest '{text}' is not x,y,w,h: give four whole numbers of pixels")
    return of_pixels(numbers, shape, size, weight)


def of_pixels(
    numbers: list[list[int]], shape: tuple[int, int, int], size: tuple[int, int], weight: float
) -> Region:
    """Rectangles x, y, width, height [pixels] in an image (H, W, C) of so many tokens. Raises HscError for
    one that does not lie in it, and for more than can be sent.
    """
    if len(numbers) >= _MAP:
        raise HscError(f"a region of interest of {len(numbers)} rectangles: give at most {_MAP - 1}")
    rectangles = []
    for x, y, width, height in numbers:
        if min(x, y) < 0 or min(width, height) < 1 or x >= shape[1] or y >= shape[0]:
            raise HscError(
                f"the region of interest {x},{y},{width},{height} does not lie in the image of "
                f"{shape[1]} x {shape[0]} pixels"
            )
        top, left = y // BLOCK, x // BLOCK
        bottom, right = -(-(y + height) // BLOCK), -(-(x + width) // BLOCK)
        rectangles.append((top, left, min(bottom, size[0]) - top, min(right, size[1]) - left))
    return of_rectangles(rectangles, size, steps(weight))


def of_image(
    image: np.ndarray,
    shape: tuple[int, int, int],
    size: tuple[int, int],
    weight: float,
    name: str = "the mask",
) -> Region:
    """What is brighter than half in a mask, uint8 (H, W, C), of an image (H, W, C) of so many tokens. Raises
    HscError for a mask of another size.
    """
    if image.shape[:2] != shape[:2]:
        raise HscError(
            f"{name} has {image.shape[1]} x {image.shape[0]} pixels and the image "
            f"{shape[1]} x {shape[0]}: give a mask of the image's size"
        )
    return of_mask(image.mean(2) > 127, size, weight)
