"""Erasure protection: blocks lost anywhere are made good, and what cannot be made good is masked."""

import numpy as np
import pytest
from gnuradio.hsc.coding import erasure
from gnuradio.hsc.coding.protection import Protection
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.message import ReceivedDigital
from gnuradio.hsc.phy import digital
from hypothesis import given, settings
from hypothesis import strategies as st

SIZES = (40, 50, 61, 66)  # payload of a block at the four code rates


def noise(n, seed=0):
    return np.random.default_rng(seed).bytes(n)


def without(data, symbols, size):
    """The stream with some symbols lost."""
    mask = np.ones(len(data), bool)
    for symbol in symbols:
        mask[symbol * size : (symbol + 1) * size] = False
    kept = np.where(mask, np.frombuffer(data, np.uint8), 0).astype(np.uint8)
    return ReceivedDigital(kept.tobytes(), mask, tuple(symbols), size)


@pytest.mark.parametrize("size", SIZES)
def test_systematic_and_as_long_as_promised(size):
    data = noise(2345)
    sent = erasure.protect(data, Protection(0.1), size)
    source = -(-2345 // size)
    assert (
        sent[:2345] == data
        and len(sent) % size == 0
        and len(sent) == erasure.protected_bytes(2345, Protection(0.1), size)
    )
    assert 0.1 <= (len(sent) / size - source) / (len(sent) / size) < 0.1 + 1 / source
    assert (
        erasure.protect(data, Protection(0), size) == data
        and erasure.protected_bytes(2345, Protection(0), size) == 2345
    )


@pytest.mark.parametrize("size", SIZES)
def test_any_lost_blocks_are_made_good(size):
    """As many losses as repair symbols less two, wherever they are: RaptorQ fails once in 10^7 then."""
    data, rng = noise(100 * size - 7), np.random.default_rng(size)
    sent = erasure.protect(data, Protection(0.2), size)
    count = len(sent) // size
    for _ in range(20):
        received = without(sent, rng.choice(count, count - 100 - 2, replace=False), size)
        found, mask = erasure.recover(received, len(data), size)
        assert found == data and mask.all()


def test_failure_probability_without_a_spare_symbol():
    """With exactly K symbols RaptorQ fails about once in 256 (RFC 6330 demands at most 1 %)."""
    data, rng, failed = noise(1000), np.random.default_rng(2), 0
    sent = erasure.protect(data, Protection(0.5), 40)
    for _ in range(400):
        found, mask = erasure.recover(without(sent, rng.choice(50, 25, replace=False), 40), 1000, 40)
        assert not mask.all() or found == data
        failed += not mask.all()
    assert failed <= 10


def test_too_many_losses_leave_what_came_with_its_mask():
    data = noise(1000)
    received = without(erasure.protect(data, Protection(0.1), 40), [0, 3, 7, 20, 24], 40)
    found, mask = erasure.recover(received, 1000, 40)
    assert (~mask).nonzero()[0].tolist() == [i for s in (0, 3, 7, 20, 24) for i in range(40 * s, 40 * s + 40)]
    assert all(found[i] == (data[i] if mask[i] else 0) for i in range(1000))


def test_nothing_lost_needs_no_solving():
    data = noise(999)
    sent = erasure.protect(data, Protection(0.3), 50)
    found, mask = erasure.recover(without(sent, [], 50), 999, 50)
    assert found == data and mask.shape == (999,) and mask.all()
    assert (
        erasure.recover(ReceivedDigital(b"", np.zeros(0, bool)), 0, 50)[0]
        == b""
        == erasure.protect(b"", Protection(0.3), 50)
    )


@pytest.mark.parametrize("mcs", ["QPSK-1/2", "16QAM-5/8", "64QAM-13/16"])
def test_with_ldpc_blocks(mcs):
    """A lost LDPC block is one lost symbol, at every code rate; the stream says how long a block is."""
    size = digital.payload_bytes_per_block(mcs)
    data = noise(30 * size - 3)
    sent = erasure.protect(data, Protection(0.25), size)
    symbols, per_block = digital.modulate(sent, mcs), digital.symbols_per_block(mcs)
    variance = np.full((symbols.size // per_block, per_block), 1e-4, np.float32)
    assert len(variance) == 40
    variance[np.random.default_rng(1).choice(40, 8, replace=False)] = np.inf
    received = digital.demodulate(symbols, variance.ravel(), len(sent), mcs)
    assert received.block_bytes == size and len(received.lost_blocks) == 8
    found, mask = erasure.recover(received, len(data), received.block_bytes)
    assert found == data and mask.all()


@settings(max_examples=150, deadline=None)
@given(
    data=st.binary(max_size=3000),
    source=st.integers(-1, 3100),
    size=st.integers(0, 140),
    seed=st.integers(0, 99),
)
def test_any_received_stream_gives_data_or_one_line(data, source, size, seed):
    """Bytes, lengths and losses may be anything; damaged symbols give damaged data, never more than was asked
    for.
    """
    mask = np.random.default_rng(seed).random(len(data)) < 0.98
    try:
        found, there = erasure.recover(ReceivedDigital(data, mask), source, size)
    except HscError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert len(found) == len(there) == source


def test_a_panic_in_the_package_is_a_loss(monkeypatch):
    class PanicException(BaseException):
        pass

    class Broken:
        @staticmethod
        def with_defaults(*_):
            raise PanicException("index out of bounds")

    sent = without(erasure.protect(noise(400), Protection(0.5), 40), [1], 40)
    monkeypatch.setattr(erasure.raptorq, "Decoder", Broken)
    assert (~erasure.recover(sent, 400, 40)[1]).sum() == 40


def test_wishes_out_of_range():
    for share, size in ((-0.1, 40), (0.95, 40), (float("nan"), 40), (0.1, 0), (0.1, 129)):
        with pytest.raises(HscError, match="give 0|give 1"):
            erasure.protect(b"abc", Protection(share), size)
    with pytest.raises(HscError, match="too many"):
        erasure.protect(bytes(56404), Protection(0.1), 1)
    with pytest.raises(HscError, match="cannot hold"):
        erasure.recover(ReceivedDigital(b"abc", np.ones(3, bool)), 4, 40)
