"""Digital streams: round trips, error rates at the table's thresholds, lost symbols, fuzzed input."""

import numpy as np
import pytest
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.phy import crc, digital, mcs
from gnuradio.hsc.phy.code_blocks import code_blocks
from hypothesis import given, settings
from hypothesis import strategies as st

# All of 802.11ad, and of 5G NR some of every modulation: its tests are in test_nr.py.
WIGIG = [name for name, entry in mcs.TABLE.items() if entry.code == "802.11ad"]
NAMES = [*WIGIG, *[name for name, entry in mcs.TABLE.items() if entry.code == "nr"][::9]]


def through_awgn(rng, symbols, snr_db):
    variance = 10 ** (-snr_db / 10)
    return symbols + np.sqrt(variance / 2) * (
        rng.standard_normal(len(symbols)) + 1j * rng.standard_normal(len(symbols))
    ), variance


@pytest.mark.parametrize("name", NAMES)
def test_round_trip_of_every_length(name):
    rng = np.random.default_rng(1)
    size = digital.payload_bytes_per_block(name)
    for length in (0, 1, size - 1, size, size + 1, 1000):
        data = rng.bytes(length)
        symbols = digital.modulate(data, name)
        assert symbols.dtype == np.complex64
        assert len(symbols) == digital.symbol_count(length, name)
        if name in WIGIG:
            assert len(symbols) == -(-length // size) * 672 // mcs.by_name(name).bits_per_symbol
        received = digital.demodulate(symbols, 0.01, length, name)
        assert received.data == data
        assert received.complete
        assert received.received.shape == (length,)
        assert received.received.all()


def test_block_is_what_the_documentation_says():
    """Unscramble, deinterleave and parse one noiseless block by hand."""
    from gnuradio.hsc.phy import interleaver, ldpc

    payload = bytes(range(50))
    symbols = digital.modulate(payload, "BPSK-5/8")
    scrambled = (symbols.real > 0).astype(np.uint8)
    word = np.empty(672, dtype=np.uint8)
    word[interleaver.bit_permutation(672, 1)] = scrambled ^ interleaver.pn_bits(672)
    assert not (ldpc.code("5/8").parity_check_matrix.astype(int) @ word % 2).any()
    assert np.packbits(word[:400]).tobytes() == payload
    assert not word[400:404].any()
    assert int.from_bytes(np.packbits(word[404:420]).tobytes(), "big") == crc.crc16(payload)


@pytest.mark.parametrize("name", NAMES)
def test_thresholds(name):
    """At the table's threshold about one block in a hundred is lost or fewer; 1 dB below, many. Of 5G NR,
    whose losses rise faster, one code block in fifty at most 0.1 dB above it, and many 0.6 dB below.
    """
    rng = np.random.default_rng(2)
    threshold = mcs.by_name(name).threshold_db
    wigig, most = name in WIGIG, code_blocks(mcs.by_name(name)).most
    count = 2000 if wigig else 50 * most
    data = rng.bytes(count * digital.payload_bytes_per_block(name))
    symbols = digital.modulate(data, name)
    lost = []
    for snr_db in (threshold, threshold - 1) if wigig else (threshold + 0.1, threshold - 0.6):
        received = digital.demodulate(*through_awgn(rng, symbols, snr_db), len(data), name)
        lost.append(len(received.lost_blocks) / count)
        truth = np.frombuffer(data, dtype=np.uint8)
        assert np.array_equal(
            np.frombuffer(received.data, dtype=np.uint8)[received.received], truth[received.received]
        )
    assert lost[0] <= 0.02
    assert lost[1] > (0.06 if wigig else 0.3)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in WIGIG])
def test_a_stream_of_5g_nr_is_whole_within_its_margin(name):
    """That of a long stream is less than that of a short one, whose code blocks are short."""
    rng = np.random.default_rng(3)
    size, of_block = digital.payload_bytes_per_block(name), digital.symbols_per_block(name)
    data = rng.bytes(300 * size)
    margin = digital.margin_db(300 * of_block, name)
    assert 0 < margin < digital.margin_db(16 * of_block, name) <= 1.05
    snr_db = mcs.by_name(name).threshold_db + margin
    symbols = digital.modulate(data, name)
    assert digital.demodulate(*through_awgn(rng, symbols, snr_db), len(data), name).complete


def test_exact_llrs_are_no_worse():
    rng = np.random.default_rng(3)
    data = rng.bytes(400 * 40)
    received, variance = through_awgn(
        rng, digital.modulate(data, "64QAM-1/2"), mcs.by_name("64QAM-1/2").threshold_db - 0.4
    )
    lost = [
        len(digital.demodulate(received, variance, len(data), "64QAM-1/2", exact=exact).lost_blocks)
        for exact in (False, True)
    ]
    assert lost[1] <= lost[0] + 5


def test_lost_packet_names_its_blocks():
    rng = np.random.default_rng(4)
    data = rng.bytes(990)
    symbols, variance = through_awgn(rng, digital.modulate(data, "QPSK-1/2"), 10)
    variance = np.full(len(symbols), variance, dtype=np.float32)
    per_block = digital.symbols_per_block("QPSK-1/2")
    symbols[3 * per_block : 5 * per_block] = 0
    variance[3 * per_block : 5 * per_block] = np.inf
    received = digital.demodulate(symbols, variance, 990, "QPSK-1/2")
    assert received.lost_blocks == (3, 4)
    assert not received.complete
    assert np.array_equal(np.flatnonzero(~received.received), np.arange(120, 200))
    assert received.data[:120] == data[:120]
    assert received.data[120:200] == bytes(80)
    assert received.data[200:] == data[200:]


def test_sprinkled_erasures_are_decoded_through():
    rng = np.random.default_rng(5)
    data = rng.bytes(4000)
    symbols, variance = through_awgn(rng, digital.modulate(data, "QPSK-1/2"), 12)
    variance = np.where(rng.random(len(symbols)) < 0.3, np.inf, variance)
    symbols[np.isinf(variance)] = np.nan
    assert digital.demodulate(symbols, variance, 4000, "QPSK-1/2").data == data


def test_noise_gives_no_block():
    rng = np.random.default_rng(6)
    noise, _ = through_awgn(rng, np.zeros(3000 * 168), 0)
    received = digital.demodulate(noise, 1.0, 3000 * 40, "16QAM-1/2")
    assert len(received.lost_blocks) == 3000
    assert received.data == bytes(3000 * 40)


def test_bad_arguments():
    with pytest.raises(HscError, match="choose one of"):
        digital.modulate(b"x", "8PSK-1/2")
    with pytest.raises(HscError, match="336 symbols, not 335"):
        digital.demodulate(np.zeros(335), 1.0, 3, "QPSK-1/2")
    for length in (-1, digital.LARGEST_STREAM + 1):
        with pytest.raises(HscError, match="bytes"):
            digital.symbol_count(length, "QPSK-1/2")
        with pytest.raises(HscError, match="bytes"):
            digital.demodulate(np.zeros(4), 1.0, length, "QPSK-1/2")


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(list(mcs.TABLE)),
    st.integers(0, 200),
    st.lists(st.complex_numbers(allow_nan=True, allow_infinity=True), min_size=1, max_size=8),
    st.lists(st.floats(), min_size=1, max_size=5),
)
def test_any_symbols_are_survived(name, length, symbols, variances):
    count = digital.symbol_count(length, name)
    with np.errstate(all="ignore"):
        symbols = np.resize(np.array(symbols, dtype=np.complex64), count)
        variances = np.resize(np.array(variances, dtype=np.float32), count)
    received = digital.demodulate(symbols, variances, length, name)
    assert len(received.data) == length == len(received.received)
    assert all(0 <= block < digital.block_count(length, name) for block in received.lost_blocks)
