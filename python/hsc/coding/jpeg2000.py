"""Arrays and images through JPEG2000 (ISO/IEC 15444-1, OpenJPEG by glymur), without what both sides can
rebuild.

The main header (SIZ, COD, QCD) depends on the array's size and the coding mode only, so the receiver makes it
again by coding an array of zeros, and the decoder never sees a size that came through the channel. Sent are
the bytes between SOD and EOC: of a 16-bit array as they are, of an image as chunks of one quality layer each,
so that whatever arrived from the beginning is an image.
"""

from __future__ import annotations

import math
import os
import shutil
import tempfile
import warnings
from functools import lru_cache
from pathlib import Path

import glymur
import numpy as np

from .budget import TooFew
from .chunks import frame, intact_prefix

# Markers (annex A): start of a tile-part with its length of 10, start of data, end of codestream, coding
# style, lengths of packets.
_SOT = b"\xff\x90\x00\x0a"
_SOD = b"\xff\x93"
_EOC = b"\xff\xd9"
_COD = b"\xff\x52"
_PLT = b"\xff\x58"
_RAM_DISK = Path("/dev/shm")
# Its folders are named by this, the process's number, and a random part.
_PREFIX = "gr-hsc-"
# Resolutions of the wavelet at most, OpenJPEG's usual.
_RESOLUTIONS = 6
# Quality layers of an image.
LAYERS = 8
# Bytes of the layers up to each over those up to the one before.
_LAYER_FACTOR = 1.6
# Codings of an image until its size is near enough: OpenJPEG keeps to a size nearly.
_TRIES = 4


def encode(levels: np.ndarray, ratio: float = 1.0) -> bytes:
    """uint16 (rows, columns) → packet data. `ratio` 1 is reversible (5/3 wavelet), above it the compression
    ratio wanted (9/7).
    """
    return _codestream(levels, ratio).split(_SOD, 1)[1].removesuffix(_EOC)


def decode(packets: bytes, shape: tuple[int, int], reversible: bool) -> np.ndarray | None:
    """Packet data → uint16 array of `shape`, or None when OpenJPEG refuses it. Check a CRC before: OpenJPEG
    guesses at damage.
    """
    levels = _decode(_main_header(shape, reversible), packets)
    return levels.astype(np.uint16) if levels is not None and levels.shape == shape else None


def encode_image(image: np.ndarray, n_bytes: int) -> bytes:
    """uint8 (H, W, C), C = 1 or 3 → chunks of one quality layer each, at most `n_bytes` together. Raises
    `TooFew` when no layer fits.
    """
    best, least = b"", math.inf
    budget = max(n_bytes, 1)
    for _ in range(_TRIES):
        data = b"".join(frame(layer) for layer in _layers(image, budget))
        least = min(least, len(data))
        if len(data) > n_bytes:
            budget -= len(data) - n_bytes + 8
        elif len(data) > len(best):
            best, budget = data, budget + n_bytes - len(data)
        if budget <= 0 or n_bytes - len(best) <= n_bytes // 500:
            break
    if not best:
        raise TooFew(f"{n_bytes} bytes do not hold this image in JPEG2000", int(least))
    return best


def decode_image(data: bytes, received: np.ndarray | None, shape: tuple[int, int, int]) -> np.ndarray | None:
    """Image of the layers that came whole, uint8 of `shape`; None when the first did not come. Any bytes are
    safe.
    """
    came = layers(data, received)
    if not came:
        return None
    head, rest = _image_header(shape).split(_COD, 1)
    # SGcod: number of layers, behind length, Scod and progression (annex A.6.1)
    count = len(came).to_bytes(2, "big")
    image = _decode(head + _COD + rest[:4] + count + rest[6:], b"".join(came))
    fits = image is not None and image.size == np.prod(shape)
    return image.astype(np.uint8).reshape(shape) if fits else None


def layers(data: bytes, received: np.ndarray | None) -> list[bytes]:
    """Packets of the quality layers of an image that came whole, from the coarsest: at most LAYERS."""
    return intact_prefix(data, received)[:LAYERS]


def _layers(image: np.ndarray, n_bytes: int) -> list[bytes]:
    """Packets of an image, joined for each quality layer."""
    largest = max(image.size / n_bytes, 1.0)
    stream = _image_codestream(image, tuple(largest * _LAYER_FACTOR**i for i in range(LAYERS - 1, -1, -1)))
    header, packets = stream.split(_SOD, 1)
    sizes = np.array(_packet_lengths(header)).reshape(LAYERS, -1).sum(1)  # progression is layer by layer
    ends = np.cumsum(sizes)
    return [packets[end - size : end] for size, end in zip(sizes, ends, strict=True)]


def _packet_lengths(header: bytes) -> list[int]:
    """Lengths of all packets, from the PLT segments of a tile-part header (annex A.7.3): 7 bits to a byte,
    high bit: more follow.
    """
    lengths, value = [], 0
    position = header.index(_SOT) + 12
    while header[position : position + 2] == _PLT:
        size = int.from_bytes(header[position + 2 : position + 4], "big")
        for byte in header[position + 5 : position + 2 + size]:
            value = value << 7 | byte & 127
            if byte < 128:
                lengths.append(value)
                value = 0
        position += 2 + size
    return lengths


def _image_codestream(image: np.ndarray, ratios: tuple[float, ...]) -> bytes:
    """Colours by the irreversible transform, 9/7 wavelet, one layer for each compression ratio."""
    colour = image.shape[2] == 3
    mode = {
        "irreversible": True,
        "cratios": ratios,
        "plt": True,
        "prog": "LRCP",
        **({"mct": True} if colour else {}),
    }
    return _written(image if colour else image[..., 0], **mode)


@lru_cache(maxsize=64)
def _image_header(shape: tuple[int, int, int]) -> bytes:
    return _image_codestream(np.zeros(shape, np.uint8), tuple(range(LAYERS + 1, 1, -1))).split(_SOT, 1)[0]


def _decode(main_header: bytes, packets: bytes) -> np.ndarray | None:
    part_length = 12 + len(_SOD) + len(packets)
    tile = _SOT + bytes(2) + part_length.to_bytes(4, "big") + bytes([0, 1])
    with _folder() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder, "cr.j2k")
        path.write_bytes(main_header + tile + _SOD + packets + _EOC)
        try:
            return glymur.Jp2k(path)[:]
        except Exception:  # noqa: BLE001 - glymur raises many types, struct.error among them
            return None


def _codestream(levels: np.ndarray, ratio: float) -> bytes:
    return _written(levels, **({"irreversible": True, "cratios": (ratio,)} if ratio > 1 else {}))


def _written(array: np.ndarray, **mode: object) -> bytes:
    with _folder() as folder:
        path = Path(folder, "cr.j2k")
        glymur.Jp2k(path, data=array, numres=_resolutions(array.shape), **mode)
        return path.read_bytes()


@lru_cache(maxsize=64)
def _main_header(shape: tuple[int, int], reversible: bool) -> bytes:
    return _codestream(np.zeros(shape, np.uint16), 1.0 if reversible else 2.0).split(_SOT, 1)[0]


def _resolutions(shape: tuple[int, ...]) -> int:
    """Wavelet levels that the shorter side can bear, at most OpenJPEG's usual 6 resolutions."""
    return int(min(_RESOLUTIONS, max(1, np.log2(min(shape[:2])) + 1)))


def _folder() -> tempfile.TemporaryDirectory:
    """glymur writes files: in memory where the system has a RAM disk."""
    _forget_the_dead()
    return tempfile.TemporaryDirectory(prefix=f"{_PREFIX}{os.getpid()}-", dir=_parent())


def _parent() -> Path:
    return _RAM_DISK if _RAM_DISK.is_dir() else Path(tempfile.gettempdir())


@lru_cache(maxsize=1)
def _forget_the_dead() -> None:
    """Once: remove the folders of processes that were killed."""
    for folder in _parent().glob(f"{_PREFIX}*-*"):
        number = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if number.isdecimal() and not Path("/proc", number).exists():
            shutil.rmtree(folder, ignore_errors=True)  # somebody else's stays
