"""Search and confirmation of preambles: against a direct evaluation of Schmidl and Cox's formulas, and at the
rates that the link needs.
"""

import numpy as np
import pytest
from gnuradio.hsc.evaluation.sample_channel import bursts, channel, make_packet, noise
from gnuradio.hsc.phy.lines import BLOCK, EDGE, find_lines, moving_sum, without
from gnuradio.hsc.phy.numerology import PRESETS
from gnuradio.hsc.phy.preamble import preamble_samples
from gnuradio.hsc.phy.receiver import BurstReceiver
from gnuradio.hsc.phy.sync import Cells, Synchroniser

ALL = list(PRESETS.values())


@pytest.mark.parametrize("length", [1, 2, 3, 12, 20, 33])
def test_moving_sum(length):
    x = np.random.default_rng(length).standard_normal(100)
    np.testing.assert_allclose(moving_sum(x, length), np.convolve(x, np.ones(length), mode="valid"))


@pytest.mark.parametrize("n", ALL, ids=lambda n: n.name)
def test_metric_is_schmidl_and_cox(n):
    samples = noise(5 * n.symbol + 3, 1.0, np.random.default_rng(1))
    sync = Synchroniser(n)
    correlation, energy = sync.metric(samples)
    window, half = n.cp + n.n_fft // 2, n.n_fft // 2
    for i in (0, 1, len(correlation) // 2, len(correlation) - 1):
        first, second = (
            part - part.mean()
            for part in (samples[i * sync.step :][:window], samples[i * sync.step + half :][:window])
        )
        assert correlation[i] == pytest.approx(np.vdot(first, second), rel=1e-4)
        assert energy[i] == pytest.approx(
            (np.vdot(first, first).real + np.vdot(second, second).real) / 2, rel=1e-4
        )
    assert (len(correlation)) * sync.step + window + half > len(samples) - sync.step


def detect(n, rng, trials, **options):
    """Share of single bursts whose preamble is found within a sample or two, and the CFO errors."""
    errors = []
    for _ in range(trials):
        before = int(rng.integers(2 * n.symbol, 3 * n.symbol))
        cfo = rng.uniform(-8, 8)
        samples = channel(
            bursts([make_packet(0, rng)], n, before), n, rng, cfo=cfo, phase=rng.uniform(0, 6), **options
        )
        sync = Synchroniser(n)
        runs = sync.candidates(*sync.metric(samples))
        for at, fraction in zip(runs.best * sync.step, runs.cfo, strict=True):
            if sync.lookback <= at <= len(samples) - sync.lookahead:
                found = sync.confirm(samples, np.array([at]), np.array([fraction]))
                if found is not None and abs(found.start - before) <= n.cp // 8:
                    errors.append(found.cfo - cfo)
                    break
    return len(errors) / trials, np.array(errors)


@pytest.mark.parametrize(
    ("n", "trials"), zip(ALL, (300, 200, 100), strict=True), ids=lambda n: getattr(n, "name", str(n))
)
def test_sync_at_0_db(n, trials):
    rate, errors = detect(n, np.random.default_rng(2), trials, snr_db=0)
    assert rate >= 0.99
    assert np.abs(errors).max() < 0.2, "the header stage can put right a fifth of a subcarrier"


def test_sync_with_echoes():
    rate, _ = detect(
        PRESETS["ofdm64"], np.random.default_rng(3), 200, snr_db=10, taps={0: 0.75, 5: 0.53j, 11: -0.4}
    )
    assert rate >= 0.99


def test_no_packet_in_ten_million_noise_samples():
    rng = np.random.default_rng(4)
    receiver = BurstReceiver(PRESETS["ofdm64"])
    assert not any(receiver.push(noise(1_000_000, 1.0, rng)) for _ in range(10))
    assert receiver.counters.candidates > 0 and receiver.counters.detections <= 1


@pytest.mark.parametrize("n", ALL, ids=lambda n: n.name)
def test_cells_are_shared(n):
    """P and R of a part of the samples, from finer cells of all of them."""
    samples, sync = noise(4 * n.symbol, 1.0, np.random.default_rng(9)), Synchroniser(n)
    first, last = 3 * sync.step, 3 * n.symbol + 5
    got = sync.metric(samples[first:last], Cells.of(samples, 4).between(first, last, sync.step))
    for shared, own in zip(got, sync.metric(samples[first:last]), strict=True):
        np.testing.assert_allclose(shared, own, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("lines", [(), (0.0,), (0.1234,), (0.2, -0.3), (0.0, 0.15, -0.4)])
@pytest.mark.parametrize("level", [1, 30, 1000])
def test_nothing_is_left_of_lines(lines, level):
    """As if the carriers had never been there, to -70 dB, whatever their phases and wherever the samples
    begin and end.
    """
    rng = np.random.default_rng(6)
    index, background = np.arange(40 * BLOCK), noise(40 * BLOCK, 1.0, rng)
    carriers = sum(
        (level * np.exp(2j * np.pi * (line * index + rng.random())) for line in lines), np.zeros(len(index))
    )
    samples = (background + carriers).astype(np.complex64)
    left, expected = without(samples, lines), without(background, lines)
    assert len(left) == len(samples) - 2 * EDGE
    np.testing.assert_allclose(left, expected, atol=3e-4 * level)
    np.testing.assert_allclose(
        without(samples[7 * BLOCK : 30 * BLOCK], lines),
        left[7 * BLOCK : 30 * BLOCK - 2 * EDGE],
        atol=1e-5 * level,
    )
    share = np.mean(np.abs(expected) ** 2) / np.mean(np.abs(background[EDGE:-EDGE]) ** 2)
    assert share >= 1 - 0.05 * len(lines), "a notch takes a hundredth of the band"


def test_lines_are_the_steady_carriers_and_nothing_else():
    rng = np.random.default_rng(7)
    index = np.arange(1024)
    background = noise(1024, 1.0, rng)
    assert find_lines(background) == find_lines(np.zeros(1024, np.complex64)) == ()
    assert find_lines(background + np.complex64(50)) == (0.0,)
    tones = 3 * np.exp(2j * np.pi * 0.1 * index) + 30 * np.exp(-2j * np.pi * 0.30002 * index)
    found = find_lines((background + tones).astype(np.complex64))
    assert found == pytest.approx((0.69998, 0.1), abs=3e-5)
    (only,) = find_lines((3e4 * np.exp(2j * np.pi * 0.0913 * index) + background).astype(np.complex64))
    assert only == pytest.approx(0.0913, abs=1e-5), "the skirts of a strong carrier are no lines"
    for n in ALL:
        for stream in (np.tile(preamble_samples(n), 20), bursts([make_packet(3000, rng)], n, before=0)):
            assert find_lines(stream[:1024].astype(np.complex64)) == ()


@pytest.mark.parametrize("level", [1, 10, 1000])
@pytest.mark.parametrize("kind", ["leak", "tone", "two tones", "sweep", "hops"])
def test_carriers_do_not_slow_the_search_down(kind, level):
    """A carrier taken for preambles gives one candidate in 80 samples to confirm; noise one in 16 000."""
    size = 1 << 17
    index = np.arange(size)
    phase = {
        "leak": 0 * index,
        "tone": 0.0913 * index,
        "two tones": 0.0913 * index,
        "sweep": 5e-7 * index**2,
        "hops": 0.04 * (index // 1500 % 7) * index,
    }[kind]
    carriers = np.exp(2j * np.pi * phase) + (
        0.5 * np.exp(-2j * np.pi * 0.31 * index) if kind == "two tones" else 0
    )
    samples = noise(size, 1.0, np.random.default_rng(8)) + (level * carriers).astype(np.complex64)
    for n in ALL:
        receiver = BurstReceiver(n)
        assert receiver.push(samples) == []
        assert receiver.counters.candidates < size / 500


@pytest.mark.parametrize("n", ALL, ids=lambda n: n.name)
@pytest.mark.parametrize("kind", ["zeros", "constant", "tone", "impulses", "noise bursts"])
def test_nothing_is_found_where_nothing_was_sent(n, kind):
    rng = np.random.default_rng(5)
    size = 40_000
    samples = {
        "zeros": lambda: np.zeros(size),
        "constant": lambda: np.full(size, 3 + 4j),
        "tone": lambda: 100 * np.exp(0.3j * np.arange(size)),
        "impulses": lambda: (np.arange(size) % 97 == 0).astype(complex),
        "noise bursts": lambda: noise(size, 1.0, rng) * (np.arange(size) // 700 % 2),
    }[kind]()
    receiver = BurstReceiver(n)
    assert receiver.push(samples.astype(np.complex64)) == []
    assert receiver.counters.detections == 0
