"""SoftCast's analog layer (Jakubczak and Katabi, "A cross-layer design for scalable mobile video", MobiCom
2011).

    planes ─▶ colour KLT ─▶ DCT ─▶ chunks of like power ─▶ the strongest, g = λ^(−1/4) ─▶ Hadamard ─▶ values
                    angles, means            levels of λ: which chunks and gains ─▶ side information (bytes)

Chunks are rectangles of the spectrum (`softcast_spectrum`), 64 × 64 coefficients for 768 × 512 pixels. The
power λ of each chunk is sent in steps of 3 dB, which costs 0.04 dB. Both ends derive the choice of chunks,
their order and their gains from these levels alone. The receiver is the linear least squares estimator (LLSE)
for the noise variance of each value, lost values included.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import torch

from ...coding import level_map, whitening
from ...coding.budget import TooFew
from ...errors import HscError
from ...message import ReceivedAnalog
from ...nn.planes import check_shape
from ...phy.crc import crc16
from . import softcast_spectrum as spectrum

# Power [grey level²] of a chunk that is not worth sending.
_SILENT = 1e-3
# Codes of the lowest level in an octave of power.
_FLOOR_STEPS = 256
# Added to the code of the lowest level, so that it is positive.
_FLOOR_OFFSET = 1 << 15
# Codes of a plane's mean in a grey level.
_MEAN_STEPS = 64
# Side information before the levels: CRC-16, lowest level, means, angles of the colour KLT.
_FIXED = struct.Struct(">HH3h3h")
# Groups of whitened values that are estimated at once: the memory of lost ones is bounded.
_COLUMNS_AT_ONCE = 1 << 14


@dataclass(frozen=True)
class Coded:
    """Planes as SoftCast sends them.

    Attributes:
        values: float32 (n,).
        side: the side information, bytes, that the receiver needs.
    """

    values: np.ndarray
    side: bytes


@dataclass(frozen=True)
class Chunks:
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
    """Planes, float (C, H, W) in grey levels → at most `most_values` values, and side information.

    Raises `budget.TooFew` when not one chunk fits.
    """
    means = np.rint(planes.mean((1, 2)) * _MEAN_STEPS).clip(-(1 << 15), (1 << 15) - 1)
    centred = planes - (means / _MEAN_STEPS)[:, None, None]
    angles = spectrum.colour_angles(centred)
    mosaic, bands = spectrum.forward(spectrum.turned(centred, angles), transform)
    power, sizes = bands.power(mosaic), bands.sizes()
    chosen = _strongest(power, sizes, most_values)
    if not len(chosen) and power.max() > _SILENT:
        least = whitening.mixed_length(int(sizes[power > _SILENT].min()))
        raise TooFew(f"{max(most_values, 0)} values are too few for SoftCast", least)
    floor, levels = _levels(power, chosen)
    sent = chunks_of(floor, levels)
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
    """Side information and received values → planes, float64 (C, H, W) in grey levels, not clipped.

    Values that are lost, or all of them when `received` is None, count as unknown. Raises HscError for side
    information that is damaged or that does not belong to these values. Any bytes are safe.
    """
    check_shape(shape)
    checksum, body = int.from_bytes(side_information[:2], "big"), side_information[2:]
    if len(side_information) < _FIXED.size or crc16(body) != checksum:
        raise HscError(
            "SoftCast's side information did not arrive: use a more robust MCS or send the image again"
        )
    _, floor, *rest = _FIXED.unpack_from(side_information)
    means, angles = np.array(rest[: shape[2]]) / _MEAN_STEPS, np.array(rest[3:])
    bands = spectrum.bands_of(shape, transform)
    sent = chunks_of(floor, level_map.decode(side_information[_FIXED.size :], bands.grid).ravel())
    mosaic = np.zeros(bands.shape)
    if len(sent.order):
        mosaic.ravel()[bands.places(sent.order)] = _estimate(sent, received, bands.sizes()[sent.order])
    planes = spectrum.turned(spectrum.inverse(mosaic, shape, transform), angles, back=True)
    return planes + means[:, None, None]


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
    """Code of the lowest level, and for each chunk 0, not sent, or 1 + octaves of its power above that."""
    levels = np.zeros(len(power), np.int64)
    if not len(chosen):
        return 0, levels
    octaves = np.log2(power[chosen])
    floor = int(np.floor(octaves.min() * _FLOOR_STEPS))
    levels[chosen] = 1 + np.floor(octaves - floor / _FLOOR_STEPS).clip(0, level_map.LARGEST - 1)
    return floor + _FLOOR_OFFSET, levels


def chunks_of(floor: int, levels: np.ndarray) -> Chunks:
    """The receiver's view: strongest chunks first, equal ones in their order; a level stands for the middle
    of its octave.
    """
    order = np.argsort(-levels, kind="stable")[: np.count_nonzero(levels)]
    return Chunks(order, 2.0 ** ((floor - _FLOOR_OFFSET) / _FLOOR_STEPS + levels[order] - 0.5))


def _estimate(sent: Chunks, received: ReceivedAnalog | None, sizes: np.ndarray) -> np.ndarray:
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
    for first in range(0, found.shape[1], _COLUMNS_AT_ONCE):  # groups are columns
        part = slice(first, first + _COLUMNS_AT_ONCE)
        estimate, _ = whitening.unmix(*(a[:, part].flatten() for a in rows))
        found[:, part] = estimate.numpy().reshape(whitening.GROUP, -1)
    return found.ravel()[:count] / np.repeat(sent.gain, sizes)


def _padded(numbers: np.ndarray, length: int) -> np.ndarray:
    return np.pad(numbers, (0, length - len(numbers)))
