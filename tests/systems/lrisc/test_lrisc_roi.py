"""Regions of interest: rectangles and masks, their bytes, and what a receiver makes of any bytes."""

import tracemalloc
import zlib

import numpy as np
import pytest
from gnuradio.hsc.coding.activity import OCTAVE
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.systems.lrisc import roi
from gnuradio.hsc.systems.lrisc.roi import Region
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

SIZE = (8, 12)
SHAPE = (60, 90, 3)
sizes = st.tuples(st.integers(1, 9), st.integers(1, 9)).map(lambda size: (4 * size[0], 4 * size[1]))
corners = st.integers(0, 65535)
rectangles = st.lists(st.tuples(corners, corners, corners, corners), min_size=1, max_size=254)


# ---- the option


@pytest.mark.parametrize(
    ("text", "rows", "columns"),
    [
        ("0,0,1,1", (0, 1), (0, 1)),
        ("8,16,8,16", (2, 4), (1, 2)),
        ("7,15,10,18", (1, 5), (0, 3)),  # a token that is touched is inside
        (" 8, 16, 8, 16 ;", (2, 4), (1, 2)),
        ("80,50,1000,1000", (6, 8), (10, 12)),  # cut at the edge, not refused
    ],
)
def test_rectangles_are_pixels_across_and_down(text, rows, columns):
    wanted = np.zeros(SIZE, bool)
    wanted[slice(*rows), slice(*columns)] = True
    assert np.array_equal(roi.read(text, SHAPE, SIZE, 4.0).tokens, wanted)


def test_several_rectangles_are_one_region():
    one, other = (roi.read(text, SHAPE, SIZE, 2.0) for text in ("0,0,20,20", "10,10,40,40"))
    both = roi.read("0,0,20,20;10,10,40,40", SHAPE, SIZE, 2.0)
    assert np.array_equal(both.tokens, one.tokens | other.tokens)
    assert len(both.pack()) == 2 + 2 * 8


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_mask_image_is_the_region_where_it_is_bright(tmp_path, mode):
    mask = np.zeros(SHAPE[:2], np.uint8)
    mask[3, 3], mask[59, 89], mask[20:30, 40:50], mask[50, 5] = 255, 255, 128, 127
    Image.fromarray(mask).convert(mode).save(tmp_path / "mask.png")
    region = roi.read(str(tmp_path / "mask.png"), SHAPE, SIZE, 4.0)
    wanted = np.zeros(SIZE, bool)
    wanted[0, 0], wanted[7, 11], wanted[2:4, 5:7] = True, True, True
    assert np.array_equal(region.tokens, wanted) and not region.rectangles


@pytest.mark.parametrize("text", ["1,2,3", "1,2,3,4,5", "", ";", "0,0,1,1;5"])
def test_what_is_no_rectangle_is_refused(text):
    with pytest.raises(HscError, match="not x,y,w,h: give four whole numbers"):
        roi.read(text, SHAPE, SIZE, 4.0)


@pytest.mark.parametrize("text", ["-1,0,5,5", "0,-1,5,5", "0,0,0,5", "0,0,5,-3", "90,0,5,5", "0,60,5,5"])
def test_a_rectangle_outside_is_refused(text):
    with pytest.raises(HscError, match="does not lie in the image of 90 x 60 pixels"):
        roi.read(text, SHAPE, SIZE, 4.0)


def test_masks_that_cannot_be_used_are_refused_in_a_line(tmp_path):
    Image.fromarray(np.zeros((20, 30), np.uint8)).save(tmp_path / "small.png")
    (tmp_path / "text.png").write_text("no picture")
    for path, says in (
        (tmp_path / "small.png", "the mask small.png has 30 x 20 pixels and the image 90 x 60"),
        (tmp_path / "text.png", "text.png"),
        (tmp_path / "absent.png", "absent.png"),
        (tmp_path, "no image in folder"),
        ("x" * 5000, "cannot be read"),
    ):
        with pytest.raises(HscError, match=says) as error:
            roi.read(str(path), SHAPE, SIZE, 4.0)
        assert "\n" not in str(error.value)


def test_weights_are_octaves_of_power():
    region = roi.read("8,16,8,16", SHAPE, SIZE, 4.0)
    log_weight = region.log_weight().numpy()
    assert log_weight.dtype == np.int64
    assert set(log_weight[region.tokens]) == {4 * OCTAVE} and not log_weight[~region.tokens].any()
    for weight in (1.0, 1.5, 3.0, 8.0):
        told = roi.unpack(roi.read("0,0,9,9", SHAPE, SIZE, weight).pack(), SIZE)[0]
        assert abs(told.log_weight().max() / (2 * OCTAVE) - np.log2(weight)) <= 1 / 16


# ---- bytes


@given(sizes.flatmap(lambda size: arrays(bool, size)), st.integers(1, 24), st.binary(max_size=20))
@settings(deadline=None)
def test_maps_come_back_with_what_stands_behind(tokens, weight, behind):
    found, rest = roi.unpack(Region(tokens, weight).pack() + behind, tokens.shape)
    assert rest == behind and np.array_equal(found.tokens, tokens)
    assert found.weight == weight or not tokens.any()


@given(sizes, rectangles, st.integers(1, 24), st.binary(max_size=20))
@settings(deadline=None)
def test_rectangles_come_back_with_what_stands_behind(size, corners, weight, behind):
    region = roi.of_rectangles(corners, size, weight)
    found, rest = roi.unpack(region.pack() + behind, size)
    assert rest == behind and np.array_equal(found.tokens, region.tokens)
    if region.tokens.any():
        assert (found.weight, found.rectangles) == (weight, region.rectangles)


def test_a_region_without_weight_or_tokens_costs_a_byte():
    everywhere = np.ones(SIZE, bool)
    for region in (Region.none(SIZE), Region(everywhere, 0), Region(~everywhere, 24)):
        assert region.pack() == b"\0"
        assert not roi.unpack(region.pack() + b"y", SIZE)[0].log_weight().any()


def test_many_rectangles_go_as_a_map():
    region = roi.of_rectangles([(0, 0, 2, 3)] * 255, SIZE, 8)
    found, rest = roi.unpack(region.pack(), SIZE)
    assert not rest and not found.rectangles and np.array_equal(found.tokens, region.tokens)


@given(st.binary(max_size=300), sizes)
@settings(max_examples=300, deadline=None)
def test_any_bytes_give_a_region_or_an_error(data, size):
    try:
        region, rest = roi.unpack(data, size)
    except HscError as error:
        assert "\n" not in str(error)
    else:
        assert region.tokens.shape == size and data.endswith(rest)
        assert 0 <= int(region.log_weight().max()) <= 255 * 2 * OCTAVE // 8


@given(st.binary(max_size=60), st.integers(0, 255), sizes)
@settings(max_examples=100, deadline=None)
def test_any_inflated_map_gives_a_region_or_an_error(packed, weight, size):
    data = zlib.compress(packed)
    whole = bytes([255, weight]) + len(data).to_bytes(3, "big") + data
    for cut in (len(whole), len(whole) - 1, 7):
        try:
            region, _ = roi.unpack(whole[:cut], size)
        except HscError:
            assert cut < len(whole) or len(packed) < -(-size[0] * size[1] // 8)
        else:
            assert np.array_equal(np.packbits(region.tokens)[:1] & 0x80, [packed[0] & 0x80])


def test_a_map_that_unpacks_to_gigabytes_is_stopped():
    bomb = zlib.compress(bytes(1 << 26), 9)
    data = bytes([255, 8]) + len(bomb).to_bytes(3, "big") + bomb
    tracemalloc.start()
    try:
        region, rest = roi.unpack(data, SIZE)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert not region.tokens.any() and not rest and peak < 1 << 18
