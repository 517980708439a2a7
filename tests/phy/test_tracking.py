"""A channel that changes within a packet: the receiver against one that is told the channel, and its parts
against theory.
"""

import numpy as np
import pytest
from gnuradio.hsc.bench import tracking as measured
from gnuradio.hsc.evaluation.sample_channel import (
    bursts,
    channel,
    drifting,
    evm_db,
    fading,
    make_packet,
    moving_echoes,
    noise,
    tone,
)
from gnuradio.hsc.phy import tracking
from gnuradio.hsc.phy.numerology import PRESETS
from gnuradio.hsc.phy.ofdm import payload_mapping
from gnuradio.hsc.phy.receiver import BurstReceiver
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import j0

OFDM64 = PRESETS["ofdm64"]
RATE = measured.SAMPLE_RATE


def receive(packet, samples, n=OFDM64):
    (got,) = BurstReceiver(n).push(samples)
    assert got.header == packet.header
    return got


def weighed_error(packet, got):
    return np.mean(np.abs(got.symbols / (1 + got.noise_variance) - packet.symbols) ** 2)


def test_fading_has_the_autocorrelation_of_clarke():
    rng, doppler = np.random.default_rng(1), 1e-3
    gains = np.stack([fading(3000, doppler, rng) for _ in range(400)])
    assert np.mean(np.abs(gains) ** 2) == pytest.approx(1, abs=0.1)
    for lag in (200, 500, 1000):
        assert np.mean(gains[:, lag] * np.conj(gains[:, 0])).real == pytest.approx(
            j0(2 * np.pi * doppler * lag), abs=0.12
        )


@pytest.mark.parametrize("name", ["ofdm64", "ofdm256"])
@pytest.mark.parametrize(("size", "count"), [(4096, 12), (60_000, 2)])
@pytest.mark.parametrize("kind", ["one path", "near echoes"])
@pytest.mark.parametrize("doppler", [5.0, 20.0, 50.0])
def test_error_is_near_that_of_a_receiver_that_knows_the_channel(name, size, count, kind, doppler):
    rng, n = np.random.default_rng(7), PRESETS[name]
    taps = measured._taps(n, kind)
    outcomes = [
        o for i in range(count) if (o := measured._faded(n, size, taps, doppler, rng, i)).got is not None
    ]
    assert len(outcomes) >= 0.9 * count
    error, possible, claimed = (
        10 * np.log10(np.mean([getattr(o, f) for o in outcomes])) for f in ("error", "possible", "claimed")
    )
    assert error < possible + 1.2
    assert abs(claimed - error) < 1.0
    assert abs(np.mean([o.snr_error_db for o in outcomes])) < 1.0


def test_a_still_channel_is_left_alone(monkeypatch):
    """Gate and evidence: of many packets over still echoes with clock and carrier offsets hardly one is taken
    to move.
    """
    found = []
    original = tracking.deviation
    monkeypatch.setattr(tracking, "deviation", lambda *given: found.append(original(*given)) or found[-1])
    rng = np.random.default_rng(3)
    samples = channel(
        bursts([make_packet(1500, rng, i) for i in range(40)], OFDM64),
        OFDM64,
        rng,
        15,
        0.7,
        30,
        {0: 0.8, 5: 0.6j},
    )
    assert len(BurstReceiver(OFDM64).push(samples)) == 40
    assert len(found) <= 3 and sum(d is not None for d in found) <= 1


def test_drift_of_the_carrier_frequency_over_the_longest_packet():
    rng = np.random.default_rng(4)
    packet = make_packet(1 << 17, rng)
    samples = drifting(channel(bursts([packet], OFDM64), OFDM64, rng, 20, cfo=1.1), 200 / RATE**2)
    got = receive(packet, samples)
    last = payload_mapping(OFDM64, OFDM64.payload_rows(1 << 17)).place[: 1 << 17] > (1 << 17) * 0.9
    assert evm_db(packet.symbols[last], got.symbols[last]) < -19


def test_clock_drift_is_told_from_movement():
    rng, errors = np.random.default_rng(5), []
    for index in range(6):
        packet = make_packet(30_000, rng, index)
        moving, _ = moving_echoes(bursts([packet], OFDM64), {0: 0.8, 1: 0.6}, 20 / RATE, rng)
        errors.append(receive(packet, channel(moving, OFDM64, rng, 20, ppm=20)).sfo_ppm - 20)
    assert np.median(np.abs(errors)) < 1.0


@pytest.mark.parametrize("first", [0, "payload"])
def test_a_tone_is_weighed_down_from_wherever_it_begins(first):
    rng = np.random.default_rng(6)
    packet = make_packet(8000, rng)
    samples = channel(bursts([packet], OFDM64), OFDM64, rng, 20)
    begin = 500 + OFDM64.overhead_symbols * OFDM64.symbol if first else 0
    samples[begin:] += tone(len(samples) - begin, 13.5 / 64, -11)
    got = receive(packet, samples)
    unweighed = evm_db(packet.symbols, got.symbols)
    error = 10 * np.log10(weighed_error(packet, got))
    assert error < -12 and error < unweighed - 2.5
    assert abs(10 * np.log10(np.mean(got.noise_variance)) - unweighed) < 1.0


def test_noise_in_a_part_of_the_packet_shows_there_and_only_there():
    rng = np.random.default_rng(8)
    packet = make_packet(8000, rng)
    samples = channel(bursts([packet], OFDM64), OFDM64, rng, 20)
    rows = OFDM64.payload_rows(8000)
    begin = 500 + (OFDM64.overhead_symbols + rows // 2) * OFDM64.symbol
    samples[begin : begin + 32 * OFDM64.symbol] += noise(32 * OFDM64.symbol, 1.0, rng)
    got = receive(packet, samples)
    row = payload_mapping(OFDM64, rows).place[:8000] // OFDM64.data
    hit, clear = (row >= rows // 2) & (row < rows // 2 + 32), (row < rows // 2 - 20) | (row > rows // 2 + 52)
    assert np.median(got.noise_variance[hit]) > 40 * np.median(got.noise_variance[clear])
    assert np.median(got.noise_variance[clear]) == pytest.approx(0.01, rel=0.3)


def test_a_level_step_within_a_packet_is_survived():
    rng = np.random.default_rng(9)
    sent = [make_packet(8000, rng, i) for i in range(3)]
    samples = channel(bursts(sent, OFDM64), OFDM64, rng, 20)
    samples *= np.where(np.arange(len(samples)) < len(samples) // 2, 1, 4).astype(np.float32)
    received = BurstReceiver(OFDM64).push(samples)
    assert [p.header for p in received] == [p.header for p in sent]
    assert (
        evm_db(sent[0].symbols, received[0].symbols) < -19
        and evm_db(sent[2].symbols, received[2].symbols) < -19
    )
    assert weighed_error(sent[1], received[1]) < 0.1


def test_packets_at_any_level_one_after_the_other():
    rng = np.random.default_rng(10)
    sent = [make_packet(1000, rng, i) for i in range(8)]
    parts = [
        channel(bursts([p], OFDM64), OFDM64, rng, 15) * np.float32(10 ** rng.uniform(-2, 2)) for p in sent
    ]
    received = BurstReceiver(OFDM64).push(np.concatenate(parts))
    assert [p.header for p in received] == [p.header for p in sent]
    assert max(evm_db(a.symbols, b.symbols) for a, b in zip(sent, received, strict=True)) < -13.5


def test_sequences_are_those_of_a_band_limited_process():
    """Their powers are the eigenvalues of the covariance of a process with a flat spectrum in ±W."""
    rows, bandwidth = 60, 3.0
    basis, power = tracking._sequences(rows, bandwidth)
    covariance = np.sinc(2 * bandwidth / rows * (np.arange(rows)[:, None] - np.arange(rows)))
    np.testing.assert_allclose(covariance @ basis, basis * power, atol=1e-6)


@pytest.mark.parametrize("seed", [53, 388, 398])
def test_two_rows_that_look_like_a_movement(seed):
    """Noise that makes header and the one row of payload differ: no sequences fit into two rows, and there
    was an exception.
    """
    n, rng = PRESETS["ofdm1024"], np.random.default_rng(seed)
    packet = make_packet(1, rng)
    got = receive(packet, channel(bursts([packet], n), n, rng, 20), n)
    assert abs(got.symbols[0] - packet.symbols[0]) ** 2 < 20 * got.noise_variance[0]


def test_a_movement_is_not_looked_for_in_too_few_rows():
    for rows in range(1, 40):
        for bandwidth in tracking._TIME_BANDWIDTHS:
            if rows >= tracking._LEAST_TO_MOVE and bandwidth <= max(
                tracking._MAX_DOPPLER * rows, tracking._TIME_BANDWIDTHS[0]
            ):
                basis, power = tracking._sequences(rows, bandwidth)
                assert np.isfinite(basis).all() and (power >= 0).all()
        assert (
            rows >= tracking._LEAST_TO_MOVE
            or tracking._most_likely(np.full((rows, 4), 1e3 + 0j), None) is None
        )


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_parts_never_raise_on_extremes(data):
    """Zeros, tiny and huge values, few rows: whatever a burst after a true header may hold."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    n = data.draw(st.sampled_from(list(PRESETS.values())))
    packet = make_packet(data.draw(st.sampled_from([1, 60, 800, 3000])), rng)
    samples = channel(bursts([packet], n), n, rng, 25)
    begin = 500 + (2 + n.header_symbols) * n.symbol
    garbage = data.draw(st.sampled_from([0.0, 1e-20, 1e8, 1.0]))
    first = int(rng.integers(begin, len(samples)))
    samples[first:] = garbage * noise(len(samples) - first, 1.0, rng)
    got = receive(packet, samples, n)
    assert np.isfinite(got.symbols).all() and (got.noise_variance >= 0).all() and np.isfinite(got.snr_db)
