"""Numerology, preamble and modulator, against a receiver written out here with numpy's FFT alone."""

import numpy as np
import pytest
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.evaluation.sample_channel import make_packet
from gnuradio.hsc.phy import ofdm
from gnuradio.hsc.phy.header import Header, encode_header
from gnuradio.hsc.phy.packets import Packet
from gnuradio.hsc.phy.preamble import preamble_carriers, preamble_samples

PRESETS = list(ofdm.PRESETS.values())
RNG = np.random.default_rng(11)


def grid_of(burst: np.ndarray, n: ofdm.Numerology) -> np.ndarray:
    """Plain demodulation of a burst without channel: (rows, used), the gap left out."""
    rows = burst.reshape(-1, n.symbol)[:-1, n.cp :]
    return (np.fft.fft(rows, axis=1) / np.sqrt(n.n_fft))[:, n.carriers % n.n_fft]


@pytest.mark.parametrize("n", PRESETS, ids=lambda n: n.name)
@pytest.mark.parametrize("symbols", [0, 1, 700, 5000])
def test_burst_holds_every_symbol_once(n, symbols):
    packet = make_packet(symbols, RNG)
    burst = ofdm.modulate(packet, n)
    assert burst.dtype == np.complex64 and burst.shape == (n.burst_length(symbols),)
    assert not burst[-n.symbol :].any()
    grid = grid_of(burst, n)
    np.testing.assert_allclose(grid[:2], preamble_carriers(n), atol=1e-5)
    pilots = ofdm.pilot_symbols(n, len(grid) - 2)
    np.testing.assert_allclose(grid[2:, n.pilot_index], pilots, atol=1e-5)
    header = grid[2 : n.overhead_symbols, n.data_index].ravel()
    mapping = ofdm.header_mapping(n)
    np.testing.assert_allclose(
        header[mapping.place] * mapping.phases,
        np.resize(encode_header(packet.header), header.size),
        atol=1e-5,
    )
    payload = grid[n.overhead_symbols :, n.data_index].ravel()
    mapping = ofdm.payload_mapping(n, n.payload_rows(symbols))
    np.testing.assert_allclose((payload[mapping.place] / mapping.phases)[:symbols], packet.symbols, atol=1e-4)


@pytest.mark.parametrize("n", PRESETS, ids=lambda n: n.name)
def test_power_and_crest(n):
    burst = ofdm.modulate(make_packet(20 * n.data, RNG), n)
    payload = burst[n.overhead_symbols * n.symbol : -n.symbol]
    preamble = preamble_samples(n)
    assert np.mean(np.abs(payload) ** 2) == pytest.approx(n.used / n.n_fft, rel=0.1)
    assert np.mean(np.abs(preamble) ** 2) == pytest.approx(2 * n.used / n.n_fft, rel=0.05)
    assert np.abs(preamble).max() < np.abs(payload).max(), "the boost must not set the peak of the burst"


@pytest.mark.parametrize("n", PRESETS, ids=lambda n: n.name)
def test_preamble_structure(n):
    first, second = preamble_samples(n).reshape(2, n.symbol)
    np.testing.assert_allclose(first[n.cp : n.cp + n.n_fft // 2], first[n.cp + n.n_fft // 2 :], atol=1e-5)
    np.testing.assert_allclose(first[: n.cp], first[-n.cp :], atol=1e-6)
    assert np.vdot(first, first).real == pytest.approx(np.vdot(second, second).real, rel=0.1)
    assert abs(np.vdot(first, second)) < 0.2 * np.vdot(first, first).real


@pytest.mark.parametrize("n", PRESETS, ids=lambda n: n.name)
def test_carriers(n):
    assert 0 not in n.carriers and len(np.unique(n.carriers)) == n.used
    assert np.array_equal(n.carriers, -n.carriers[::-1])
    assert np.array_equal(np.sort(np.concatenate([n.pilot_index, n.data_index])), np.arange(n.used))
    assert np.array_equal(n.carriers[n.pilot_index], -n.carriers[n.pilot_index][::-1])


def test_neighbours_are_spread():
    n = ofdm.preset("ofdm64")
    mapping = ofdm.payload_mapping(n, 80)
    assert np.array_equal(np.sort(mapping.place), np.arange(80 * n.data))
    row, carrier = np.divmod(mapping.place, n.data)
    assert np.abs(np.diff(row)).min() >= 20 and np.mean(np.diff(carrier) == 0) < 0.1
    assert set(np.round(mapping.phases, 3)) == {1, 1j, -1, -1j}


def test_refusals():
    n = ofdm.preset("ofdm64")
    header = Header(codec=1, message_id=0, index=0, count=1, shape=(8, 8, 1), analog_symbols=10)
    with pytest.raises(HscError, match="9 symbols"):
        ofdm.modulate(Packet(header, np.zeros(9, np.complex64)), n)
    with pytest.raises(HscError, match="ofdm64"):
        ofdm.preset("ofdm65")
    for wrong in ({"pilots": 5}, {"cp": 15}, {"used": 64}, {"cp": 0}, {"n_fft": 66}):
        with pytest.raises(HscError, match="impossible"):
            ofdm.Numerology(**{"name": "x", "n_fft": 64, "cp": 16, "used": 52, "pilots": 4} | wrong)
