"""The spectrum that SoftCast sends: the colour KLT, the DCT, and chunks of it of like power."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.fft import dctn, idctn

# The DCT of the whole image, or of 8 × 8 pixels.
TRANSFORMS = ("image", "block8")
# Codes of an angle of the colour KLT in half a turn.
ANGLE_STEPS = 1 << 15
# Side of the blocks of "block8" [pixels].
_BLOCK = 8
# Shortest and longest side of a chunk of an image's DCT [coefficients].
_SMALLEST_CHUNK, _LARGEST_CHUNK = 4, 256
# Where chunks begin below two chunk sides [chunk sides]: power falls steeply towards frequency 0. Chosen by
# trial on photographs; with the side, half a decibel better than 32 × 32 everywhere.
_NARROWER = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 3 / 2)
# Shortest side of a chunk of "block8" [blocks].
_SMALLEST_TILE = 32


@dataclass(frozen=True)
class Bands:
    """Partition of a mosaic of coefficients into chunks.

    Attributes:
        shape: of the mosaic, (C, R, N).
        rows, columns: where bands of rows and of columns begin.
    """

    shape: tuple[int, int, int]
    rows: np.ndarray
    columns: np.ndarray

    @property
    def grid(self) -> tuple[int, int, int]:
        """Chunks as (C, bands of rows, bands of columns)."""
        return self.shape[0], len(self.rows), len(self.columns)

    def sizes(self) -> np.ndarray:
        """Coefficients in each chunk, int64 (chunks,)."""
        rows, columns = (
            np.diff(starts, append=end)
            for starts, end in ((self.rows, self.shape[1]), (self.columns, self.shape[2]))
        )
        return np.tile(np.outer(rows, columns).ravel(), self.shape[0])

    def power(self, mosaic: np.ndarray) -> np.ndarray:
        """Mean square of each chunk, (chunks,)."""
        sums = np.add.reduceat(np.add.reduceat(np.square(mosaic), self.rows, 1), self.columns, 2)
        return sums.ravel() / self.sizes()

    def places(self, order: np.ndarray) -> np.ndarray:
        """Indices into the flat mosaic of the coefficients of these chunks, chunk after chunk."""
        rank = np.full(np.prod(self.grid), len(order), np.int32)
        rank[order] = np.arange(len(order))
        rows, columns = (
            np.repeat(np.arange(len(starts)), np.diff(starts, append=end))
            for starts, end in ((self.rows, self.shape[1]), (self.columns, self.shape[2]))
        )
        ranks = rank.reshape(self.grid)[:, rows[:, None], columns].ravel()
        return np.argsort(ranks, kind="stable")[: self.sizes()[order].sum()]


def forward(planes: np.ndarray, transform: str) -> tuple[np.ndarray, Bands]:
    """Planes (C, H, W) → mosaic of orthonormal DCT coefficients, and its chunks.

    "image": the DCT of the whole plane. "block8": the 8 × 8 DCT, coefficients of one frequency side by side
    as an image of blocks.
    """
    channels, height, width = planes.shape
    bands = bands_of((height, width, channels), transform)
    if transform == "image":
        return dctn(planes, axes=(1, 2), norm="ortho"), bands
    planes = np.pad(planes, ((0, 0), (0, -height % _BLOCK), (0, -width % _BLOCK)), "edge")
    blocks = planes.reshape(channels, -1, _BLOCK, planes.shape[2] // _BLOCK, _BLOCK)
    return dctn(blocks, axes=(2, 4), norm="ortho").transpose(0, 2, 1, 4, 3).reshape(bands.shape), bands


def inverse(mosaic: np.ndarray, shape: tuple[int, int, int], transform: str) -> np.ndarray:
    """Inverse of `forward`: planes (C, H, W)."""
    height, width, channels = shape
    if transform == "image":
        return idctn(mosaic, axes=(1, 2), norm="ortho")
    blocks = mosaic.reshape(channels, _BLOCK, -(-height // _BLOCK), _BLOCK, -(-width // _BLOCK)).transpose(
        0, 2, 1, 4, 3
    )
    planes = idctn(blocks, axes=(2, 4), norm="ortho")
    return planes.reshape(channels, blocks.shape[1] * _BLOCK, blocks.shape[3] * _BLOCK)[:, :height, :width]


def bands_of(shape: tuple[int, int, int], transform: str) -> Bands:
    """The chunks of an image (H, W, C)."""
    height, width, channels = shape
    if transform == "image":
        # 64 for 512 rows; ∝ √size: a small image has fewer chunks to describe, a large one finer bands
        side = int(
            np.clip(_power_of_two(math.isqrt(8 * min(height, width))), _SMALLEST_CHUNK, _LARGEST_CHUNK)
        )
        rows, columns = (_edges(size, side) for size in (height, width))
        return Bands((channels, height, width), rows, columns)
    down, across = -(-height // _BLOCK), -(-width // _BLOCK)
    side = max(_power_of_two(math.isqrt(16 * min(down, across))), _SMALLEST_TILE)
    rows, columns = (
        np.add.outer(np.arange(_BLOCK) * size, np.arange(0, size, side)).ravel() for size in (down, across)
    )
    return Bands((channels, _BLOCK * down, _BLOCK * across), rows, columns)


def _edges(size: int, side: int) -> np.ndarray:
    """Where bands begin: every `side` frequencies, closer below two sides."""
    edges = np.concatenate([[0.0], side * np.array(_NARROWER), np.arange(2 * side, size, side)])
    return np.unique(edges[(edges < size) & (edges == np.rint(edges))]).astype(np.int64)


def colour_angles(planes: np.ndarray) -> np.ndarray:
    """Codes of the three Euler angles of the colour KLT, (3,), int16; zeros for grey."""
    if len(planes) == 1:
        return np.zeros(3)
    flat = planes.reshape(3, -1)
    rows = np.linalg.eigh(flat @ flat.T)[1][:, ::-1].T
    rows = rows * np.sign(np.linalg.det(rows))
    pitch = -np.arcsin(np.clip(rows[2, 0], -1, 1))
    angles = np.array([np.arctan2(rows[2, 1], rows[2, 2]), pitch, np.arctan2(rows[1, 0], rows[0, 0])])
    return np.rint(angles / np.pi * ANGLE_STEPS).clip(-ANGLE_STEPS, ANGLE_STEPS - 1)


def turned(planes: np.ndarray, angles: np.ndarray, back: bool = False) -> np.ndarray:
    """Colours through the rotation Rz Ry Rx of these codes, or back."""
    if len(planes) == 1:
        return planes
    x, y, z = ((np.cos(a), np.sin(a)) for a in angles * (np.pi / ANGLE_STEPS))
    rotation = (
        np.array([[z[0], -z[1], 0], [z[1], z[0], 0], [0, 0, 1]])
        @ np.array([[y[0], 0, y[1]], [0, 1, 0], [-y[1], 0, y[0]]])
        @ np.array([[1, 0, 0], [0, x[0], -x[1]], [0, x[1], x[0]]])
    )
    return np.tensordot(rotation.T if back else rotation, planes, 1)


def _power_of_two(number: int) -> int:
    """The largest power of two that is not above `number`, at least 1."""
    return 1 << (max(number, 1).bit_length() - 1)
