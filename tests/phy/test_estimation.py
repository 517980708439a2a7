"""What the estimate of a still channel costs, and whether the reported noise variance says so."""

import numpy as np
import pytest
from gnuradio.hsc.evaluation.sample_channel import make_packet, noise
from gnuradio.hsc.phy.demodulator import Demodulator
from gnuradio.hsc.phy.echoes import EchoEstimator
from gnuradio.hsc.phy.estimation import ChannelEstimator
from gnuradio.hsc.phy.numerology import PRESETS
from gnuradio.hsc.phy.ofdm import modulate, payload_mapping

ALL = list(PRESETS.values())
# Delays [samples] and powers [dB].
CHANNELS = {
    "one path": ([0], [0]),
    "on samples": ([0, 2, 7], [0, -6, -10]),
    "between samples": ([0, 2.5, 7.3], [0, -6, -10]),
}
LEAD = 256  # samples before a burst, into which a delay between samples rings


def by_name(n):
    return n.name


def response(delays, gains, frequency):
    return np.exp(-2j * np.pi * np.multiply.outer(frequency, delays)) @ gains


def errors(n, kind, snr_db, count, size):
    """True and reported error variance over that of a receiver that knows the channel [dB], and the mean
    squared error of weighed symbols over its [dB].
    """
    rng, receiver = np.random.default_rng(3), Demodulator(n)
    delays, powers = (np.array(values) for values in CHANNELS[kind])
    column = payload_mapping(n, n.payload_rows(size)).place[:size] % n.data
    carriers = n.carriers[n.data_index][column] / n.n_fft
    level, found = 10 ** (-snr_db / 10), []
    for index in range(count):
        packet = make_packet(size, rng, index)
        gains = 10 ** (powers / 20) * np.exp(2j * np.pi * rng.random(delays.size))
        gains /= np.linalg.norm(gains)
        sent = np.pad(modulate(packet, n), (LEAD, 400))
        spectrum = np.fft.fft(sent) * response(delays, gains, np.fft.fftfreq(sent.size))
        samples = (np.fft.ifft(spectrum) + noise(sent.size, level, rng))[LEAD:].astype(np.complex64)
        got = receiver.payload(samples, receiver.header(samples, 0.0), 0)
        power = np.abs(response(delays, gains, carriers)) ** 2
        weighed = got.symbols / (1 + got.noise_variance)
        found.append(
            (
                np.mean(power * np.abs(got.symbols - packet.symbols) ** 2) / level,
                np.mean(power * got.noise_variance) / level,
                np.mean(np.abs(weighed - packet.symbols) ** 2) / np.mean(level / (power + level)),
            )
        )
    return 10 * np.log10(np.mean(found, axis=0))


@pytest.mark.parametrize("n", ALL, ids=by_name)
@pytest.mark.parametrize("kind", CHANNELS)
@pytest.mark.parametrize("snr_db", [5, 20])
def test_a_channel_of_few_echoes_costs_little(n, kind, snr_db):
    """0.10 to 0.20 dB where all taps are taken to be equally strong, and 0.10 to 0.17 dB not reported."""
    true, reported, weighed = errors(n, kind, snr_db, count=30, size=4096)
    assert weighed < 0.115
    assert reported == pytest.approx(true, abs=0.06), "noise is reported with what the estimate adds"


@pytest.mark.parametrize("n", ALL, ids=by_name)
@pytest.mark.parametrize("size", [1000, 4096])
def test_reported_noise_is_unbiased(n, size):
    """It was 0.11 to 0.21 dB too low."""
    true, reported, _ = errors(n, "one path", 10, 100, size)
    assert reported == pytest.approx(true, abs=0.04)


def estimators(n, rows=4):
    weight = np.full(n.used, float(rows))
    taps = ChannelEstimator(n, weight)
    return taps, EchoEstimator(n, weight, taps)


def mean_errors(n, delays, power, trials=60):
    """Squared error of both estimators over the noise variance, for paths of random gains."""
    rng, rows, level = np.random.default_rng(5), 4, 0.05
    both, found = estimators(n, rows), []
    for _ in range(trials):
        gains = np.sqrt(power / 2) * (rng.standard_normal((2, len(delays))).T @ [1, 1j])
        channel = response(np.asarray(delays), gains, n.carriers / n.n_fft)
        matched = (rows * channel + noise(n.used, rows * level, rng)).astype(np.complex64)
        estimates = both[0].estimate(matched, level), both[1].estimate(matched, level)[0]
        found.append([np.mean(np.abs(estimate - channel) ** 2) / level for estimate in estimates])
    return np.mean(found, axis=0)


@pytest.mark.parametrize("n", ALL, ids=by_name)
def test_a_dense_channel_costs_no_more_than_over_all_taps(n):
    """Of echoes on each sample more would have to be found than it is worth."""
    delays = np.arange(n.cp * 3 // 4)
    over_taps, over_echoes = mean_errors(n, delays, np.full(delays.size, 1 / delays.size))
    assert over_echoes < 1.05 * over_taps


@pytest.mark.parametrize("n", ALL, ids=by_name)
def test_few_echoes_are_worth_few_unknowns(n):
    over_taps, over_echoes = mean_errors(n, [0, n.cp / 3], np.array([0.8, 0.2]))
    assert over_echoes < 0.5 * over_taps


@pytest.mark.parametrize("n", ALL, ids=by_name)
@pytest.mark.parametrize("level", [0.0, 1e-20, 1.0, 1e15])
def test_estimates_are_finite_whatever_the_level(n, level):
    rng = np.random.default_rng(1)
    _, estimator = estimators(n)
    for matched in (np.zeros(n.used, np.complex64), noise(n.used, 1.0, rng).astype(np.complex64)):
        for variance in (0.0, level**2):
            channel, unknowns = estimator.estimate(np.complex64(level) * matched, variance)
            assert np.isfinite(channel).all() and 0 <= unknowns <= n.used
