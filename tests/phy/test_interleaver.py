"""Permutations are permutations, spread neighbours and losses, and never change; the PN sequence is a maximum
length sequence.
"""

import zlib

import numpy as np
import pytest
from gnuradio.hsc.phy import interleaver


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5, 6, 7, 60, 624, 672, 1000, 65_537, (1 << 20) + 4])
def test_is_a_permutation(n):
    order = interleaver.permutation(n)
    assert order.dtype == np.int32
    assert np.array_equal(np.sort(order), np.arange(n))
    assert np.array_equal(order[interleaver.inverse(order)], np.arange(n))


def test_part_of_the_air_interface():
    """Frozen values: a change breaks every receiver in the field."""
    assert interleaver.permutation(672)[:5].tolist() == [0, 415, 158, 573, 316]
    assert zlib.crc32(interleaver.permutation(59_999).astype("<i4").tobytes()) == 0x0BD57A56
    assert zlib.crc32(interleaver.bit_permutation(672, 6).astype("<i4").tobytes()) == 0x8D31BA61
    assert zlib.crc32(interleaver.pn_bits(40_000).tobytes()) == 0x24613D59


@pytest.mark.parametrize("n", [672, 10_007, 60_000])
@pytest.mark.parametrize("parts", [3, 8, 20])
def test_a_lost_run_is_sprinkled(n, parts):
    """Losing one of `parts` consecutive slices of the output leaves no long gap in the input."""
    order = interleaver.permutation(n)
    for lost in np.array_split(order, parts):
        steps = np.diff(np.sort(lost))
        assert steps.max() <= 3 * parts
        assert steps.min() >= parts / 4


@pytest.mark.parametrize("bits", [1, 2, 4, 6])
def test_bits_of_a_codeword(bits):
    order = interleaver.bit_permutation(672, bits)
    assert np.array_equal(np.sort(order), np.arange(672))
    symbols = order.reshape(-1, bits)
    assert np.array_equal(
        symbols // (672 // bits), np.tile(np.arange(bits), (672 // bits, 1))
    )  # one bit from every slice
    assert np.abs(np.diff(symbols[:, 0])).min() > 30


def test_pn_sequence():
    period = interleaver.pn_bits(interleaver.PN_PERIOD)
    assert period.sum() == 2**14
    assert np.array_equal(period[15:], period[1:-14] ^ period[:-15])  # b[i] = b[i-14] ^ b[i-15]
    assert np.array_equal(interleaver.pn_bits(100, start=interleaver.PN_PERIOD + 3), period[3:103])
    assert np.array_equal(interleaver.pn_bits(70_000, 5)[32_767 : 2 * 32_767], interleaver.pn_bits(32_767, 5))
    signs = interleaver.pn_signs(interleaver.PN_PERIOD)
    for shift in (1, 2, 100, 5000):
        assert np.dot(signs, np.roll(signs, shift)) == pytest.approx(-1)  # two-valued autocorrelation
    assert interleaver.pn_bits(0).shape == (0,)
