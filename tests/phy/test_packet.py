"""Packet header, splitting and assembling: round trips, losses, and any bytes a radio may deliver."""

from dataclasses import replace

import numpy as np
import pytest
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.phy import digital, qam
from gnuradio.hsc.phy.assembly import MessageAssembler, join
from gnuradio.hsc.phy.crc import crc16
from gnuradio.hsc.phy.departed import MEMORY
from gnuradio.hsc.phy.header import (
    HEADER_BYTES,
    HEADER_SYMBOLS,
    MAX_MESSAGE_SYMBOLS,
    MAX_PACKET_SYMBOLS,
    Header,
    decode_headers,
    encode_header,
    pack,
    unpack,
)
from gnuradio.hsc.phy.packets import ReceivedPacket, assemble, split
from hypothesis import given, settings
from hypothesis import strategies as st

HEADER = Header(
    1, 4711, 2, 7, (512, 768, 3), 20000, 300, (("16QAM-1/2", 5000), ("QPSK-3/4", 1)), bytes(range(8))
)


def received(packets):
    """Packets as an ideal receiver would report them."""
    return [
        ReceivedPacket(p.header, p.symbols, np.full(len(p.symbols), 0.1, np.float32), 10.0) for p in packets
    ]


def message(n_analog, digital_sizes, packet_symbols, seed=0):
    rng = np.random.default_rng(seed)

    def noise(n):
        return (rng.standard_normal(n) + 1j * rng.standard_normal(n)).astype(np.complex64)

    streams = [(noise(digital.symbol_count(n, "16QAM-1/2")), "16QAM-1/2", n) for n in digital_sizes]
    return assemble(1, 9, (64, 64, 3), b"xyz", noise(n_analog), 77, streams, packet_symbols)


def test_header_round_trip():
    assert unpack(pack(HEADER)) == HEADER
    assert len(pack(HEADER)) == HEADER_BYTES


def test_header_survives_as_symbols_at_3_db():
    rng = np.random.default_rng(1)
    sent = encode_header(HEADER)
    assert sent.shape == (HEADER_SYMBOLS,)
    variance = 10**-0.3
    noisy = sent + (variance / 2) ** 0.5 * (rng.standard_normal((50, len(sent), 2)) @ [1, 1j])
    llr = qam.demodulate(noisy.ravel().astype(np.complex64), variance, 1).reshape(50, -1)
    assert decode_headers(llr) == [HEADER] * 50


@pytest.mark.parametrize(
    "change",
    [
        {"shape": (0, 5, 3)},
        {"shape": (5, 5, 2)},
        {"shape": (1 << 15, 5, 3)},
        {"parameters": bytes(9)},
        {"digital": (("QPSK-1/2", 1),) * 3},
        {"analog_symbols": MAX_MESSAGE_SYMBOLS + 1},
    ],
)
def test_impossible_headers_are_refused_by_the_transmitter(change):
    with pytest.raises(HscError):
        pack(replace(HEADER, **change))


@settings(max_examples=300, deadline=None)
@given(st.binary(min_size=HEADER_BYTES - 2, max_size=HEADER_BYTES - 2))
def test_any_bytes_with_a_right_crc_give_a_bounded_header_or_none(body):
    header = unpack(body + crc16(body).to_bytes(2, "big"))
    if header is not None:
        assert header.index < header.count
        assert 0 <= header.payload_symbols <= MAX_PACKET_SYMBOLS
        assert header.message_symbols <= MAX_MESSAGE_SYMBOLS


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=80))
def test_any_bytes_are_parsed_without_an_exception(data):
    assert unpack(data) is None or len(data) == HEADER_BYTES


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 3000),
    st.lists(st.integers(1, 900), max_size=2),
    st.integers(50, 5000),
    st.randoms(use_true_random=False),
)
def test_split_and_join_in_any_order_restore_every_symbol(n_analog, sizes, packet_symbols, random):
    sent = message(n_analog, sizes, packet_symbols)
    packets = received(split(sent))
    assert sum(len(p.symbols) for p in packets) == sent.header.message_symbols
    random.shuffle(packets)
    assembler = MessageAssembler()
    out = [m for p in packets for m in assembler.push(p)]
    assert len(out) == 1 and out[0].complete
    for (symbols, variance), original in zip(out[0].streams, sent.streams, strict=True):
        np.testing.assert_array_equal(symbols, original)
        assert np.all(variance == np.float32(0.1))


def test_no_snr_is_too_large_for_a_mean():
    """A block of somebody else's may say anything."""
    packets = [replace(each, snr_db=4000.0) for each in received(split(message(100, [], 1000)))]
    assert join(packets).snr_db == pytest.approx(200)


def test_a_lost_packet_is_a_sprinkling_of_erasures_and_whole_blocks():
    sent = message(8000, [4000], 1000)
    packets = received(split(sent))
    del packets[3]
    got = join(packets)
    lost = np.flatnonzero(np.isinf(got.streams[0][1]))
    expected = sent.header.slices(3)
    assert len(lost) == expected[0].stop - expected[0].start
    assert np.diff(lost).max() < 5 * 8000 / len(lost)  # no hole much wider than the mean spacing
    lost_digital = np.flatnonzero(np.isinf(got.streams[1][1]))
    size = digital.symbols_per_block("16QAM-1/2")
    assert len(lost_digital) % size == 0 and lost_digital[0] % size == 0
    kept = np.isfinite(got.streams[1][1])
    np.testing.assert_array_equal(got.streams[1][0][kept], sent.streams[1][kept])


def test_assembler_gives_each_message_once_and_counts_late_and_double_packets():
    sent = message(3000, [], 1000)
    packets = received(split(sent))
    assembler = MessageAssembler()
    assert assembler.push(packets[0]) == [] and assembler.push(packets[0]) == []
    assert assembler.duplicates == 1
    partial = assembler.flush()
    assert len(partial) == 1 and partial[0].packets == (0,) and not partial[0].complete
    assert assembler.push(packets[1]) == [] and assembler.late == 1
    assert assembler.flush() == []


def test_assembler_expires_on_the_sample_clock_and_bounds_open_messages():
    first = received(split(message(3000, [], 1000)))[0]
    assembler = MessageAssembler(max_open=2)
    assembler.push(replace(first, sample_index=1000))
    assert assembler.expire(5999, 5000) == []
    assert len(assembler.expire(6001, 5000)) == 1
    others = [replace(first, header=replace(first.header, message_id=i)) for i in range(100, 110)]
    left = [m for p in others for m in assembler.push(p)]
    assert len(left) == 8


def test_a_restarted_transmitter_may_use_a_message_id_again():
    """The same layout with other content: told apart by what a packet holds while the message is open, by the
    sample clock later.
    """
    first, second = message(3000, [], 500, seed=1), message(3000, [], 500, seed=2)
    assert first.header == second.header and first.header.count == 6
    assembler = MessageAssembler()
    out = [m for p in received(split(first))[2:4] + received(split(second)) for m in assembler.push(p)]
    assert [m.packets for m in out] == [
        (2, 3),
        (0, 1, 2, 3, 4, 5),
    ] and assembler.duplicates == assembler.late == 0
    assert np.array_equal(out[1].streams[0][0], second.streams[0])
    third = message(3000, [], 500, seed=3)
    soon, later = (
        [replace(p, sample_index=index) for p in received(split(third))] for index in (MEMORY, MEMORY + 1)
    )
    assert [m for p in soon for m in assembler.push(p)] == [] and assembler.late == 6
    (again,) = [m for p in later for m in assembler.push(p)]
    assert np.array_equal(again.streams[0][0], third.streams[0])


def test_a_repeated_packet_is_a_duplicate_even_at_0_db():
    rng = np.random.default_rng(5)
    assembler = MessageAssembler()
    for p in received(split(message(3000, [], 500)))[:1] * 40:
        noise = rng.standard_normal((len(p.symbols), 2)) @ [1, 1j] / np.sqrt(2)
        variance = np.ones(len(p.symbols), np.float32)
        assert (
            assembler.push(
                replace(p, symbols=(p.symbols + noise).astype(np.complex64), noise_variance=variance)
            )
            == []
        )
    assert assembler.duplicates == 39
