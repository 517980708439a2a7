"""Symbols to bytes and back, with and without losses, told and not."""

import numpy as np
import pytest
from gnuradio.hsc import channel
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.systems.ds2c2.bits import block_count, byte_count, deinterleave, interleave, pack, unpack
from gnuradio.hsc.systems.ds2c2.interleaver import block_of

GOLDEN = "f00f00"
SHAPES = [(16, 64, 96), (8, 4, 4), (34, 12, 20), (64, 8, 8), (1, 1, 1)]


def random_symbols(shape):
    return np.random.default_rng(1).choice(np.array([-1, 1], np.int8), shape)


def sent(symbols, block_bytes):
    return interleave(pack(symbols), symbols.shape, block_bytes)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("block_bytes", [1, 40, 61, 1056])
def test_round_trip_is_exact(shape, block_bytes):
    symbols = random_symbols(shape)
    data = sent(symbols, block_bytes)
    assert len(data) == byte_count(shape, block_bytes)
    # No more blocks than the bits fill, and no more than the last of these is short.
    assert (
        -(-len(data) // block_bytes)
        == block_count(shape, block_bytes)
        == -(-symbols.size // 8 // block_bytes)
    )
    back, known = deinterleave(data, np.ones(len(data), bool), shape, block_bytes)
    assert back.dtype == np.int8 and known.all()
    np.testing.assert_array_equal(back, symbols)


def test_a_lost_block_takes_its_elements_and_no_others():
    shape, block_bytes = (16, 32, 48), 40
    symbols = random_symbols(shape)
    data = sent(symbols, block_bytes)
    blocks = block_count(shape, block_bytes)
    lost = 17
    received = np.arange(len(data)) // block_bytes != lost
    erased = bytes(np.where(received, np.frombuffer(data, np.uint8), 0).astype(np.uint8))
    back, known = deinterleave(erased, received, shape, block_bytes)
    np.testing.assert_array_equal(~known, block_of(*shape, blocks) == lost)
    np.testing.assert_array_equal(back, np.where(known, symbols, 0))


def test_a_receiver_that_is_not_told_reads_minus_one():
    """The paper's: the ones of an erased block turn to zeros, the zeros stay, and nothing is known of it."""
    shape = (16, 64, 96)
    symbols = random_symbols(shape)
    data = sent(symbols, 1056)
    erased, received = channel.erase_blocks(data, 0.3, 1056, np.random.default_rng(4))
    told, known = deinterleave(erased, received, shape, 1056)
    untold, all_known = deinterleave(erased, received, shape, 1056, told=False)
    assert all_known.all() and not known.all() and set(np.unique(untold)) == {-1, 1}
    np.testing.assert_array_equal(untold, np.where(known, symbols, -1))
    np.testing.assert_array_equal(told, np.where(known, symbols, 0))
    flipped = (untold != symbols).mean()
    assert flipped == pytest.approx((~known & (symbols == 1)).mean()) and 0.05 < flipped < 0.3


@pytest.mark.parametrize("shape", SHAPES)
def test_without_the_interleaver_bits_lie_in_the_latents_order(shape):
    symbols = random_symbols(shape)
    data = pack(symbols)
    received = np.arange(len(data)) != len(data) - 1
    back, known = unpack(data, received, shape)
    last = 8 * (len(data) - 1)
    assert known.ravel()[:last].all() and not known.ravel()[last:].any()
    np.testing.assert_array_equal(back, np.where(known, symbols, 0))
    np.testing.assert_array_equal(unpack(data, received, shape, told=False)[0], symbols)
    with pytest.raises(HscError, match="same channels and MCS"):
        unpack(data + b"0", np.append(received, True), shape)
    with pytest.raises(HscError, match="same channels and MCS"):
        interleave(data + b"0", shape, 40)


@pytest.mark.parametrize(("length", "masked"), [(0, 0), (39, 39), (128, 127), (4096, 4096)])
def test_another_length_is_refused(length, masked):
    with pytest.raises(HscError, match="same channels and MCS"):
        deinterleave(bytes(length), np.ones(masked, bool), (16, 8, 8), 40)


def test_golden_bytes():
    """What is on the air must not change."""
    symbols = np.where(np.arange(2 * 3 * 4).reshape(2, 3, 4) % 3 == 0, 1, -1).astype(np.int8)
    assert sent(symbols, 1).hex() == GOLDEN
