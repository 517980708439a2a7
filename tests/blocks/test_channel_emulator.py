"""The channel emulator: each impairment measured on what comes out."""

from dataclasses import replace

import numpy as np
import pytest
from gnuradio import blocks, gr
from gnuradio.hsc.blocks import channel_emulator as emulator
from gnuradio.hsc.radio.impairments import Impairments
from scipy.special import j0

RATE = 1e6
QUIET = Impairments(RATE, snr_db=None)


def through(samples, **impairments):
    """What the channel makes of complex64 samples, as fast as it can."""
    top = gr.top_block()
    source, kept = blocks.vector_source_c(np.asarray(samples, np.complex64).tolist()), blocks.vector_sink_c()
    channel = emulator.channel_emulator(replace(QUIET, **impairments))
    top.connect(source, channel, kept)
    top.run()
    return np.array(kept.data(), np.complex64)


def slope(samples, lag, rate=RATE):
    """Mean frequency [Hz]; |frequency| < rate / lag / 2."""
    return np.angle(np.mean(samples[lag:] * np.conj(samples[:-lag]))) / (2 * np.pi * lag) * rate


def test_nothing_is_done_unless_asked():
    rng = np.random.default_rng(1)
    sent = rng.standard_normal((20000, 2)).astype(np.float32).view(np.complex64)[:, 0]
    received = through(sent)
    early = int(np.argmax(np.abs(np.correlate(sent[:400], received[:300]))))
    assert early < 16
    assert np.max(np.abs(received[:19_000] - sent[early : early + 19_000])) < 1e-3


@pytest.mark.parametrize("snr_db", [0, 15])
def test_noise_has_the_variance_of_its_snr(snr_db):
    received = through(np.zeros(200_000), snr_db=snr_db)
    assert 10 * np.log10(np.mean(np.abs(received) ** 2)) == pytest.approx(-snr_db, abs=0.1)
    assert not np.array_equal(received[:1000], through(np.zeros(2000), snr_db=snr_db, seed=7)[:1000])


def test_cfo_and_clock():
    assert slope(through(np.ones(100_000), cfo=-12_345.0), 10) == pytest.approx(-12_345, abs=0.5)
    tone = np.exp(2j * np.pi * 0.1 * np.arange(300_000))
    received = through(tone, sfo_ppm=20.0)  # to a receiver whose clock is fast every frequency is lower
    assert slope(
        received[1000:] * np.exp(-2j * np.pi * 0.1 * np.arange(len(received) - 1000)), 10_000
    ) == pytest.approx(-2.0, abs=0.05)
    assert len(received) == pytest.approx(300_000 * (1 + 20e-6), abs=40)


@pytest.mark.parametrize("drift", [200.0, -2000.0])
def test_drift(drift):
    received = through(np.ones(400_000), drift=drift)
    phase = np.unwrap(np.angle(received[1000:])) / (2 * np.pi)
    curve = np.polyfit(np.arange(len(phase)) / RATE, phase, 2)
    assert 2 * curve[0] == pytest.approx(drift, rel=0.02)
    assert abs(curve[1]) < 20


def test_drift_stays_within_its_span():
    received = through(np.ones(200_000), drift=9e4)  # four turning points
    frequencies = np.array(
        [slope(part, 20) for part in np.split(received[: len(received) // 200 * 200], 200)]
    )
    assert np.max(np.abs(frequencies)) < emulator.DRIFT_SPAN + 100
    assert frequencies.max() > 1500
    assert frequencies.min() < -1500


def test_echoes():
    received = through([*np.zeros(100), 1.0, *np.zeros(5000)], taps=(1, 0, 0, 1j))
    start = int(np.argmax(np.abs(received) > 0.5))
    assert np.allclose(received[start : start + 4], np.array([1, 0, 0, 1j]) / np.sqrt(2), atol=0.01)


@pytest.mark.parametrize(("k_factor", "spread"), [(None, 0.0), (None, 1e-6), (4.0, 0.0)])
def test_fading_has_unit_mean_power_and_the_spectrum_of_jakes(k_factor, spread):
    doppler, rate = 500.0, 1e5
    correlation, power = [], []
    lag = round(0.2 / doppler * rate)
    for seed in range(8):
        gain = through(
            np.ones(100_000),
            sample_rate=rate,
            doppler=doppler,
            k_factor=k_factor,
            delay_spread=spread * 10,
            seed=100 * seed + 1,
        )
        power.append(np.mean(np.abs(gain) ** 2))
        correlation.append(np.mean(gain[lag:] * np.conj(gain[:-lag])).real)
    if spread == 0:  # of a constant, echoes add up; their gains are not independent of each other then
        assert np.mean(power) == pytest.approx(1, abs=0.25)
    if k_factor is None and spread == 0:
        assert np.mean(correlation) / np.mean(power) == pytest.approx(j0(2 * np.pi * 0.2), abs=0.15)
    assert np.std(np.abs(gain)) > 0.05


def test_losses_take_their_share():
    received = through(np.ones(3_000_000), drop=0.1)
    slots = np.split(received[: len(received) // 1000 * 1000], len(received) // 1000)
    silent = np.mean([np.mean(np.abs(slot)) < 0.5 for slot in slots])
    noisy = np.mean([np.std(slot) > 1 for slot in slots])
    assert 0.005 < silent < 0.2
    assert 0.005 < noisy < 0.2


def test_an_interferer_stands_at_its_place_and_level():
    received = through(np.zeros(1 << 16), interferer=(-3.0, 125e3))
    spectrum = np.abs(np.fft.fft(received)) ** 2
    assert np.argmax(spectrum) == pytest.approx(125e3 / RATE * len(received), abs=8)
    assert 10 * np.log10(np.mean(np.abs(received[1000:]) ** 2) / (52 / 64)) == pytest.approx(-3, abs=0.05)
