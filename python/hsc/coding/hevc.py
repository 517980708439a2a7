"""One image through HEVC intra (ITU-T H.265, x265 and libde265 by pillow-heif), 10 bit, 4:4:4 (grey: 4:0:0):
the paper's BPG.

A HEIF file holds some 350 bytes round the picture that the receiver can make again. Sent are

    CRC-32 of the rest | form, 1 byte | length of the next field, 1 byte | decoder configuration | the one
    NAL unit

The form is the halvings of the picture's size; or, for a picture of full size that a post-filter is to go
over (`nnpf`), 4 and its quality, which that filter is told.

The decoder configuration (hvcC of ISO/IEC 14496-15: VPS, SPS, PPS) is deflated against a typical one, which
leaves 5 to 45 bytes of it. The receiver writes the boxes of the container anew from the shape it knows. A
size that came through the channel is compared with that shape before anything is decoded. Where the coarsest
quantiser still gives too many bytes the picture is coded at 1/2, 1/4 or 1/8 of its size; above that full size
is always better (measured on Kodak). `hevc_rate` finds the code of a length.
"""

from __future__ import annotations

import io
import os
import struct
import warnings
import zlib
from collections.abc import Mapping

import numpy as np
import pillow_heif
from PIL import Image

from ..errors import HscError
from ..phy.crc import crc32

# Halvings of a picture's size at most.
_MOST_HALVINGS = 3
# Qualities below 0 for each halving: six steps of the QP. Chosen by trial.
_QUALITIES_PER_HALVING = 18
# Forms below this are halvings, others a quality and this.
_TOLD = _MOST_HALVINGS + 1
# Lowest quality: QP 51 at an eighth of the size.
LOWEST = -_MOST_HALVINGS * _QUALITIES_PER_HALVING
# Highest quality: three to each of HEVC's 52 QPs.
HIGHEST = 3 * 52 - 1
# Chroma QP offsets (Cb and Cr) within one step of the luma QP: three qualities to a QP, 2 to 5 % apart in
# bytes. x265's own for 4:4:4, made for the eye, is +6; by the PSNR of RGB -1 is best, and its neighbours lie
# on the same curve. 0 would mean +6 to x265.
_CHROMA_OFFSETS = (1, -1, -2)
# Everything for PSNR: no psychovisual rate distortion.
_ENCODER = {
    "preset": "slow",
    "tune": "psnr",
    "x265:psy-rd": "0",
    "x265:psy-rdoq": "0",
    "x265:frame-threads": "1",
}
# Wavefronts (H.265, section 9.3.1) let several cores work on one picture, each on a row of blocks of this
# side [pixels]. From this height and quality on they take 0.02 to 0.2 % more bytes (Kodak); of smaller
# pictures and coarser codes they take 1 to 5 %, and those are quick without.
_ROW = 64
_WAVEFRONTS_HEIGHT, _WAVEFRONTS_QUALITY = 448, 30
# x265's quickest preset takes a sixth of the time.
_QUICK = {**_ENCODER, "preset": "ultrafast"}
# Its smallest blocks [pixels]: sides that are no multiple of them need those of `_GRID`, for twice the time.
_QUICK_GRID = 16
# Sides are filled up to a multiple of this [pixels]: libheif would do so itself, and add a box that says it.
_GRID = 8
# Smallest side that is coded [pixels], for the same reason.
_SMALLEST_SIDE = 64
# NAL units of the decoder configuration: video, sequence and picture parameter sets (H.265, table 7-1).
_VPS = 32
_SPS = 33
_PPS = 34
# NAL units of pictures that need no other: IDR_W_RADL, IDR_N_LP, CRA_NUT.
_INTRA_PICTURES = (19, 20, 21)
# Most bytes of a decoder configuration that a receiver inflates.
_LARGEST_CONFIGURATION = 1024
# What configurations are deflated against: one of x265's.
_TYPICAL_CONFIGURATION = bytes.fromhex(
    "0104080000009c38000000005af000fcfffafa00000f03600001001740010c01ffff0408000003009c3800000300005a"
    "ba0240610001002c4201010408000003009c3800000300005a9000c0401009b2dd492535cdc043418100000300190000"
    "0300010862000100074401c170d83120"
)


def encode(image: np.ndarray, quality: int, told: bool = False, quick: bool = False) -> bytes:
    """uint8 (H, W, C), C = 1 or 3 → bytes.

    `quality` 0 (QP 51) to 155 (QP 0); each 18 below 0 halve the picture's size, down to -54. Raises HscError
    when x265 refuses the image. `told`: the code tells its quality, for a post-filter. `quick`: by x265's
    quickest preset, which takes 10 to 30 % more bytes.
    """
    if not LOWEST <= quality <= HIGHEST:
        raise ValueError(f"HEVC quality is {LOWEST} to {HIGHEST}, not {quality}")
    halvings = max(0, -(quality // _QUALITIES_PER_HALVING))
    coded = _padded(_resized(image, _halved(image.shape, halvings)))
    encoder = _QUICK if quick else _ENCODER
    if quick and any(side % _QUICK_GRID for side in coded.shape[:2]):
        encoder = {**_QUICK, "x265:min-cu-size": str(_GRID)}
    configuration, picture = _take_apart(_heif(coded, quality + halvings * _QUALITIES_PER_HALVING, encoder))
    deflated = _deflate(configuration)
    form = _TOLD + quality if told and not halvings else halvings
    return _checked(bytes([form, len(deflated)]) + deflated + picture)


def _checked(body: bytes) -> bytes:
    return crc32(body).to_bytes(4, "big") + body


def decode(data: bytes, shape: tuple[int, int, int]) -> np.ndarray:
    """Bytes of `encode` → uint8 (H, W, C) of `shape`. Raises HscError for anything else."""
    if len(data) < 9 or crc32(data[4:]) != int.from_bytes(data[:4], "big"):
        raise HscError("the HEVC picture did not arrive whole: use a more robust MCS or send it again")
    form, length = data[4:6]
    small = _halved(shape, form if form < _TOLD else 0)
    coded = (_coded_side(small[0]), _coded_side(small[1]), shape[2])
    configuration, picture = _inflate(data[6 : 6 + length]), data[6 + length :]
    intra = len(picture) >= 3 and picture[0] >> 1 in _INTRA_PICTURES
    if _picture_size(configuration) != coded[:2] or not intra:
        raise HscError(
            "the HEVC picture is not one of this image's size: transmitter and receiver differ, update both"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            container = _container(configuration, picture, coded)
            levels = np.asarray(pillow_heif.open_heif(container, convert_hdr_to_8bit=False))
    except Exception as error:  # noqa: BLE001 - libheif's errors come as several types
        raise HscError(f"the HEVC picture cannot be decoded ({error}): send it again") from error
    if levels.shape != (coded if shape[2] == 3 else coded[:2]) or levels.dtype != np.uint16:
        raise HscError("the HEVC picture has another size or depth than announced: send it again")
    return _resized(np.rint(levels / 257.0).astype(np.uint8).reshape(coded)[: small[0], : small[1]], shape)


def quality_told(data: bytes) -> int | None:
    """The quality that a code tells, 0 to 155; None where it tells none."""
    quality = data[4] - _TOLD if len(data) > 4 else -1
    return quality if 0 <= quality <= HIGHEST else None


def untold(data: bytes) -> bytes:
    """A code that tells its quality → the same that does not."""
    return _checked(bytes([0]) + data[5:])


def _halved(shape: tuple[int, int, int], times: int) -> tuple[int, int, int]:
    return -(-shape[0] >> times), -(-shape[1] >> times), shape[2]


def _coded_side(side: int) -> int:
    return max(-(-side // _GRID) * _GRID, _SMALLEST_SIDE)


def _padded(image: np.ndarray) -> np.ndarray:
    """Sides filled up to what is coded with the last row and column."""
    height, width, _ = image.shape
    return np.pad(image, ((0, _coded_side(height) - height), (0, _coded_side(width) - width), (0, 0)), "edge")


def _resized(image: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """uint8 (h, w, C) → uint8 of `shape` by Pillow, whose resampling of bytes is in fixed point."""
    if image.shape == tuple(shape):
        return image
    smaller = image.shape[0] > shape[0] or image.shape[1] > shape[1]
    method = Image.Resampling.LANCZOS if smaller else Image.Resampling.BICUBIC
    picture = Image.fromarray(image if shape[2] == 3 else image[..., 0])
    return np.asarray(picture.resize((shape[1], shape[0]), method)).reshape(shape)


def _heif(image: np.ndarray, quality: int, encoder: Mapping[str, str]) -> bytes:
    """uint8 (h, w, C) → a HEIF file."""
    height, width, channels = image.shape
    offset = str(_CHROMA_OFFSETS[quality % 3])
    settings = {
        **encoder,
        **_threads(height, quality),
        "x265:crf": str(51 - quality // 3),
        "x265:cbqpoffs": offset,
        "x265:crqpoffs": offset,
    }
    # a 16-bit picture is coded with 10 bits: 0.05 dB better at 1 bit per pixel, 0.4 dB at 3
    wide = image.astype(np.uint16) * 257
    buffer = io.BytesIO()
    try:
        heif = pillow_heif.from_bytes("RGB;16" if channels == 3 else "I;16", (width, height), wide.tobytes())
        heif.save(buffer, quality=50, enc_params=settings, **({"chroma": 444} if channels == 3 else {}))
    except Exception as error:  # noqa: BLE001 - as in `decode`
        raise HscError(
            f"HEVC cannot code an image of {height} x {width} pixels ({error}): "
            "scale it, or take another codec"
        ) from error
    return buffer.getvalue()


def _threads(height: int, quality: int) -> dict[str, str]:
    """Whether x265 codes in wavefronts, which does not depend on the machine, and with how many threads."""
    if height < _WAVEFRONTS_HEIGHT or quality < _WAVEFRONTS_QUALITY:
        return {"x265:wpp": "0", "x265:pools": "1"}
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {"x265:wpp": "1", "x265:pools": str(min(allowed, -(-height // _ROW)))}


def _take_apart(heif: bytes) -> tuple[bytes, bytes]:
    """A HEIF file of x265's → its hvcC record and its one NAL unit."""
    meta = _find(heif, b"meta")[4:]  # version and flags of a full box
    configuration = _find(_find(_find(meta, b"iprp"), b"ipco"), b"hvcC")
    media = _find(heif, b"mdat")
    if int.from_bytes(media[:4], "big") != len(media) - 4:
        raise HscError(
            "x265 made more than one NAL unit of the picture: install the pillow-heif of requirements.txt"
        )
    return configuration, media[4:]


def _find(boxes: bytes, kind: bytes) -> bytes:
    """Contents of the first box of that kind, at this level."""
    position = 0
    while position + 8 <= len(boxes):
        size = int.from_bytes(boxes[position : position + 4], "big")
        if boxes[position + 4 : position + 8] == kind:
            return boxes[position + 8 : position + size]
        position += max(size, 8)
    raise HscError(f"libheif wrote no {kind.decode()} box: install the pillow-heif of requirements.txt")


def _deflate(configuration: bytes) -> bytes:
    coder = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zdict=_TYPICAL_CONFIGURATION)
    return coder.compress(configuration) + coder.flush()


def _inflate(data: bytes) -> bytes:
    """Inverse of `_deflate`, at most `_LARGEST_CONFIGURATION` bytes; empty for what is no deflated data."""
    try:
        return zlib.decompressobj(-15, zdict=_TYPICAL_CONFIGURATION).decompress(data, _LARGEST_CONFIGURATION)
    except zlib.error:
        return b""


def _picture_size(configuration: bytes) -> tuple[int, int] | None:
    """Height and width in the SPS of an hvcC record that holds one VPS, SPS and PPS each; None for anything
    else.
    """
    units, position = {}, 23
    for _ in range(configuration[22] if len(configuration) > 22 else 0):
        kind, count, length = struct.unpack_from(">BHH", configuration.ljust(position + 5, b"\0"), position)
        if count != 1:
            return None
        units[kind & 63] = configuration[position + 5 : position + 5 + length]
        position += 5 + length
    whole = set(units) == {_VPS, _SPS, _PPS} and position == len(configuration)
    return _sps_size(units[_SPS]) if whole else None


def _sps_size(sps: bytes) -> tuple[int, int] | None:
    """Height and width in luma samples of a sequence parameter set, H.265 section 7.3.2.2; None for what
    cannot be read.
    """
    plain = sps.replace(b"\0\0\3", b"\0\0")[2:64]  # without emulation prevention and NAL header
    bits = "".join(f"{byte:08b}" for byte in plain)
    if bits[4:7] != "000":  # sps_max_sub_layers_minus1
        return None
    fields: dict[str, int] = {}
    position = 8 + 96  # behind profile_tier_level, which has no sub-layers
    for name in ("id", "chroma_format_idc", "width", "height"):
        zeros = bits.find("1", position) - position  # ue(v), section 9.2
        if not 0 <= zeros <= 16 or position + 2 * zeros + 1 > len(bits):
            return None
        fields[name] = int(bits[position + zeros : position + 2 * zeros + 1], 2) - 1
        position += 2 * zeros + 1
        if name == "chroma_format_idc" and fields[name] == 3:
            position += 1  # separate_colour_plane_flag
    return fields["height"], fields["width"]


def _box(kind: bytes, *contents: bytes) -> bytes:
    body = b"".join(contents)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def _full_box(kind: bytes, version: int, *contents: bytes) -> bytes:
    return _box(kind, bytes([version, 0, 0, 0]), *contents)


def _container(configuration: bytes, picture: bytes, shape: tuple[int, int, int]) -> bytes:
    """A HEIF file (ISO/IEC 23008-12) of one item: BT.601 full range, 10 bit."""
    start = _box(b"ftyp", b"heix", bytes(4), b"mif1heix")
    media = _box(b"mdat", struct.pack(">I", len(picture)), picture)
    properties = _properties(configuration, shape)
    head = len(start) + len(_meta(properties, 0, 0))
    return start + _meta(properties, head + 8, len(picture) + 4) + media


def _properties(configuration: bytes, shape: tuple[int, int, int]) -> bytes:
    """The item's properties: decoder configuration, size, bits of each channel, colour space."""
    height, width, channels = shape
    return _box(
        b"iprp",
        _box(
            b"ipco",
            _box(b"hvcC", configuration),
            _full_box(b"ispe", 0, struct.pack(">II", width, height)),
            _full_box(b"pixi", 0, bytes([channels] + [10] * channels)),
            _box(b"colr", b"nclx", struct.pack(">HHHB", 1, 13, 6, 0x80)),
        ),
        _full_box(b"ipma", 0, struct.pack(">IHB4B", 1, 1, 4, 0x81, 2, 3, 4)),
    )


def _meta(properties: bytes, offset: int, size: int) -> bytes:
    """The box that says what the file's item is, and that its `size` bytes begin at `offset`."""
    item = _full_box(b"infe", 2, struct.pack(">HH", 1, 0), b"hvc1", bytes(1))
    return _full_box(
        b"meta",
        0,
        _full_box(b"hdlr", 0, bytes(4), b"pict", bytes(13)),
        _full_box(b"pitm", 0, struct.pack(">H", 1)),
        _full_box(b"iloc", 0, struct.pack(">HHHHHII", 0x4400, 1, 1, 0, 1, offset, size)),
        _full_box(b"iinf", 0, struct.pack(">H", 1), item),
        properties,
    )
