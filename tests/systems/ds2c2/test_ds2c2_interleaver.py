"""The lattice interleaver: equal blocks, and what a lost block takes from a neighbourhood."""

import numpy as np
import pytest
from gnuradio.hsc.systems.ds2c2.interleaver import block_of, block_sizes, steps

GOLDEN_STEPS = [(0, 0), (1, 1), (1, 4), (1, 8), (20, 65)]
GOLDEN_BLOCKS = [0, 2, 4, 1, 1, 3, 0, 0, 2, 4, 1, 3, 1, 3, 0, 2, 2, 4, 1, 3, 3, 0, 2, 4]
PLACES = np.mgrid[:3, :3].reshape(2, 9)


@pytest.mark.parametrize("channels", [8, 16, 34, 64, 120])
def test_a_neighbourhood_loses_its_share(channels):
    """Whatever N an image of 256² to 1024² has, in blocks of 40 to 1056 bytes."""
    numbers = range(2, 401) if channels == 16 else (*range(2, 26), 77, 113, 200, 307, 399, 400, 9375)
    for blocks in numbers:
        b, d = steps(channels, blocks)
        first = (b * PLACES[0] + d * PLACES[1]) % blocks
        assert np.bincount(first).max() == -(-9 // blocks), blocks
        all_channels = (first[:, None] + np.arange(channels)) % blocks
        assert np.bincount(all_channels.ravel()).max() <= -(-9 * channels // blocks) + 1, blocks


@pytest.mark.parametrize("shape", [(16, 64, 96), (34, 32, 32), (120, 24, 40), (8, 5, 7)])
@pytest.mark.parametrize("blocks", [1, 2, 3, 12, 24, 113, 400])
def test_blocks_are_equal_to_within_one(shape, blocks):
    block = block_of(*shape, blocks)
    assert block.shape == shape and block.dtype == np.int64
    sizes = np.bincount(block.ravel(), minlength=blocks)
    np.testing.assert_array_equal(sizes, block_sizes(block.size, blocks))
    assert sizes.sum() == block.size and sizes.max() - sizes.min() <= 1 and (np.diff(sizes) <= 0).all()


def test_few_elements_leave_the_lattice_and_not_side_by_side():
    moved = {}
    for blocks in (12, 93, 307):
        b, d = steps(16, blocks)
        channel, i, j = np.ogrid[:16, :64, :96]
        moved[blocks] = block_of(16, 64, 96, blocks) != (channel + b * i + d * j) % blocks
        assert moved[blocks].mean() < 0.01
    scattered = moved[307]
    assert scattered.any((1, 2)).all()
    assert (scattered[:, :, 1:] & scattered[:, :, :-1]).sum() < 0.1 * scattered.sum()


def test_16_percent_of_blocks_is_16_percent_everywhere():
    """The loss of each 3 × 3 neighbourhood of all channels, by the interleaver and without one."""
    lost = np.random.default_rng(1).permutation(100) < 16
    worst = {}
    for name, block in (
        ("lattice", block_of(16, 64, 96, 100)),
        ("none", (np.arange(16 * 64 * 96) * 100 // (16 * 64 * 96)).reshape(16, 64, 96)),
    ):
        gone = lost[block].mean(0)
        shares = np.lib.stride_tricks.sliding_window_view(gone, (3, 3)).mean((2, 3))
        assert shares.mean() == pytest.approx(0.16, abs=0.01)
        worst[name] = np.abs(shares - 0.16).max()
    assert worst["lattice"] < 0.06 and worst["none"] > 0.1


def test_both_ends_agree():
    """Golden values: what is on the air must not change."""
    assert [steps(16, blocks) for blocks in (1, 2, 12, 24, 307)] == GOLDEN_STEPS
    np.testing.assert_array_equal(block_of(2, 3, 4, 5).ravel(), GOLDEN_BLOCKS)
