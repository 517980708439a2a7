"""The ledger counts every channel use once: against burst lengths, and against symbols counted by hand."""

from fractions import Fraction

import numpy as np
import pytest
from gnuradio.hsc.phy import digital, mcs, ofdm
from gnuradio.hsc.phy.header import Header
from gnuradio.hsc.phy.ledger import Ledger
from gnuradio.hsc.phy.numerology import PRESETS
from gnuradio.hsc.phy.packets import Modulated, assemble, split


def message(n_analog: int, streams: list[tuple[str, int]], packet_symbols: int = 700) -> Modulated:
    rng = np.random.default_rng(5)
    parts = [(digital.modulate(rng.bytes(n), name), name, n) for name, n in streams]
    return assemble(1, 7, (28, 30, 3), b"abc", np.ones(n_analog, np.complex64), 99, parts, packet_symbols)


CASES = [
    (0, [("16QAM-1/2", 400)]),
    (33, []),
    (1000, [("16QAM-1/2", 400), ("64QAM-13/16", 77)]),
    (5, [("BPSK-5/8", 1), ("QPSK-3/4", 0)]),
]


@pytest.mark.parametrize("numerology", PRESETS.values(), ids=PRESETS)
@pytest.mark.parametrize(("n_analog", "streams"), CASES)
def test_kinds_sum_to_the_samples_of_the_bursts(numerology, n_analog, streams):
    modulated = message(n_analog, streams)
    samples = sum(len(ofdm.modulate(p, numerology)) for p in split(modulated))
    ledger = Ledger.of_message(modulated.header, numerology)
    assert ledger.total == Fraction(samples * numerology.used, numerology.n_fft)
    assert ledger.payload == modulated.header.message_symbols
    assert min(ledger.as_dict().values()) >= 0


def test_kinds_of_a_digital_stream_by_hand():
    # 16QAM-1/2: k = 336 bits = 40 bytes of payload + CRC-16; 100 bytes take 3 blocks of 168 symbols
    ledger = Ledger.of_message(message(0, [("16QAM-1/2", 100)]).header, PRESETS["ofdm64"])
    assert (ledger.digital, ledger.fec, ledger.crc, ledger.block_padding) == (
        200,
        3 * 84,
        3 * 4,
        (120 - 100) * 2,
    )
    assert ledger.payload == 3 * 168
    assert ledger.analog == 0


def test_air_interface_of_one_packet_by_hand():
    # 64 carriers, 52 used, 4 pilots, cyclic prefix 16; 624 header symbols fill 13 symbols of 48; 50 analog
    # symbols take 2
    ledger = Ledger.of_message(message(50, []).header, PRESETS["ofdm64"])
    assert ledger.side_information == Fraction(624 * 10, 36)
    assert ledger.header + ledger.side_information == 624
    assert (ledger.analog, ledger.symbol_padding, ledger.pilots) == (50, 46, 15 * 4)
    assert ledger.cyclic_prefix == 15 * 16 * Fraction(52, 64)
    assert ledger.preamble == 2 * 80 * Fraction(52, 64)
    assert ledger.gap == 80 * Fraction(52, 64)


def test_cbr_per_pixel_value():
    header = message(1000, []).header
    ledger = Ledger.of_message(header, PRESETS["ofdm64"])
    assert ledger.cbr(header.shape) == pytest.approx(1000 / (28 * 30 * 3))
    assert ledger.cbr_with_overhead(header.shape) == pytest.approx(float(ledger.total) / (28 * 30 * 3))


def test_smaller_packets_cost_more():
    def total(packet_symbols: int) -> Fraction:
        return Ledger.of_message(message(4000, [], packet_symbols).header, PRESETS["ofdm64"]).total

    assert total(100) > total(1000) > total(4000)


def test_an_empty_stream_costs_nothing():
    header = Header(1, 0, 0, 1, (8, 8, 1), 10, 0, (("QPSK-1/2", 0),))
    assert Ledger.of_message(header, PRESETS["ofdm64"]).payload == 10


@pytest.mark.parametrize("name", mcs.TABLE)
def test_every_mcs_splits_its_blocks_exactly(name):
    header = Header(1, 0, 0, 1, (8, 8, 1), 0, 0, ((name, 1234),))
    ledger = Ledger.of_message(header, PRESETS["ofdm256"])
    assert ledger.payload == digital.symbol_count(1234, name)
    assert ledger.block_padding >= 0
