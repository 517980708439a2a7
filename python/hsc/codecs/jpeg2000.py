"""One grey 16-bit array through JPEG2000 (ISO/IEC 15444-1, OpenJPEG by glymur), without what both sides can rebuild.

The main header (SIZ, COD, QCD) depends on the array's size and the coding mode only, so the receiver makes it again by coding an
array of zeros, and the decoder never sees a size that came through the channel. Sent are the bytes between SOD and EOC.
"""

from __future__ import annotations

import tempfile
import warnings
from functools import lru_cache
from pathlib import Path

import glymur
import numpy as np

_SOT = b"\xff\x90\x00\x0a"  # start of tile-part, Lsot = 10 (annex A.4.2)
_SOD = b"\xff\x93"
_EOC = b"\xff\xd9"
_RAM_DISK = Path("/dev/shm")


def encode(levels: np.ndarray, ratio: float = 1.0) -> bytes:
    """uint16 (rows, columns) -> packet data. `ratio` 1 is reversible (5/3 wavelet), above it the compression ratio wanted (9/7)."""
    return _codestream(levels, ratio).split(_SOD, 1)[1].removesuffix(_EOC)


def decode(packets: bytes, shape: tuple[int, int], reversible: bool) -> np.ndarray | None:
    """Packet data -> uint16 array of `shape`, or None when OpenJPEG refuses it. Check a CRC before: OpenJPEG guesses at damage."""
    header = _main_header(shape, reversible)
    part_length = 12 + len(_SOD) + len(packets)
    tile = _SOT + bytes(2) + part_length.to_bytes(4, "big") + bytes([0, 1])
    with _folder() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder, "cr.j2k")
        path.write_bytes(header + tile + _SOD + packets + _EOC)
        try:
            levels = glymur.Jp2k(path)[:]
        except Exception:  # noqa: BLE001 - glymur raises many types on bytes that it cannot read, struct.error among them
            return None
    return levels.astype(np.uint16) if levels.shape == shape else None


def _codestream(levels: np.ndarray, ratio: float) -> bytes:
    mode = {"irreversible": True, "cratios": (ratio,)} if ratio > 1 else {}
    with _folder() as folder:
        path = Path(folder, "cr.j2k")
        glymur.Jp2k(path, data=levels, numres=_resolutions(levels.shape), **mode)
        return path.read_bytes()


@lru_cache(maxsize=64)
def _main_header(shape: tuple[int, int], reversible: bool) -> bytes:
    return _codestream(np.zeros(shape, np.uint16), 1.0 if reversible else 2.0).split(_SOT, 1)[0]


def _resolutions(shape: tuple[int, int]) -> int:
    """Wavelet levels that the shorter side can bear, at most OpenJPEG's usual 6 resolutions."""
    return int(min(6, max(1, np.log2(min(shape)) + 1)))


def _folder() -> tempfile.TemporaryDirectory:
    """glymur writes files: in memory where the system has a RAM disk."""
    return tempfile.TemporaryDirectory(dir=_RAM_DISK if _RAM_DISK.is_dir() else None)
