"""Image files: what becomes of depth, transparency, colour models and several pictures, and that it is said;
folders; bad files.
"""

import io
import os
import struct
import threading
import zlib

import numpy as np
import pytest
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.images import files as images
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

SHAPE = (20, 30)


def ramp(height: int = 40, width: int = 60, channels: int = 3) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    full = np.stack([x * 4, y * 6, 255 - x * 4], -1).astype(np.uint8)
    return full[..., :channels]


def load(tmp_path, image: Image.Image, name: str = "x.png", **options):
    image.save(tmp_path / name, **options)
    return images.load(tmp_path / name)


def load_bytes(tmp_path, content: bytes, name: str = "x.img"):
    (tmp_path / name).write_bytes(content)
    return images.load(tmp_path / name)


def png(depth: int, colour: int, samples: np.ndarray, key: bytes = b"") -> bytes:
    """A PNG of samples (H, W, C), with a tRNS chunk of the transparent colour."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    height, width = samples.shape[:2]
    rows = samples.astype(">u2" if depth == 16 else "u1").reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    transparent = chunk(b"tRNS", key) if key else b""
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + transparent
        + chunk(b"IDAT", body)
        + chunk(b"IEND", b"")
    )


def tiff(
    values: np.ndarray, bits: int, sample_format: int = 1, photometric: int = 1, packed: bool = False
) -> bytes:
    """An uncompressed grey TIFF of values (H, W), little-endian; `packed` puts samples of `bits` bits one
    after another.
    """
    height, width = values.shape
    if packed:
        octets = np.ascontiguousarray(values.astype(">u2")).view(np.uint8).reshape(height, width, 2)
        body = np.packbits(
            np.unpackbits(octets, axis=-1)[..., 16 - bits :].reshape(height, -1), axis=1
        ).tobytes()
    else:
        body = values.astype(values.dtype.newbyteorder("<")).tobytes()
    tags = {
        256: width,
        257: height,
        258: bits,
        259: 1,
        262: photometric,
        273: 0,
        277: 1,
        278: height,
        279: len(body),
        339: sample_format,
    }
    tags[273] = 8 + 2 + 12 * len(tags) + 4
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags.items()))
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + directory + bytes(4) + body


def grey(top: float, dtype) -> np.ndarray:
    """Values from 0 to `top`, (20, 30)."""
    return np.linspace(0, top, SHAPE[0] * SHAPE[1]).reshape(SHAPE).astype(dtype)


FULL = np.linspace(0, 255, SHAPE[0] * SHAPE[1]).reshape(SHAPE)


def assert_full_range(loaded, tolerance: float = 1.0) -> None:
    assert loaded.pixels.shape == (*SHAPE, 1)
    np.testing.assert_allclose(loaded.pixels[..., 0], FULL, atol=tolerance)


# ---- as they are


def test_exif_orientation_is_honoured(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees clockwise to show
    loaded = load(tmp_path, images.picture(ramp()), exif=exif)
    np.testing.assert_array_equal(loaded.pixels, np.rot90(ramp(), -1))
    deep = Image.fromarray(ramp()[..., 0].astype(np.uint16) * 257)
    loaded = load(tmp_path, deep, "x.tif", tiffinfo={0x0112: 6})
    np.testing.assert_array_equal(loaded.pixels, np.rot90(ramp(channels=1), -1))


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "RGBA", "LA"])
def test_nothing_is_noted_where_nothing_is_changed(tmp_path, mode):
    image = images.picture(ramp()).convert(mode)
    loaded = load(tmp_path, image)
    channels = 1 if mode in ("L", "1", "LA") else 3
    np.testing.assert_array_equal(
        loaded.pixels, np.asarray(image.convert("L" if channels == 1 else "RGB")).reshape(40, 60, channels)
    )
    assert loaded.pixels.dtype == np.uint8 and loaded.pixels.flags.writeable and loaded.notes == ()


def test_heic_and_avif_are_read(tmp_path):
    for name in ("x.heic", "x.HEIF", "x.avif"):
        images.find([tmp_path / name])  # registers the readers
        images.picture(ramp()).save(tmp_path / name, "AVIF" if name.endswith("avif") else "HEIF", quality=95)
        loaded = images.load(tmp_path / name)
        assert np.abs(loaded.pixels.astype(int) - ramp()).mean() < 5 and loaded.notes == ()
    assert [p.name for p in images.find([tmp_path])] == ["x.HEIF", "x.avif", "x.heic"]


# ---- transparency


def drawing(colour, alpha) -> np.ndarray:
    """A disc of a colour on transparency whose hidden colour is black: uint8 (40, 60, 4)."""
    y, x = np.mgrid[:40, :60]
    inside = (y - 20) ** 2 + (x - 30) ** 2 < 200
    return np.where(inside[..., None], (*colour, alpha), 0).astype(np.uint8)


@pytest.mark.parametrize(
    ("colour", "background"),
    [
        ((0, 0, 0), 255),
        ((200, 30, 30), 255),
        ((128, 128, 128), 255),
        ((255, 255, 255), 0),
        ((255, 240, 60), 0),
    ],
)
@pytest.mark.parametrize("mode", ["RGBA", "P"])
def test_a_drawing_on_transparency_is_seen(tmp_path, mode, colour, background):
    pixels = drawing(colour, 255)
    image = Image.fromarray(pixels).quantize(4) if mode == "P" else Image.fromarray(pixels)
    loaded = load(tmp_path, image)
    np.testing.assert_allclose(loaded.pixels[20, 30], colour, atol=4)
    assert (loaded.pixels[0, 0] == background).all()
    (note,) = loaded.notes
    assert "transparent" in note and ("black" if background == 0 else "white") in note


def test_half_transparent_is_mixed(tmp_path):
    loaded = load(tmp_path, Image.fromarray(drawing((0, 0, 0), 128)))
    assert (loaded.pixels[20, 30] == 127).all() and (loaded.pixels[0, 0] == 255).all()
    assert (load(tmp_path, Image.fromarray(drawing((0, 0, 0), 0))).pixels == 255).all()


def test_a_transparent_colour_in_a_png(tmp_path):
    """tRNS names one colour of grey or RGB that is transparent, in 8 or 16 bits."""
    step = (np.arange(600).reshape(20, 30, 1) // 60) * 20  # ten steps from 0 to 180
    for depth in (8, 16):
        samples = step * (257 if depth == 16 else 1)
        for colour, channels in ((0, 1), (2, 3)):
            key = struct.pack(">H", samples[0, 0, 0]) * channels
            loaded = load_bytes(tmp_path, png(depth, colour, samples.repeat(channels, 2), key), "x.png")
            expected = np.where(step == 0, 255, step).repeat(channels, 2)
            np.testing.assert_array_equal(
                loaded.pixels, expected, err_msg=f"{depth} bits, {channels} channels"
            )
            assert "transparent: put on white" in loaded.notes[-1]


def test_deep_grey_with_alpha_stays_grey(tmp_path):
    samples = np.stack([grey(65535, np.uint16), np.full(SHAPE, 65535, np.uint16)], -1)
    loaded = load_bytes(tmp_path, png(16, 4, samples), "x.png")
    assert_full_range(loaded)
    assert loaded.notes == ("16-bit values converted to 8 bit",)
    samples[:10, :, 1] = 0
    assert (load_bytes(tmp_path, png(16, 4, samples), "x.png").pixels[:10] == 255).all()


# ---- deep values


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            tiff(grey(4095, np.uint16), 12, packed=True),
            "12-bit values converted to 8 bit, 0 is black, 4095 white",
        ),
        (tiff(grey(1023, np.uint16), 10), "10-bit values converted to 8 bit, 0 is black, 1023 white"),
        (tiff(grey(4095, np.uint16), 12), "12-bit values converted to 8 bit, 0 is black, 4095 white"),
        (tiff(grey(16383, np.uint16), 14), "14-bit values converted to 8 bit, 0 is black, 16383 white"),
        (tiff(grey(65535, np.uint16), 16), "16-bit values converted to 8 bit, 0 is black, 65535 white"),
        (tiff(grey(4095, np.uint16), 16), "0 is black, 4095 white"),
        (tiff(grey(1023, np.uint16), 16), "0 is black, 1023 white"),
        (tiff(65535 - grey(65535, np.uint16), 16, photometric=0), "65535 is black, 0 white"),
        (tiff(grey(70000, np.int32) - 35000, 32, 2), "-35000 is black, 35000 white"),
        (tiff(grey(2**32 - 1, np.uint32), 32, 1), "0 is black, 4.29497e+09 white"),
        (tiff(grey(1, np.int16) * 500 - 7, 16, 2), None),
        (tiff(grey(1, np.float32), 32, 3), "float values converted to 8 bit, 0 is black, 1 white"),
        (tiff(grey(5e6, np.float32) - 2e6, 32, 3), "-2e+06 is black, 3e+06 white"),
        (tiff(grey(1e-3, np.float32) - 1, 32, 3), "-1 is black, -0.999 white"),
        (b"P5 30 20 4095\n" + grey(4095, ">u2").tobytes(), "0 is black, 65535 white"),
        (png(16, 0, grey(65535, np.uint16)), "0 is black, 65535 white"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_deep_values_fill_the_range(tmp_path, content, words):
    loaded = load_bytes(tmp_path, content)
    if words is None:  # two values
        assert set(np.unique(loaded.pixels)) == {0, 255}
    else:
        assert_full_range(loaded)
        assert loaded.notes[0].endswith(words)


def test_depths_that_are_not_read_are_one_line(tmp_path):
    for content in (
        tiff(grey(1023, np.uint16), 10, packed=True),
        tiff(grey(1, np.float64), 64, 3),
        tiff(grey(9, np.uint16), 11),
    ):
        with pytest.raises(HscError, match="convert it"):
            load_bytes(tmp_path, content)


def test_floats_from_0_to_1_stay_as_they_are(tmp_path):
    values = grey(0.5, np.float32) + 0.25
    loaded = load_bytes(tmp_path, tiff(values, 32, 3))
    np.testing.assert_array_equal(loaded.pixels[..., 0], np.rint(values * 255))


@pytest.mark.parametrize("value", [0, 300, -2.5, 1e30])
def test_all_one_value_is_an_image(tmp_path, value):
    for content in (
        tiff(np.full(SHAPE, value, np.float32), 32, 3),
        tiff(np.full(SHAPE, int(min(value, 9999)), np.int32), 32, 2),
    ):
        loaded = load_bytes(tmp_path, content)
        assert len(np.unique(loaded.pixels)) == 1 and loaded.notes


def test_values_that_are_not_finite_are_counted(tmp_path):
    values = grey(100, np.float32)
    values[3, :3] = np.nan, np.inf, -np.inf
    loaded = load_bytes(tmp_path, tiff(values, 32, 3))
    assert loaded.pixels[3, :3, 0].tolist() == [0, 255, 0]
    assert loaded.pixels[0, 0] == 0 and loaded.pixels[-1, -1] == 255
    assert loaded.notes == ("float values converted to 8 bit, 0 is black, 100 white, 3 are not finite",)
    with pytest.raises(HscError, match="no value is finite"):
        load_bytes(tmp_path, tiff(np.full(SHAPE, np.nan, np.float32), 32, 3))


def test_a_dark_deep_picture_is_said_to_be_dark(tmp_path):
    for content in (
        png(16, 0, grey(3000, np.uint16)),
        png(16, 2, grey(3000, np.uint16)[..., None].repeat(3, 2)),
    ):
        (note,) = load_bytes(tmp_path, content).notes
        assert "dark picture: nothing is above" in note


# ---- colour models, several pictures


def test_other_colour_models_are_noted(tmp_path):
    loaded = load(tmp_path, images.picture(ramp()).convert("CMYK"), "x.jpg", quality=95)
    assert loaded.pixels.shape == (40, 60, 3) and loaded.notes == ("CMYK colours converted to RGB",)
    loaded = load(tmp_path, images.picture(ramp()).convert("LAB"), "x.tif")
    assert np.abs(loaded.pixels.astype(int) - ramp()).mean() < 30 and loaded.notes == (
        "LAB colours converted to RGB",
    )


def test_several_pictures(tmp_path):
    frames = [images.picture(ramp()), images.picture(ramp()[::-1].copy())]
    several = {"save_all": True, "append_images": frames[1:]}
    loaded = load(tmp_path, frames[0], "x.gif", **several)
    assert np.abs(loaded.pixels.astype(int) - ramp()).mean() < 20
    assert loaded.notes == ("first frame of an animation of 2",)
    loaded = load(tmp_path, frames[0], "x.tif", **several)
    np.testing.assert_array_equal(loaded.pixels, ramp())
    assert loaded.notes == ("one of the 2 pictures in the file",)


# ---- folders and pipes


def test_folders_give_their_images_in_order(tmp_path):
    names = (
        "b.png",
        "a.jpg",
        "C.TIF",
        "c.txt",
        "._a.png",
        ".hidden.jpg",
        "film.mpg",
        "text.pdf",
        "figure.eps",
        "data.h5",
    )
    for name in names:
        images.picture(ramp()).save(tmp_path / name, "PNG")
    (tmp_path / "folder.png").mkdir()
    told = []
    assert [p.name for p in images.find([tmp_path], told.append)] == ["C.TIF", "a.jpg", "b.png"]
    (line,) = told
    assert line.endswith("7 of 10 files are hidden or no images, left out")


def test_folders_without_images(tmp_path):
    empty, file = tmp_path / "empty", tmp_path / "x.png"
    empty.mkdir()
    images.picture(ramp()).save(file)
    assert images.find([empty, file, tmp_path / "missing.png"]) == [empty, file, tmp_path / "missing.png"]
    with pytest.raises(HscError, match="no image in folder"):
        images.load(empty)
    with pytest.raises(HscError, match="no image in folder"):
        images.find([empty, empty])


def test_names_that_cannot_be(tmp_path):
    for path, word in (
        (tmp_path / ("x" * 300), "name too long"),
        (tmp_path / "a\0b", "null"),
        (tmp_path / "none.png", "no such file"),
    ):
        assert images.find([path]) == [path]
        with pytest.raises(HscError, match=f"(?i){word}"):
            images.load(path)


def test_a_pipe_is_read(tmp_path):
    reader, writer = os.pipe()
    content = io.BytesIO()
    images.picture(ramp()).save(content, "PNG")
    thread = threading.Thread(target=lambda: os.write(writer, content.getvalue()) and os.close(writer))
    thread.start()
    np.testing.assert_array_equal(images.load(images.Path(f"/dev/fd/{reader}")).pixels, ramp())
    thread.join()
    os.close(reader)


# ---- bad files


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_damaged_files_give_hsc_errors_only(data, tmp_path_factory):
    kind = data.draw(
        st.sampled_from(
            ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "HEIF", "PPM", "float", "deep", "LA"]
        )
    )
    buffer = io.BytesIO()
    if kind in ("float", "deep", "LA"):
        raw = {
            "float": lambda: tiff(grey(9, np.float32), 32, 3),
            "deep": lambda: tiff(grey(4095, np.uint16), 12, packed=True),
            "LA": lambda: png(16, 4, np.stack([grey(65535, np.uint16)] * 2, -1)),
        }[kind]()
    else:
        images.find([images.Path("x")])
        images.picture(ramp(20, 20)).save(buffer, kind)
        raw = buffer.getvalue()
    raw = bytearray(raw)
    for position, value in data.draw(
        st.lists(st.tuples(st.integers(0, len(raw) - 1), st.integers(0, 255)), min_size=1, max_size=12)
    ):
        raw[position] = value
    assert_image_or_one_line(
        tmp_path_factory.mktemp("damaged") / "x.img", raw[: data.draw(st.integers(0, len(raw)))]
    )


_STARTS = [
    b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"GIF89a", b"BM", b"RIFF\0\0\0\0WEBP",
    b"P6 ", b"Pf\n", b"%!PS", b"\0\0\0\x18ftypheic", b"\0\0\0\x18ftypavif", b"\0\0\1\0", b"8BPS\0\1",
    b"\x89HDF\r\n\x1a\n", b"\0\0\1\xb3",
]  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(
    start=st.sampled_from(_STARTS),
    rest=st.binary(max_size=300),
    suffix=st.sampled_from([".png", ".tif", ".heic", ".eps", ".mpg", ""]),
)
def test_any_bytes_give_hsc_errors_only(start, rest, suffix, tmp_path_factory):
    assert_image_or_one_line(tmp_path_factory.mktemp("any") / f"x{suffix}", start + rest)


def assert_image_or_one_line(path, content: bytes) -> None:
    path.write_bytes(content)
    try:
        pixels = images.load(path).pixels
    except HscError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert pixels.dtype == np.uint8
        assert pixels.shape[2] in (1, 3)
