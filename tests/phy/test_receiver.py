"""The receiver at the figures that the air interface promises, over a channel simulated independently of it,
and on garbage.
"""

from dataclasses import replace

import numpy as np
import pytest
from gnuradio.hsc.evaluation.sample_channel import bursts, channel, evm_db, make_packet, noise
from gnuradio.hsc.phy.numerology import PRESETS
from gnuradio.hsc.phy.ofdm import modulate, payload_mapping
from gnuradio.hsc.phy.receiver import BurstReceiver
from hypothesis import given, settings
from hypothesis import strategies as st

ALL = list(PRESETS.values())
OFDM64 = PRESETS["ofdm64"]


def by_name(n):
    return getattr(n, "name", None)


def random_echoes(n, rng):
    """Two echoes 3 and 6 dB down within three quarters of the cyclic prefix, unit power altogether."""
    delays = rng.choice(np.arange(1, 3 * n.cp // 4 + 1), 2, replace=False)
    gains = np.array([1, 0.71 * np.exp(2j * np.pi * rng.random()), 0.5 * np.exp(2j * np.pi * rng.random())])
    gains /= np.linalg.norm(gains)
    return {0: gains[0], int(delays[0]): gains[1], int(delays[1]): gains[2]}


def received_share(n, rng, trials, snr_db, ppm=0.0, with_echoes=False):
    """Of bursts that come one after the other over channels of their own."""
    receiver, received = BurstReceiver(n), 0
    for index in range(trials):
        packet = make_packet(100, rng, index)
        taps = random_echoes(n, rng) if with_echoes else None
        sent = bursts([packet], n, before=int(rng.integers(2 * n.symbol)))
        samples = channel(
            sent, n, rng, snr_db, rng.uniform(-8, 8), ppm * rng.choice([-1, 1]), taps, rng.uniform(0, 6)
        )
        packets = receiver.push(samples)
        received += len(packets) == 1 and packets[0].header == packet.header
    return received / trials


@pytest.mark.parametrize(("n", "trials"), list(zip(ALL, (300, 150, 80), strict=True)), ids=by_name)
def test_header_and_sync_at_0_db(n, trials):
    assert received_share(n, np.random.default_rng(1), trials, snr_db=0) >= 0.99


@pytest.mark.parametrize(("n", "trials"), list(zip(ALL, (300, 150, 80), strict=True)), ids=by_name)
def test_every_packet_at_10_db_with_offsets_and_echoes(n, trials):
    assert received_share(n, np.random.default_rng(2), trials, snr_db=10, ppm=40, with_echoes=True) == 1.0


@pytest.mark.parametrize("n", ALL, ids=by_name)
def test_back_to_back_at_15_db(n):
    rng = np.random.default_rng(3)
    packets = [make_packet(int(rng.integers(0, 5000)), rng, i) for i in range(60)]
    samples = channel(bursts(packets, n), n, rng, snr_db=15, cfo=0.4, ppm=10)
    receiver = BurstReceiver(n)
    received = receiver.push(samples)
    assert [p.header for p in received] == [p.header for p in packets]
    assert receiver.counters.packets == 60 and receiver.counters.header_errors == 0
    long = [(sent, got) for sent, got in zip(packets, received, strict=True) if len(sent.symbols) > 1000]
    assert max(evm_db(sent.symbols, got.symbols) for sent, got in long) < -13.8
    assert np.mean([evm_db(sent.symbols, got.symbols) for sent, got in long]) < -14.6
    assert all(got.cfo == pytest.approx(0.4, abs=0.01) for got in received)


@pytest.mark.parametrize("n", ALL, ids=by_name)
@pytest.mark.parametrize("snr_db", [10, 40])
def test_tail_of_the_longest_packet(n, snr_db):
    rng = np.random.default_rng(4)
    packet = make_packet(60_000, rng)
    samples = channel(bursts([packet], n), n, rng, snr_db, cfo=-5.3, ppm=40)
    (got,) = BurstReceiver(n).push(samples)
    row = payload_mapping(n, n.payload_rows(60_000)).place[:60_000] // n.data
    head, tail = row < row.max() / 10, row > row.max() * 0.9
    head, tail = (evm_db(packet.symbols[part], got.symbols[part]) for part in (head, tail))
    assert abs(tail - head) < 1.0
    assert tail < (-9.5 if snr_db == 10 else -33)
    assert got.sfo_ppm == pytest.approx(40, abs=1.5 if snr_db == 10 else 0.1)


@pytest.mark.parametrize("n", ALL, ids=by_name)
def test_error_floor(n):
    """Without noise: nothing but float32 on a clean channel; with offsets less than -40 dB (ofdm1024: -32,
    docs/air-interface.md).
    """
    rng = np.random.default_rng(5)
    packet = make_packet(4000, rng)
    for cfo, ppm, most in ((0.0, 0.0, -85), (7.7, 0.0, -85), (-3.3, 40.0, -32 if n.n_fft == 1024 else -40)):
        samples = channel(bursts([packet], n, after=n.symbol), n, rng, snr_db=120, cfo=cfo, ppm=ppm)
        (got,) = BurstReceiver(n).push(samples)
        assert evm_db(packet.symbols, got.symbols) < most


@pytest.mark.parametrize("n", ALL, ids=by_name)
@pytest.mark.parametrize("snr_db", [0, 5, 10, 20])
def test_measured_snr_and_noise_variance(n, snr_db):
    rng = np.random.default_rng(6)
    packets = [make_packet(3000, rng, i) for i in range(10)]
    received = BurstReceiver(n).push(channel(bursts(packets, n), n, rng, snr_db, cfo=1.2))
    assert len(received) == 10
    assert np.mean([p.snr_db for p in received]) == pytest.approx(snr_db, abs=0.5)
    assert all(abs(p.snr_db - snr_db) < 1.2 for p in received)
    error = np.mean(
        [
            np.mean(np.abs(got.symbols - sent.symbols) ** 2)
            for got, sent in zip(received, packets, strict=True)
        ]
    )
    claimed = np.mean([np.mean(p.noise_variance) for p in received])
    assert 0.8 < claimed / error < 1.1
    assert 10 * np.log10(error) < -snr_db + (1.2 if snr_db == 0 else 0.6), "estimation must cost little"


def test_symbols_are_unbiased():
    rng = np.random.default_rng(7)
    packets = [make_packet(5000, rng, i) for i in range(8)]
    received = BurstReceiver(OFDM64).push(channel(bursts(packets, OFDM64), OFDM64, rng, snr_db=5))
    sent, got = (np.concatenate([p.symbols for p in side]) for side in (packets, received))
    assert np.vdot(sent, got) / np.vdot(sent, sent) == pytest.approx(1.0, abs=0.03)


def test_narrow_band_interferer_shows_in_the_noise_variance():
    rng = np.random.default_rng(8)
    packet = make_packet(4000, rng)
    samples = channel(bursts([packet], OFDM64), OFDM64, rng, snr_db=20)
    samples = samples + 0.3 * np.exp(2j * np.pi * 11 / 64 * np.arange(len(samples))).astype(np.complex64)
    (got,) = BurstReceiver(OFDM64).push(samples)
    carrier = OFDM64.carriers[
        OFDM64.data_index[payload_mapping(OFDM64, OFDM64.payload_rows(4000)).place[:4000] % OFDM64.data]
    ]
    assert np.median(got.noise_variance[carrier == 11]) > 30 * np.median(got.noise_variance)
    assert 0.7 < np.mean(got.noise_variance) / np.mean(np.abs(got.symbols - packet.symbols) ** 2) < 1.5


def test_long_tails_of_analog_values_are_no_interferer():
    """A few coefficients of a picture hold most of its power: they are not to be taken for noise."""
    rng = np.random.default_rng(18)
    packet = make_packet(6000, rng)
    symbols = packet.symbols * np.exp(1.8 * rng.standard_normal(6000)).astype(np.float32)
    packet = replace(packet, symbols=(symbols / np.sqrt(np.mean(np.abs(symbols) ** 2))).astype(np.complex64))
    (got,) = BurstReceiver(OFDM64).push(channel(bursts([packet], OFDM64), OFDM64, rng, snr_db=25))
    assert got.noise_variance.max() < 4 * np.median(got.noise_variance)
    assert got.snr_db == pytest.approx(25, abs=1)


def test_level_does_not_matter():
    rng = np.random.default_rng(9)
    packet = make_packet(1000, rng)
    samples = channel(bursts([packet], OFDM64), OFDM64, rng, snr_db=15)
    for level in (1e-9, 1e-3, 1e6):
        (got,) = BurstReceiver(OFDM64).push(samples * np.float32(level))
        assert evm_db(packet.symbols, got.symbols) < -13.5 and abs(got.snr_db - 15) < 1.2


@pytest.fixture(scope="module")
def stream():
    """A stream of bursts of many sizes with noise between, and the packets that one push of it gives."""
    rng = np.random.default_rng(10)
    parts = []
    for index, size in enumerate((0, 1, 47, 300, 2000, 48, 5)):
        parts += [
            modulate(make_packet(size, rng, index), OFDM64),
            np.zeros(int(rng.integers(0, 400)), np.complex64),
        ]
    samples = channel(np.concatenate(parts), OFDM64, rng, snr_db=12, cfo=3.1, ppm=20, taps={0: 0.9, 7: 0.4j})
    packets = BurstReceiver(OFDM64).push(samples)
    assert len(packets) == 7
    return samples, packets


def same(one, other):
    return (
        one.header == other.header
        and one.sample_index == other.sample_index
        and np.allclose(one.symbols, other.symbols, atol=1e-4)
    )


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_chunking_gives_the_same_packets(stream, data):
    samples, expected = stream
    size = data.draw(st.sampled_from([7, 64, 333, 1000, 4096, 30_000]))
    seed = data.draw(st.integers(0, 2**32 - 1))
    cuts = np.cumsum(np.random.default_rng(seed).integers(0, 2 * size, len(samples) // size * 2 + 2))
    receiver = BurstReceiver(OFDM64)
    got = [p for part in np.split(samples, cuts[cuts < len(samples)]) for p in receiver.push(part)]
    assert len(got) == len(expected) and all(same(a, b) for a, b in zip(got, expected, strict=True))


@pytest.fixture(scope="module")
def mixed():
    """A stream of bursts of all numerologies, back to back and with pauses, the packets sent and what one
    push of all of it gives.
    """
    rng = np.random.default_rng(20)
    sent, parts = [], [np.zeros(500, np.complex64)]
    for index in range(12):
        n, packet = ALL[int(rng.integers(3))], make_packet(int(rng.integers(0, 1500)), rng, index)
        sent.append((n.name, packet.header))
        parts += [modulate(packet, n), np.zeros(int(rng.choice([0, 0, 90, 2500])), np.complex64)]
    clean = np.concatenate(parts[:-1])
    samples = channel(clean, OFDM64, rng, snr_db=12, cfo=0.06, ppm=10)
    return samples, sent, BurstReceiver(*ALL).push(samples)


def test_every_packet_of_any_numerology_arrives(mixed):
    _, sent, received = mixed
    assert [(p.numerology, p.header) for p in received] == sent


@settings(max_examples=6, deadline=None)
@given(size=st.sampled_from([50, 333, 1000, 4096, 30_000]), seed=st.integers(0, 2**32 - 1))
def test_any_chunking_of_all_numerologies_gives_the_same_packets(mixed, size, seed):
    samples, _, expected = mixed
    cuts = np.cumsum(np.random.default_rng(seed).integers(0, 2 * size, len(samples) // size * 2 + 2))
    receiver = BurstReceiver(*ALL)
    got = [p for part in np.split(samples, cuts[cuts < len(samples)]) for p in receiver.push(part)]
    assert len(got) == len(expected) and all(same(a, b) for a, b in zip(got, expected, strict=True))


def under_leak(n, level_db, cfo, snr_db, at_the_transmitter=False, moving=0.0, size=300):
    """Packets sent and received, six in a row, with a constant of so many dB over the signal added; `moving`
    turns it [rad] on the way.
    """
    rng = np.random.default_rng(21)
    sent = [make_packet(size, rng, index) for index in range(6)]
    stream = bursts(sent, n)
    leak = 10 ** (level_db / 20) * np.exp(1j * (1 + moving * np.linspace(0, 1, len(stream))))
    if at_the_transmitter:
        received = channel(stream + leak.astype(np.complex64), n, rng, snr_db, cfo)
    else:
        received = channel(stream, n, rng, snr_db, cfo) + leak.astype(np.complex64)
    return sent, BurstReceiver(n).push(received)


def error_db(sent, received):
    """Of the symbols of packets all of which arrived, the mean over them."""
    assert [p.header for p in received] == [p.header for p in sent]
    return 10 * np.log10(
        np.mean([10 ** (evm_db(a.symbols, b.symbols) / 10) for a, b in zip(sent, received, strict=True)])
    )


@pytest.mark.parametrize("n", ALL, ids=by_name)
@pytest.mark.parametrize("level_db", [0, 20])
@pytest.mark.parametrize("cfo", [-8, -0.3, 0.768, 5])
def test_a_carrier_leak_costs_nothing(n, level_db, cfo):
    """Wherever the carriers lie: whole offsets move a used one to where the leak is."""
    assert (
        error_db(*under_leak(n, level_db, cfo, snr_db=20))
        < error_db(*under_leak(n, -100, cfo, snr_db=20)) + 0.1
    )
    assert len(under_leak(n, level_db, cfo, snr_db=2)[1]) == 6


@pytest.mark.parametrize("n", ALL, ids=by_name)
def test_a_leak_that_moves_is_followed(n):
    assert error_db(*under_leak(n, 10, 5.5, snr_db=20, moving=2.0, size=6000)) < -19


@pytest.mark.parametrize("n", ALL, ids=by_name)
@pytest.mark.parametrize("cfo", [-7.3, 2])
def test_a_leak_of_the_transmitter_costs_nothing(n, cfo):
    assert (
        error_db(*under_leak(n, 10, cfo, snr_db=20, at_the_transmitter=True))
        < error_db(*under_leak(n, -100, cfo, snr_db=20)) + 0.1
    )


@pytest.mark.parametrize("among", [1, 3])
@pytest.mark.parametrize("n", ALL, ids=by_name)
@pytest.mark.parametrize("size", [0, 500])
@pytest.mark.parametrize("piece", [100, 100_000])
def test_packet_comes_with_its_last_sample(n, size, piece, among):
    rng = np.random.default_rng(11)
    samples = channel(bursts([make_packet(size, rng)], n, before=777), n, rng, snr_db=20)
    end = len(samples) - n.symbol  # of the payload
    receiver = BurstReceiver(*([n] if among == 1 else ALL))
    parts = np.split(samples[: end - n.cp], range(piece, end - n.cp, piece))
    assert [receiver.push(part) for part in parts] == [[]] * len(parts)
    assert len(receiver.push(samples[end - n.cp : end])) == 1


def test_header_error_does_not_hide_the_next_burst():
    rng = np.random.default_rng(12)
    first, second = (modulate(make_packet(900, rng, i), OFDM64) for i in range(2))
    first[2 * OFDM64.symbol : 15 * OFDM64.symbol] = noise(13 * OFDM64.symbol, 1.0, rng)
    receiver = BurstReceiver(OFDM64)
    packets = receiver.push(channel(np.concatenate([first, second]), OFDM64, rng, snr_db=15))
    assert [p.header.message_id for p in packets] == [1]
    assert receiver.counters.header_errors == 1


def test_packets_longer_than_allowed_are_refused():
    rng = np.random.default_rng(13)
    sent = [make_packet(size, rng, i) for i, size in enumerate((3000, 500))]
    receiver = BurstReceiver(OFDM64, max_payload=1000)
    assert [
        p.header.message_id for p in receiver.push(channel(bursts(sent, OFDM64), OFDM64, rng, snr_db=15))
    ] == [1]


def test_longest_packet_the_header_can_say():
    rng = np.random.default_rng(14)
    packet = make_packet(1 << 17, rng)
    (got,) = BurstReceiver(OFDM64).push(channel(bursts([packet], OFDM64), OFDM64, rng, snr_db=20, cfo=0.2))
    assert evm_db(packet.symbols, got.symbols) < -19


def test_a_burst_cut_off_is_not_a_packet():
    rng = np.random.default_rng(15)
    burst, whole = (
        channel(bursts([make_packet(2000, rng, i)], OFDM64), OFDM64, rng, snr_db=15) for i in range(2)
    )
    receiver = BurstReceiver(OFDM64)
    assert receiver.push(burst[:3000]) == []
    # what follows is taken for the rest of the cut burst, and after that the receiver finds bursts again
    got = receiver.push(np.concatenate([noise(6000, 0.03, rng), whole]))
    assert got[-1].header.message_id == 1


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_garbage_never_raises_and_never_hides_a_burst(stream, data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    kind = data.draw(st.sampled_from(["bits", "nan", "huge", "preambles", "noise"]))
    size = int(rng.integers(1, 4000))
    garbage = {
        "bits": lambda: rng.integers(0, 2**32, 2 * size, dtype=np.uint32).view(np.complex64),
        "nan": lambda: np.where(
            rng.random(size) < 0.1, np.complex64(np.nan + 1j * np.inf), noise(size, 1.0, rng)
        ),
        "huge": lambda: noise(size, 1.0, rng) * np.float32(10.0 ** rng.integers(-30, 19)),
        "preambles": lambda: np.tile(stream[0][: 2 * OFDM64.symbol], 1 + size // 160),
        "noise": lambda: noise(size, 1.0, rng),
    }[kind]()
    receiver = BurstReceiver(OFDM64)
    with np.errstate(all="raise", under="ignore"):
        receiver.push(garbage)
        packets = receiver.push(
            np.concatenate([np.zeros(9000, np.complex64), stream[0], np.zeros(100, np.complex64)])
        )
    assert len(packets) >= len(stream[1])


@pytest.mark.parametrize("step", ["header", "payload"])
def test_a_mistake_in_one_burst_is_met_once(monkeypatch, step):
    """What raises in the middle of a stream takes its own burst, not those before and behind it."""
    n, rng = PRESETS["ofdm64"], np.random.default_rng(5)
    packets = [make_packet(300, rng, i) for i in range(5)]
    samples, receiver = bursts(packets, n), BurstReceiver(n)
    demodulator = receiver._searches[0].demodulator
    right, calls = getattr(demodulator, step), []

    def wrong(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise RuntimeError("a mistake")
        return right(*arguments)

    monkeypatch.setattr(demodulator, step, wrong)
    got, mistakes = [], 0
    for piece in (samples, np.zeros(20 * n.symbol, np.complex64)):
        try:
            for received in receiver.packets(piece):
                got.append(received.header.message_id)
        except RuntimeError:
            mistakes += 1
    assert mistakes == 1 and got == [0, 1, 3, 4]


def test_a_signalling_nan_is_a_bad_sample():
    garbage = np.ones(6, np.float32)
    garbage.view(np.uint32)[1] = 0x7F800001
    receiver = BurstReceiver(OFDM64)
    with np.errstate(all="raise"):
        assert receiver.push(garbage.view(np.complex64)) == []
    assert receiver.counters.bad_samples == 1


def test_memory_is_bounded():
    rng = np.random.default_rng(16)
    receiver = BurstReceiver(OFDM64, max_payload=5000)
    size = receiver._buffer._data.nbytes
    samples = channel(bursts([make_packet(5000, rng, i) for i in range(3)], OFDM64), OFDM64, rng, snr_db=15)
    for _ in range(40):
        receiver.push(samples)
    assert receiver._buffer._data.nbytes == size < 3_000_000
    assert receiver.counters.packets == 120
