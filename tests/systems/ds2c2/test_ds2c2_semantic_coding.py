"""The semantic map as bytes: exact for any map, small for maps as they are, and safe against any bytes."""

import numpy as np
import pytest
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.systems.ds2c2 import semantic_coding
from gnuradio.hsc.systems.ds2c2.base_network import CLASSES
from hypothesis import given, settings
from hypothesis import strategies as st

GOLDEN = "2f37f86effb6012f9c580e2f0b"


def stripes(height, width):
    """Three classes in wavy bands."""
    row, column = np.mgrid[:height, :width]
    return (((row + 3 * np.sin(column / 7)) // (height / 3)).astype(np.int64)).clip(0, 2) * 4


@given(st.integers(1, 20), st.integers(1, 20), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_round_trip_is_exact(height, width, seed):
    labels = np.random.default_rng(seed).integers(0, CLASSES, (height, width))
    assert np.array_equal(semantic_coding.decode(semantic_coding.encode(labels), height, width), labels)


def test_a_map_of_large_areas_costs_little():
    labels = stripes(60, 90)
    bits = 8 * len(semantic_coding.encode(labels))
    assert bits < 0.15 * labels.size * np.log2(CLASSES)


def test_golden_bytes():
    """What is on the air must not change."""
    assert semantic_coding.encode(stripes(6, 9)).hex() == GOLDEN


@given(st.binary(max_size=60), st.integers(1, 12), st.integers(1, 12))
@settings(max_examples=80, deadline=None)
def test_any_bytes_are_a_map_or_one_clear_line(data, height, width):
    try:
        labels = semantic_coding.decode(data, height, width)
    except HscError as error:
        assert "\n" not in str(error)
        return
    assert labels.shape == (height, width) and ((labels >= 0) & (labels < CLASSES)).all()


def test_an_impossible_size_is_refused():
    for size in ((0, 4), (4, 1 << 20)):
        with pytest.raises(HscError, match="impossible"):
            semantic_coding.decode(b"", *size)
