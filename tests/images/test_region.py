"""Regions of interest: their pixels, and the lines around them."""

import numpy as np
from gnuradio.hsc.images.region import BLOCK, inside, outline
from hypothesis import given, settings
from hypothesis import strategies as st


def edges(region):
    """Unit edges between inside and outside, cell by cell: a set of x₀, y₀, x₁, y₁."""
    found = set()
    for y, x in np.argwhere(region).tolist():
        if y == 0 or not region[y - 1, x]:
            found.add((x, y, x + 1, y))
        if y == len(region) - 1 or not region[y + 1, x]:
            found.add((x, y + 1, x + 1, y + 1))
        if x == 0 or not region[y, x - 1]:
            found.add((x, y, x, y + 1))
        if x == len(region[0]) - 1 or not region[y, x + 1]:
            found.add((x + 1, y, x + 1, y + 1))
    return found


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_lines_around_a_region_are_its_edges(height, width, seed):
    region = np.random.default_rng(seed).random((height, width)) < 0.5
    drawn = []
    for left, top, right, bottom in (outline(region, (BLOCK * height, BLOCK * width)) // BLOCK).tolist():
        drawn += [(x, top, x + 1, top) for x in range(left, right)]
        drawn += [(left, y, left, y + 1) for y in range(top, bottom)]
    assert len(drawn) == len(set(drawn)) and set(drawn) == edges(region)


def test_a_region_of_a_huge_image_is_drawn_in_few_lines():
    region = np.random.default_rng(1).random((2048, 1000)) < 0.5
    lines = outline(region, (BLOCK * 2048, BLOCK * 1000))
    assert len(lines) < 20_000 and lines.max() <= BLOCK * 2048


def test_the_last_blocks_may_stick_out_of_an_image():
    region = np.ones((2, 3), bool)
    assert outline(region, (13, 18)).max(0).tolist() == [18, 13, 18, 13]
    region[0] = False
    assert inside(region, (13, 18)).sum() == 5 * 18 and not inside(region, (13, 18))[:BLOCK].any()
