"""Effective SNR: exact over AWGN, by an independent integral, and what a code lets through behind echoes."""

import numpy as np
import pytest
from gnuradio.hsc import modem
from gnuradio.hsc.evaluation import sample_channel
from gnuradio.hsc.message import DigitalStream, Message
from gnuradio.hsc.phy import digital, mcs, qam
from gnuradio.hsc.phy.assembly import join
from gnuradio.hsc.phy.effective import effective_snr_db
from gnuradio.hsc.phy.numerology import preset
from gnuradio.hsc.phy.packets import split
from gnuradio.hsc.phy.receiver import BurstReceiver
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

OFDM = preset("ofdm64")
ECHOES = {0: 0.8600, 3: 0.43j, 7: -0.2752}  # 0, -6 and -10 dB, together of unit power


def variances(*snrs_db):
    return (10 ** (-np.array(snrs_db) / 10)).astype(np.float32)


@pytest.mark.parametrize("snr_db", [-20.0, -3.0, 0.0, 7.25, 13.0, 25.0, 60.0, 150.0])
def test_over_awgn_it_is_the_snr(snr_db):
    assert effective_snr_db(np.full(100, variances(snr_db)[0])) == pytest.approx(snr_db, abs=1e-3)


def test_what_was_lost_does_not_count():
    assert np.isnan(effective_snr_db(np.full(3, np.inf, np.float32)))
    assert effective_snr_db(np.array([0.1, np.inf], np.float32)) == pytest.approx(10, abs=1e-3)


def information(bits, snr_db, count=200_000):
    """Mutual information of a QAM's bits, of LLRs of drawn symbols."""
    rng, noise = np.random.default_rng(1), 10 ** (-snr_db / 10)
    sent = rng.integers(0, 2, count * bits, np.uint8)
    came = qam.modulate(sent, bits) + sample_channel.noise(count, noise, rng)
    llr = qam.demodulate(came, noise, bits, exact=True).astype(float)
    return bits * (1 - np.logaddexp(0, np.where(sent, llr, -llr)).mean() / np.log(2))


@pytest.mark.parametrize("bits", [2, 4, 6, 8])
@pytest.mark.parametrize("snr_db", [-2.0, 7.0, 16.0])
def test_information_of_bits_is_that_of_llrs(bits, snr_db):
    assert qam.bit_information(np.array([snr_db]), bits) == pytest.approx(information(bits, snr_db), abs=0.01)


def test_information_of_qpsk_is_the_published_one():
    """Capacity of BPSK at Es/N0 = 0 dB, 0.7215 bits, is that of an axis of QPSK at 3.01 dB."""
    assert qam.bit_information(np.array([3.0103]), 2) == pytest.approx(2 * 0.7215, abs=2e-3)


@pytest.mark.parametrize(("weak", "strong", "bits"), [(0.0, 6.0, 2), (6.0, 12.0, 4)])
def test_two_halves_carry_the_mean_of_what_each_carries(weak, strong, bits):
    found = effective_snr_db(variances(weak, strong))
    wanted = (information(bits, weak) + information(bits, strong)) / 2
    assert information(bits, found) == pytest.approx(wanted, abs=0.02)
    mean = 10 * np.log10((10 ** (weak / 10) + 10 ** (strong / 10)) / 2)
    assert weak < found < mean - 0.5


@settings(deadline=None)  # tables are made when they are first used
@given(arrays.arrays(np.float32, st.integers(1, 50), elements=st.floats(0, 2.0**100, width=32)))
def test_any_variances_give_a_number_between_the_least_and_the_largest(found):
    snrs = -10 * np.log10(np.maximum(found, 1e-20), dtype=float)
    least, most = snrs.min().clip(-60, 200), snrs.max().clip(-60, 200)
    assert least - 0.01 <= effective_snr_db(found) <= most + 0.01


def received(name, snr_db, n_bytes=20_000, seed=1):
    """A stream through OFDM and echoes: measured mean SNR and effective SNR [dB], share of lost blocks."""
    rng = np.random.default_rng(seed)
    stream = DigitalStream(rng.integers(0, 256, n_bytes, np.uint8).tobytes(), name)
    sent = split(modem.modulate(Message("separate", (512, 768, 3), b"", None, (stream,)), 7))
    air = sample_channel.bursts(sent, OFDM, after=8 * OFDM.symbol)
    packets = BurstReceiver(OFDM).push(
        sample_channel.channel(air, OFDM, rng, snr_db, taps=ECHOES, cfo=0.3, ppm=10)
    )
    message = join(packets)
    (back,) = modem.demodulate(message).digital
    lost = len(back.lost_blocks) / digital.block_count(n_bytes, name)
    return np.mean([packet.snr_db for packet in packets]), message.effective_snr_db, lost


@pytest.mark.parametrize("snr_db", [5.0, 9.0, 12.0, 16.5, 22.0])
def test_an_mcs_for_the_effective_snr_gets_through_where_one_for_the_mean_does_not(snr_db):
    mean_db, effective_db, _ = received("nr:QPSK-0.40", snr_db)
    assert mean_db == pytest.approx(snr_db, abs=0.5) and effective_db < mean_db - 0.5
    margin = digital.margin_db(30_000, mcs.best_for(effective_db, 0.4, "nr"))
    chosen, hasty = (mcs.best_for(each, margin, "nr").name for each in (effective_db, mean_db))
    assert received(chosen, snr_db, seed=2)[2] <= 0.02
    assert received(hasty, snr_db, seed=2)[2] > 0.1
