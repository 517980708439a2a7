"""SoftCast's analog layer (Jakubczak and Katabi, "A cross-layer design for scalable mobile video", MobiCom
2011).

    planes ─▶ colour KLT ─▶ DCT ─▶ chunks of like power ─▶ the strongest, gain g = λ^(−1/4) ─▶ Hadamard ─▶ values
                    angles, means            levels of λ: which chunks, which gains ─▶ side information (bytes)

Chunks are rectangles of the spectrum, 64 x 64 coefficients for 768 x 512 pixels, narrower towards frequency 0
where power falls steeply: half a decibel better than 32 x 32 everywhere, with fewer chunks. The power λ of
each chunk is sent in steps of 3 dB, which costs 0.04 dB. Both ends derive the choice of chunks, their order
and their gains from these levels alone. The receiver is the linear least squares estimator (LLSE) for the
noise variance of each value, lost values included.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

import numpy as np
import torch
from scipy.fft import dctn, idctn

from ...coding import level_map, whitening
from ...coding.budget import TooFew
from ...errors import HscError
from ...message import ReceivedAnalog
from ...nn.planes import check_shape
from ...phy.crc import crc16

TRANSFORMS = ("image", "block8")
_BLOCK = 8
_SMALLEST_CHUNK, _LARGEST_CHUNK = 4, 256
_NARROWER = 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 3 / 2  # edges below two chunk sides, in chunk sides
_SMALLEST_TILE = 32  # blocks
_SILENT = 1e-3  # power [grey level²] of a chunk that is not worth sending
_FLOOR_STEPS = 256  # per octave
_MEAN_STEPS, _ANGLE_STEPS = 64, 1 << 15
_FIXED = struct.Struct(">HH3h3h")  # CRC-16, floor, means, angles
_COLUMNS_AT_ONCE = 1 << 14


@dataclass(frozen=True)
class Coded:
    """Planes as SoftCast sends them: float32 values (n,), and the side information that the receiver needs."""

    values: np.ndarray
    side: bytes


@dataclass(frozen=True)
class _Bands:
    """Partition of a mosaic of coefficients (C, R, N) into chunks: where bands of rows and of columns begin."""

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


@dataclass(frozen=True)
class _Chunks:
    """Which chunks are sent and how strong: numbers of the chunks in sending order, and the power that both
    ends ascribe to them.
    """

    order: np.ndarray
    power: np.ndarray

    @property
    def gain(self) -> np.ndarray:
        """g ∝ λ^(−1/4): the power of what is sent is ∝ √λ, the allocation of least total error at high SNR
        (eq. (3) of the paper).
        """
        return self.power**-0.25


def encode(planes: np.ndarray, most_values: int, transform: str = "image") -> Coded:
    """Planes, float (C, H, W) in grey levels -> at most `most_values` values, and side information.

    Raises `budget.TooFew` when not one chunk fits.
    """
    means = np.rint(planes.mean((1, 2)) * _MEAN_STEPS).clip(-(1 << 15), (1 << 15) - 1)
    centred = planes - (means / _MEAN_STEPS)[:, None, None]
    angles = _colour_angles(centred)
    mosaic, bands = _forward(_turned(centred, angles), transform)
    power, sizes = bands.power(mosaic), bands.sizes()
    chosen = _strongest(power, sizes, most_values)
    if not len(chosen) and power.max() > _SILENT:
        least = whitening.mixed_length(int(sizes[power > _SILENT].min()))
        raise TooFew(f"{max(most_values, 0)} values are too few for SoftCast", least)
    floor, levels = _levels(power, chosen)
    sent = _sent(floor, levels)
    ordered = mosaic.ravel()[bands.places(sent.order)] * np.repeat(sent.gain, sizes[sent.order])
    values = whitening.mix(torch.from_numpy(ordered.astype(np.float32))).numpy()
    fixed = [floor, *_padded(means, 3), *_padded(angles, 3)]
    body = _FIXED.pack(0, *(int(x) for x in fixed))[2:] + level_map.encode(levels.reshape(bands.grid))
    return Coded(values, crc16(body).to_bytes(2, "big") + body)


def decode(
    side_information: bytes,
    received: ReceivedAnalog | None,
    shape: tuple[int, int, int],
    transform: str = "image",
) -> np.ndarray:
    """Side information and received values -> planes, float64 (C, H, W) in grey levels, not clipped.

    Values that are lost, or all of them when `received` is None, count as unknown. Raises HscError for side
    information that is damaged or that does not belong to these values. Any bytes are safe.
    """
    check_shape(shape)
    if len(side_information) < _FIXED.size or crc16(side_information[2:]) != int.from_bytes(
        side_information[:2], "big"
    ):
        raise HscError(
            "SoftCast's side information did not arrive: use a more robust MCS or send the image again"
        )
    _, floor, *rest = _FIXED.unpack_from(side_information)
    means, angles = np.array(rest[: shape[2]]) / _MEAN_STEPS, np.array(rest[3:])
    bands = _bands(shape, transform)
    sent = _sent(floor, level_map.decode(side_information[_FIXED.size :], bands.grid).ravel())
    mosaic = np.zeros(bands.shape)
    if len(sent.order):
        mosaic.ravel()[bands.places(sent.order)] = _estimate(sent, received, bands.sizes()[sent.order])
    planes = _turned(_inverse(mosaic, shape, transform), angles, back=True)
    return planes + means[:, None, None]


def closed_form_error(
    planes: np.ndarray, coded: Coded, noise_variance: float, transform: str = "image"
) -> float:
    """Mean squared error [grey level²] that theory expects over the decoded planes when every value has this
    noise variance.

    Chunks that are sent leave the error of the LLSE, w² n / g² + (1 − w)² λ with w = P / (P + n), P = g² λ̂
    (λ̂ as both ends see it, λ as it is); the others their power.
    """
    channels, height, width = planes.shape
    _, floor, *rest = _FIXED.unpack_from(coded.side)
    centred = planes - (np.array(rest[:channels]) / _MEAN_STEPS)[:, None, None]
    mosaic, bands = _forward(_turned(centred, np.array(rest[3:])), transform)
    power = bands.power(mosaic)
    sent = _sent(floor, level_map.decode(coded.side[_FIXED.size :], bands.grid).ravel())
    signal = sent.gain**2 * sent.power
    weight = signal / (signal + noise_variance)
    error = power.copy()
    error[sent.order] = weight**2 * noise_variance / sent.gain**2 + (1 - weight) ** 2 * power[sent.order]
    return float(error @ bands.sizes() / planes.size)


def _strongest(power: np.ndarray, sizes: np.ndarray, most_values: int) -> np.ndarray:
    """Numbers of the strongest chunks that fit; where the next does not, weaker ones that do."""
    order = np.argsort(-power, kind="stable")
    order = order[power[order] > _SILENT]
    left = max(most_values, 0) // whitening.GROUP * whitening.GROUP
    count = int(np.searchsorted(np.cumsum(sizes[order]), left, side="right"))
    chosen, left = list(order[:count]), left - sizes[order[:count]].sum()
    for chunk in order[count:]:
        if sizes[chunk] <= left:
            chosen.append(chunk)
            left -= sizes[chunk]
    return np.array(chosen, np.int64)


def _levels(power: np.ndarray, chosen: np.ndarray) -> tuple[int, np.ndarray]:
    """Floor code (1/256 octave), and for each chunk 0, not sent, or 1 + octaves of its power above the floor."""
    levels = np.zeros(len(power), np.int64)
    if not len(chosen):
        return 0, levels
    octaves = np.log2(power[chosen])
    floor = int(np.floor(octaves.min() * _FLOOR_STEPS))
    levels[chosen] = 1 + np.floor(octaves - floor / _FLOOR_STEPS).clip(0, level_map.LARGEST - 1)
    return floor + (1 << 15), levels


def _sent(floor: int, levels: np.ndarray) -> _Chunks:
    """The receiver's view: strongest chunks first, equal ones in their order; a level stands for the middle
    of its octave.
    """
    order = np.argsort(-levels, kind="stable")[: np.count_nonzero(levels)]
    return _Chunks(order, 2.0 ** ((floor - (1 << 15)) / _FLOOR_STEPS + levels[order] - 0.5))


def _estimate(sent: _Chunks, received: ReceivedAnalog | None, sizes: np.ndarray) -> np.ndarray:
    """LLSE of the coefficients that were sent, chunk after chunk; `sizes` of the chunks."""
    count = int(sizes.sum())
    length = whitening.mixed_length(count)
    if received is None or len(received.values) < length:
        raise HscError("SoftCast's values did not arrive: send the image again")
    prior = np.zeros(length, np.float32)
    prior[:count] = np.repeat(sent.gain**2 * sent.power, sizes)
    noise = np.where(received.received, received.noise_variance, np.inf)[:length].astype(np.float32)
    rows = [
        torch.from_numpy(np.ascontiguousarray(a).reshape(whitening.GROUP, -1))
        for a in (received.values[:length], noise, prior)
    ]
    found = np.empty((whitening.GROUP, length // whitening.GROUP), np.float32)
    for first in range(
        0, found.shape[1], _COLUMNS_AT_ONCE
    ):  # groups are columns: the memory of lost ones is bounded
        part = slice(first, first + _COLUMNS_AT_ONCE)
        estimate, _ = whitening.unmix(*(a[:, part].flatten() for a in rows))
        found[:, part] = estimate.numpy().reshape(whitening.GROUP, -1)
    return found.ravel()[:count] / np.repeat(sent.gain, sizes)


def _colour_angles(planes: np.ndarray) -> np.ndarray:
    """Codes of the three Euler angles of the colour KLT, (3,), int16; zeros for grey."""
    if len(planes) == 1:
        return np.zeros(3)
    flat = planes.reshape(3, -1)
    rows = np.linalg.eigh(flat @ flat.T)[1][:, ::-1].T
    rows = rows * np.sign(np.linalg.det(rows))
    pitch = -np.arcsin(np.clip(rows[2, 0], -1, 1))
    angles = np.array([np.arctan2(rows[2, 1], rows[2, 2]), pitch, np.arctan2(rows[1, 0], rows[0, 0])])
    return np.rint(angles / np.pi * _ANGLE_STEPS).clip(-_ANGLE_STEPS, _ANGLE_STEPS - 1)


def _turned(planes: np.ndarray, angles: np.ndarray, back: bool = False) -> np.ndarray:
    """Colours through the rotation Rz Ry Rx of these codes, or back."""
    if len(planes) == 1:
        return planes
    x, y, z = ((np.cos(a), np.sin(a)) for a in angles * (np.pi / _ANGLE_STEPS))
    rotation = (
        np.array([[z[0], -z[1], 0], [z[1], z[0], 0], [0, 0, 1]])
        @ np.array([[y[0], 0, y[1]], [0, 1, 0], [-y[1], 0, y[0]]])
        @ np.array([[1, 0, 0], [0, x[0], -x[1]], [0, x[1], x[0]]])
    )
    return np.tensordot(rotation.T if back else rotation, planes, 1)


def _bands(shape: tuple[int, int, int], transform: str) -> _Bands:
    """The chunks of an image (H, W, C)."""
    height, width, channels = shape
    if transform == "image":
        # 64 for 512 rows; ∝ √size: a small image has fewer chunks to describe, a large one finer bands
        side = int(
            np.clip(_power_of_two(math.isqrt(8 * min(height, width))), _SMALLEST_CHUNK, _LARGEST_CHUNK)
        )
        rows, columns = (_edges(size, side) for size in (height, width))
        return _Bands((channels, height, width), rows, columns)
    down, across = -(-height // _BLOCK), -(-width // _BLOCK)
    side = max(_power_of_two(math.isqrt(16 * min(down, across))), _SMALLEST_TILE)
    rows, columns = (
        np.add.outer(np.arange(_BLOCK) * size, np.arange(0, size, side)).ravel() for size in (down, across)
    )
    return _Bands((channels, _BLOCK * down, _BLOCK * across), rows, columns)


def _edges(size: int, side: int) -> np.ndarray:
    """Where bands begin: every `side` frequencies, closer below two sides."""
    edges = np.concatenate([[0.0], side * np.array(_NARROWER), np.arange(2 * side, size, side)])
    return np.unique(edges[(edges < size) & (edges == np.rint(edges))]).astype(np.int64)


def _forward(planes: np.ndarray, transform: str) -> tuple[np.ndarray, _Bands]:
    """Planes (C, H, W) -> mosaic of orthonormal DCT coefficients, and its chunks.

    "image": the DCT of the whole plane. "block8": the 8 x 8 DCT, coefficients of one frequency side by side
    as an image of blocks.
    """
    channels, height, width = planes.shape
    bands = _bands((height, width, channels), transform)
    if transform == "image":
        return dctn(planes, axes=(1, 2), norm="ortho"), bands
    planes = np.pad(planes, ((0, 0), (0, -height % _BLOCK), (0, -width % _BLOCK)), "edge")
    blocks = planes.reshape(channels, -1, _BLOCK, planes.shape[2] // _BLOCK, _BLOCK)
    return dctn(blocks, axes=(2, 4), norm="ortho").transpose(0, 2, 1, 4, 3).reshape(bands.shape), bands


def _inverse(mosaic: np.ndarray, shape: tuple[int, int, int], transform: str) -> np.ndarray:
    """Inverse of `_forward`: planes (C, H, W)."""
    height, width, channels = shape
    if transform == "image":
        return idctn(mosaic, axes=(1, 2), norm="ortho")
    blocks = mosaic.reshape(channels, _BLOCK, -(-height // _BLOCK), _BLOCK, -(-width // _BLOCK)).transpose(
        0, 2, 1, 4, 3
    )
    planes = idctn(blocks, axes=(2, 4), norm="ortho")
    return planes.reshape(channels, blocks.shape[1] * _BLOCK, blocks.shape[3] * _BLOCK)[:, :height, :width]


def _power_of_two(number: int) -> int:
    """The largest power of two that is not above `number`, at least 1."""
    return 1 << (max(number, 1).bit_length() - 1)


def _padded(numbers: np.ndarray, length: int) -> np.ndarray:
    return np.pad(numbers, (0, length - len(numbers)))
