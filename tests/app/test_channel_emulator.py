"""The channel emulator: each impairment measured on what comes out; two real ends that die and come back."""

import signal
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from gnuradio import blocks, gr, hsc
from gnuradio.hsc.app import channel as emulator
from gnuradio.hsc.bench.over_the_air import addresses
from gnuradio.hsc.errors import HscError
from scipy.special import j0
from support.processes import GR_HSC
from support.waiting import PATIENCE, wait_for

RATE = 1e6
QUIET = emulator.ChannelSettings("zmq:tcp://127.0.0.1:5555", "zmq:tcp://127.0.0.1:5556", RATE, snr_db=None)


def through(samples, **settings):
    """What the channel makes of complex64 samples, as fast as it can."""
    top = gr.top_block()
    source, kept = blocks.vector_source_c(np.asarray(samples, np.complex64).tolist()), blocks.vector_sink_c()
    channel = emulator.emulated_channel(replace(QUIET, **settings))
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


@pytest.mark.parametrize("doppler", [0.0, 10.0])
def test_delay_spread(doppler):
    taps = emulator.impulse_response(replace(QUIET, delay_spread=3e-6, doppler=doppler))
    assert np.count_nonzero(taps) == (6 if doppler else 16)
    power, delay = np.abs(taps) ** 2, np.arange(len(taps)) / RATE
    mean = np.sum(power * delay)
    assert np.sum(power) == pytest.approx(1, abs=1e-5)
    assert np.sqrt(np.sum(power * (delay - mean) ** 2)) == pytest.approx(3e-6, rel=0.15)


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
    gone, burst = emulator.events(0.1, 61_000, 1)
    assert np.mean(gone | burst) == pytest.approx(0.1, abs=1e-4)
    assert not (gone & burst).any()
    assert np.mean(gone) == pytest.approx(0.05, abs=0.01)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_any_share_of_losses_can_be_had(share):
    gone, burst = emulator.events(share, 1000, 3)
    assert np.mean(gone | burst) == share


def test_an_interferer_stands_at_its_place_and_level():
    received = through(np.zeros(1 << 16), interferer=(-3.0, 125e3))
    spectrum = np.abs(np.fft.fft(received)) ** 2
    assert np.argmax(spectrum) == pytest.approx(125e3 / RATE * len(received), abs=8)
    assert 10 * np.log10(np.mean(np.abs(received[1000:]) ** 2) / (52 / 64)) == pytest.approx(-3, abs=0.05)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"source": "sim"}, "zmq:tcp"),
        ({"target": QUIET.source}, "give two"),
        ({"cfo": 6e5}, "cfo"),
        ({"doppler": 1e5}, "doppler"),
        ({"taps": (1, 1), "delay_spread": 1e-6}, "not both"),
        ({"interferer": (0, 6e5)}, "outside the band"),
    ],
)
def test_impossible_settings_are_refused_in_a_line(change, says):
    with pytest.raises(HscError, match=says) as refused:
        replace(QUIET, **change)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "change", [{"taps": (0, 0)}, {"taps": (1,) * 1000}, {"delay_spread": 1e-3}, {"taps": (float("nan"),)}]
)
def test_impossible_taps_are_refused_in_a_line(change):
    with pytest.raises(HscError):
        emulator.impulse_response(replace(QUIET, **change))


# ---- between two ends


class Tone(gr.top_block):
    def __init__(self, address):
        super().__init__()
        self.radio = hsc.radio_sink(address, sample_rate=RATE / 2)
        self.connect(blocks.vector_source_c([1.0 + 0j] * 1000, True), self.radio)


class Ears(gr.top_block):
    def __init__(self, address):
        super().__init__()
        self.radio = hsc.radio_source(address, sample_rate=RATE / 2)
        self.power, self.last = blocks.complex_to_mag_squared(), blocks.probe_signal_f()
        self.connect(self.radio, self.power, blocks.moving_average_ff(1000, 1e-3), self.last)
        self.connect(self.power, blocks.null_sink(gr.sizeof_float))

    def hears(self, low, high):
        return low < self.last.level() < high


def run(graph):
    graph.start()
    return graph


def end(graph):
    graph.stop()
    graph.wait()


def test_ends_come_and_go_in_any_order():
    first, second = addresses(2)
    command = [*GR_HSC, "channel", "--in", first, "--out", second, "--rate", "500k", "--snr", "10"]
    ears = run(Ears(second))
    channel = run(emulator.channel_flowgraph(emulator.ChannelSettings(first, second, RATE / 2, 10.0)))
    wait_for(lambda: ears.hears(0.05, 0.2))  # noise only: no transmitter yet
    for _ in range(2):
        tone = run(Tone(first))
        wait_for(lambda: ears.hears(0.9, 1.3))
        end(tone)
        del tone
        wait_for(lambda: ears.hears(0.05, 0.2))
    tone = run(Tone(first))
    end(ears)
    ears = run(Ears(second))
    wait_for(lambda: ears.hears(0.9, 1.3))
    end(channel)
    del channel
    wait_for(lambda: ears.hears(-1, 0.01))  # silence: the channel has gone
    command_line = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        wait_for(lambda: ears.hears(0.9, 1.3))
        command_line.send_signal(signal.SIGINT)
        out, _ = command_line.communicate(timeout=PATIENCE)
        assert command_line.returncode == 0
        assert "million samples" in out
    finally:
        command_line.kill()
        command_line.wait()
        end(ears)
        end(tone)
