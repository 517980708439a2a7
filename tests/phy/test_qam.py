"""Mapping and LLRs against the standard's tables, a brute-force demapper and closed-form error rates."""

import runpy
from pathlib import Path

import numpy as np
import pytest
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.phy import mcs, qam
from scipy.special import erfc, logsumexp

TOOL = Path(__file__).parents[2] / "tools" / "constellations.py"

# IEEE Std 802.11-2012, tables 18-8 to 18-11: bits of one axis → level
AXIS = {
    2: {"0": -1, "1": 1},
    4: {"00": -3, "01": -1, "11": 1, "10": 3},
    6: {"000": -7, "001": -5, "011": -3, "010": -1, "110": 1, "111": 3, "101": 5, "100": 7},
}
# IEEE Std 802.11ac-2013, clause 22.3.10.9.1: -15, -13, … 15
_ORDER = (0, 1, 3, 2, 6, 7, 5, 4, 12, 13, 15, 14, 10, 11, 9, 8)
AXIS[8] = {format(label, "04b"): 2 * index - 15 for index, label in enumerate(_ORDER)}
NORM = {1: 1, 2: np.sqrt(2), 4: np.sqrt(10), 6: np.sqrt(42), 8: np.sqrt(170)}


def standard_point(label: str) -> complex:
    bits = len(label)
    if bits == 1:
        return complex(2 * int(label) - 1)
    half = bits // 2
    return (AXIS[bits][label[:half]] + 1j * AXIS[bits][label[half:]]) / NORM[bits]


def brute_force(symbols, noise_variance, bits, exact):
    labels = [format(value, f"0{bits}b") for value in range(1 << bits)]
    points = np.array([standard_point(label) for label in labels])
    metric = -(np.abs(symbols[:, None] - points) ** 2) / noise_variance[:, None]
    combine = logsumexp if exact else np.max
    values = [
        combine(metric[:, [label[i] == "0" for label in labels]], axis=1)
        - combine(metric[:, [label[i] == "1" for label in labels]], axis=1)
        for i in range(bits)
    ]
    return np.stack(values, axis=1).ravel()


def awgn(rng, n, variance):
    return np.sqrt(variance / 2) * (rng.standard_normal(n) + 1j * rng.standard_normal(n))


@pytest.mark.parametrize("bits", qam.BITS_PER_SYMBOL)
def test_mapping_is_the_standard(bits):
    labels = [format(value, f"0{bits}b") for value in range(1 << bits)]
    stream = np.array([int(bit) for label in labels for bit in label], dtype=np.uint8)
    expected = np.array([standard_point(label) for label in labels])
    np.testing.assert_allclose(qam.modulate(stream, bits), expected, atol=1e-6)
    assert np.mean(np.abs(qam.constellation(bits)) ** 2) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("bits", qam.BITS_PER_SYMBOL)
@pytest.mark.parametrize("exact", [False, True])
def test_llr_equals_brute_force(bits, exact):
    rng = np.random.default_rng(bits)
    symbols = 1.5 * awgn(rng, 3000, 1).astype(np.complex64)
    variance = 10 ** rng.uniform(-3, 1, 3000).astype(np.float32)
    llr = qam.demodulate(symbols, variance, bits, exact)
    assert llr.dtype == np.float32
    np.testing.assert_allclose(
        llr, brute_force(symbols.astype(complex), variance.astype(float), bits, exact), rtol=2e-4, atol=2e-3
    )


@pytest.mark.parametrize("bits", qam.BITS_PER_SYMBOL)
def test_hard_decisions_follow_theory(bits):
    """Bit error rate of Gray QAM in closed form: Cho and Yoon, IEEE Trans. Commun. 50(7), 2002, eq. 9 and 10,
    bit by bit of an axis.
    """
    rng = np.random.default_rng(10 + bits)
    snr = 10 ** ({1: 5, 2: 8, 4: 14, 6: 20, 8: 26}[bits] / 10)
    sent = rng.integers(0, 2, 300_000 // bits * bits, dtype=np.uint8)
    symbols = qam.modulate(sent, bits)
    llr = qam.demodulate(symbols + awgn(rng, len(symbols), 1 / snr), 1 / snr, bits)
    measured = np.mean((llr < 0) != sent)
    if bits == 1:
        theory = erfc(np.sqrt(snr)) / 2
    else:
        side = 1 << (bits // 2)
        rates = []
        for k in range(1, bits // 2 + 1):
            terms = [
                (-1) ** (i * 2 ** (k - 1) // side)
                * (2 ** (k - 1) - np.floor(i * 2 ** (k - 1) / side + 0.5))
                * erfc((2 * i + 1) * np.sqrt(3 * snr / (2 * (side**2 - 1))))
                for i in range(int((1 - 2.0**-k) * side))
            ]
            rates.append(sum(terms) / side)
        theory = np.mean(rates)
    assert 1e-3 < theory < 0.1
    assert measured == pytest.approx(theory, rel=5 / np.sqrt(theory * len(sent)))


@pytest.mark.parametrize("bits", qam.BITS_PER_SYMBOL)
@pytest.mark.parametrize("exact", [False, True])
def test_llrs_are_probabilities(bits, exact):
    """Among bits with LLR near L a share 1 / (1 + e^L) is 1: what an LLR means."""
    rng = np.random.default_rng(20 + bits)
    sent = rng.integers(0, 2, 240_000, dtype=np.uint8)
    symbols = qam.modulate(sent, bits)
    variance = {1: 1.0, 2: 0.5, 4: 0.15, 6: 0.05, 8: 0.015}[bits]
    llr = qam.demodulate(symbols + awgn(rng, len(symbols), variance), variance, bits, exact)
    near = np.abs(llr - 1) < 0.2
    tolerance = 0.01 if exact else 0.04
    assert np.mean(sent[near]) == pytest.approx(
        np.mean(1 / (1 + np.exp(llr[near]))), abs=tolerance + 3 / np.sqrt(near.sum())
    )


@pytest.mark.parametrize("bits", qam.BITS_PER_SYMBOL)
@pytest.mark.parametrize("exact", [False, True])
def test_lost_and_absurd_symbols(bits, exact):
    point = qam.constellation(bits)[0]
    symbols = np.array([point, point, np.nan, np.inf, point, 1e30, point], dtype=np.complex64)
    variance = np.array([np.inf, np.nan, 0.1, 0.1, 0.0, 0.1, -1.0])
    llr = qam.demodulate(symbols, variance, bits, exact).reshape(-1, bits)
    assert np.isfinite(llr).all()
    assert not llr[:4].any()
    assert (llr[[4, 6]] > 0).all()  # no noise at all: label 0 is all zeros, and certain


@pytest.mark.parametrize("name", ["nr:256NUC-0.54", "nr:256NUC-0.66", "nr:256NUC-0.72", "nr:256NUC-0.835"])
def test_non_uniform_levels_carry_more(name):
    """More than any evenly spaced constellation, and nearly the most: no small change of a level helps."""
    entry, carried = mcs.by_name(name), runpy.run_path(str(TOOL))["carried"]
    snr = entry.threshold_db
    most = carried(entry.levels, snr)
    even = [carried(tuple(range(1, 1 << bits, 2)), snr) for bits in (2, 3, 4)]
    assert most > max(even) + 0.09
    for index in range(len(entry.levels)):
        for change in (-0.3, 0.3):
            levels = list(entry.levels)
            levels[index] += change
            assert carried(tuple(levels), snr) < most + 0.01


def test_non_uniform_constellation():
    """Unit mean power, the given levels, Gray labels; and LLRs of a brute-force demapper."""
    levels = mcs.by_name("nr:256NUC-0.72").levels
    points = qam.constellation(8, levels)
    assert np.mean(np.abs(points) ** 2) == pytest.approx(1, abs=1e-6)
    places = np.unique(points.real)
    np.testing.assert_allclose(places[8:] / places[8], np.array(levels) / levels[0], rtol=1e-5)
    bits = np.array([list(format(value, "08b")) for value in range(256)]).astype(np.uint8)
    np.testing.assert_array_equal(qam.modulate(bits.ravel(), 8, levels), points)
    order = np.argsort(points.real + 1e-3 * points.imag)
    assert (np.abs(np.diff(bits[order][::16, :4].astype(int), axis=0)).sum(1) == 1).all()
    rng = np.random.default_rng(3)
    received = rng.choice(points, 500) + awgn(rng, 500, 0.02)
    llr = qam.demodulate(received, 0.02, 8, True, levels).reshape(-1, 8)
    metric = -(np.abs(received[:, None] - points) ** 2) / 0.02
    for bit in range(8):
        zero, one = (logsumexp(metric[:, bits[:, bit] == value], axis=1) for value in (0, 1))
        np.testing.assert_allclose(llr[:, bit], zero - one, rtol=2e-3, atol=5e-3)
    with pytest.raises(HscError, match="8 levels above 0, not 4"):
        qam.constellation(8, levels[:4])


def test_wrong_arguments():
    with pytest.raises(HscError, match="1, 2, 4, 6"):
        qam.modulate(np.zeros(6, dtype=np.uint8), 3)
    with pytest.raises(HscError, match="pad"):
        qam.modulate(np.zeros(5, dtype=np.uint8), 4)
    assert qam.demodulate(np.zeros(0), 1.0, 6).shape == (0,)


def test_mcs_table():
    assert [entry.index for entry in mcs.TABLE.values()] == [*range(16), *range(121, 255)]
    for name, entry in mcs.TABLE.items():
        assert entry is mcs.by_index(entry.index) is mcs.by_name(name) and entry.name == name
        shannon = 10 * np.log10(2**entry.bits_per_use - 1)
        assert 0 < entry.threshold_db - shannon < 5
    assert mcs.by_name("16QAM-13/16").bits_per_use == 3.25
    with pytest.raises(HscError, match="choose one of BPSK-1/2, .*64QAM-13/16"):
        mcs.by_name("QPSK-2/3")
    for index in (-1, 255):
        with pytest.raises(HscError, match=f"unknown MCS number {index}"):
            mcs.by_index(index)


def test_chosen():
    """The given one; of the given code; of 802.11ad, and below its reach of 5G NR."""
    assert mcs.chosen("64QAM-3/4", -20, 1).name == mcs.chosen("64QAM-3/4", None, 1).name == "64QAM-3/4"
    assert (mcs.chosen(None, None, 1).name, mcs.chosen(None, 10, 1).name) == ("BPSK-1/2", "16QAM-1/2")
    assert mcs.chosen(None, -0.5, 3).name == "BPSK-1/2"
    for snr in (-1.0, -2.0, -4.0):
        entry = mcs.chosen(None, snr, 1)
        assert entry.code == "nr" and snr - 2.6 < entry.threshold_db <= snr - 1
    assert mcs.chosen(None, -20, 1).threshold_db == min(entry.threshold_db for entry in mcs.TABLE.values())
    robust = mcs.chosen("nr", None, 1)
    assert robust.code == "nr" and -1.5 < robust.threshold_db <= mcs.TABLE["BPSK-1/2"].threshold_db
    assert mcs.chosen("nr", 10, 1).bits_per_use > mcs.chosen("802.11ad", 10, 1).bits_per_use
    assert [mcs.code_of(given) for given in (None, "nr", "BPSK-1/2", "nr:QPSK-0.10")] == [
        "802.11ad", "nr", "802.11ad", "nr",
    ]  # fmt: skip
    with pytest.raises(HscError, match="unknown MCS 'lte': choose one of 802.11ad, nr, BPSK-1/2"):
        mcs.chosen("lte", 10, 1)


def test_best_for():
    assert mcs.best_for(-20).name == "BPSK-1/2"
    assert mcs.best_for(40).name == "64QAM-13/16"
    snrs = np.arange(-5, 25, 0.5)
    rates = [mcs.best_for(snr).bits_per_use for snr in snrs]
    assert rates == sorted(rates)
    for snr in snrs[snrs > 2]:
        assert mcs.best_for(snr, 1.0).threshold_db <= snr - 1.0
        assert mcs.best_for(snr, 0.0).bits_per_use >= mcs.best_for(snr, 3.0).bits_per_use
