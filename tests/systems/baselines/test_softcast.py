"""SoftCast: the error that theory expects, budgets, every size, losses, any received bytes."""

import numpy as np
import pytest
from gnuradio.hsc import channel, metrics
from gnuradio.hsc.codecs import registry
from gnuradio.hsc.coding import level_map
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.evaluation.transmission import carry
from gnuradio.hsc.message import Link, ReceivedAnalog, ReceivedDigital, ReceivedMessage
from gnuradio.hsc.modem import demodulate, modulate
from gnuradio.hsc.phy import analog, digital
from gnuradio.hsc.systems.baselines import softcast_spectrum, softcast_transform
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.fft import dctn
from scipy.linalg import hadamard


def photograph(height=128, width=192, channels=3, seed=5):
    """An image with the power spectrum of photographs, 1/f², and colours that go together."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)) + 1 / height
    noise = np.fft.fft2(rng.standard_normal((channels, height, width)))
    layers = np.fft.ifft2(noise / frequency**1.4).real
    layers /= layers.std((1, 2), keepdims=True) + 1e-9
    image = 120 + 40 * (layers[:1] + 0.3 * layers)
    return np.rint(image.clip(0, 255)).astype(np.uint8).transpose(1, 2, 0)


def sent(image, link=None, **options):
    return registry.create("softcast", **options).encode(image, link or Link())


def through(message, snr_db, lost=None, seed=1, packet_symbols=512):
    modulated = modulate(message, 7, packet_symbols)
    gone = None if lost is None else channel.erased(modulated.header.count, lost, np.random.default_rng(seed))
    assembled = carry(modulated, "awgn", snr_db, channel.numpy_normal(np.random.default_rng(seed)), lost=gone)
    return registry.create("softcast").decode(demodulate(assembled)).image


def received(coded, noise_variance, rng):
    values = coded.values + rng.normal(0, np.sqrt(noise_variance), len(coded.values)).astype(np.float32)
    return ReceivedAnalog(
        values, np.full(len(values), noise_variance, np.float32), np.ones(len(values), bool)
    )


def closed_form_error(planes, coded, noise_variance, transform="image"):
    """Mean squared error [grey level²] that theory expects over the decoded planes when every value has this
    noise variance.

    Chunks that are sent leave the error of the LLSE, w² n / g² + (1 − w)² λ with w = P / (P + n), P = g² λ̂
    (λ̂ as both ends see it, λ as it is); the others their power.
    """
    channels, height, width = planes.shape
    _, floor, *rest = softcast_transform._FIXED.unpack_from(coded.side)
    centred = planes - (np.array(rest[:channels]) / softcast_transform._MEAN_STEPS)[:, None, None]
    mosaic, bands = softcast_spectrum.forward(
        softcast_spectrum.turned(centred, np.array(rest[3:])), transform
    )
    power = bands.power(mosaic)
    sent = softcast_transform.chunks_of(
        floor, level_map.decode(coded.side[softcast_transform._FIXED.size :], bands.grid).ravel()
    )
    signal = sent.gain**2 * sent.power
    weight = signal / (signal + noise_variance)
    error = power.copy()
    error[sent.order] = weight**2 * noise_variance / sent.gain**2 + (1 - weight) ** 2 * power[sent.order]
    return float(error @ bands.sizes() / planes.size)


@pytest.mark.parametrize("transform", softcast_spectrum.TRANSFORMS)
@pytest.mark.parametrize("snr_db", [0, 10, 20])
def test_the_error_is_that_of_the_llse_in_closed_form(transform, snr_db):
    planes = photograph().astype(float).transpose(2, 0, 1)
    coded = softcast_transform.encode(planes, planes.size // 3, transform)
    noise_variance = float(np.mean(coded.values.astype(float) ** 2)) * 10 ** (-snr_db / 10)
    rng = np.random.default_rng(snr_db)
    decoded = [
        softcast_transform.decode(coded.side, received(coded, noise_variance, rng), (128, 192, 3), transform)
        for _ in range(4)
    ]
    measured = np.mean([np.square(d - planes).mean() for d in decoded])
    assert measured == pytest.approx(closed_form_error(planes, coded, noise_variance, transform), rel=0.03)


def test_power_allocation_is_as_good_as_theory_allows():
    """Against the least error over exponents of λ in g², the same power, by brute force with exact λ."""
    planes = photograph(channels=1).astype(float).transpose(2, 0, 1)
    coded = softcast_transform.encode(planes, planes.size // 3)
    power = np.square(np.abs(coded.values)).mean()
    error = closed_form_error(planes, coded, power * 1e-3)
    spectrum = np.square(dctn(planes - planes.mean(), axes=(1, 2), norm="ortho"))[0]
    bands = softcast_spectrum.bands_of((128, 192, 1), "image")
    chunk, size = bands.power(spectrum[None] ** 0.5), bands.sizes()
    order = np.argsort(-chunk)
    order = order[np.cumsum(size[order]) <= planes.size // 3]
    best = np.inf
    for exponent in np.linspace(-1, 0, 41):
        gain2 = chunk[order] ** exponent
        gain2 *= size[order].sum() / (gain2 * chunk[order] @ size[order])
        inside = (1e-3 / gain2 / (1 + 1e-3 / gain2 / chunk[order])) @ size[order]
        best = min(best, (inside + chunk @ size - chunk[order] @ size[order]) / planes.size)
    assert error < 1.05 * best


def test_values_are_white():
    """Hadamard whitening: pieces of the stream carry equal power, as packets of a SoftCast message should."""
    message = sent(photograph())
    pieces = np.array([np.square(p).mean() for p in np.array_split(message.analog, 16)])
    assert pieces.max() < 2 * pieces.min()


def test_lost_values_match_a_direct_estimator():
    """Values lost at random: the decoder's mean squared error is that of a dense LLSE for one group, computed
    here.
    """
    rng = np.random.default_rng(3)
    power = 4.0 ** -np.arange(16)
    mixing = hadamard(16) / 4
    noise = np.where(rng.random(16) < 0.3, np.inf, 0.01)
    seen = np.isfinite(noise)
    covariance = mixing[seen] @ np.diag(power) @ mixing[seen].T + np.diag(noise[seen])
    values = rng.standard_normal((16, 1)) * np.sqrt(power)[:, None]
    arrived = mixing @ values + rng.normal(0, 0.1, (16, 1))
    expected = np.diag(power) @ mixing[seen].T @ np.linalg.solve(covariance, arrived[seen])
    gained = ReceivedAnalog(
        np.where(seen, arrived[:, 0], 0).astype(np.float32), noise.astype(np.float32), seen
    )  # gains are g = λ^(-1/4): ask for the powers whose transmitted power is `power`
    chunks = softcast_transform.Chunks(np.arange(16), power**2)
    found = softcast_transform._estimate(chunks, gained, np.ones(16, np.int64)) * chunks.gain
    np.testing.assert_allclose(found, expected[:, 0], atol=2e-3)


@pytest.mark.parametrize(("cbr", "mcs"), [(1 / 6, None), (1 / 12, "QPSK-1/2"), (1 / 24, "16QAM-1/2")])
def test_everything_fits_the_budget_and_mostly_fills_it(cbr, mcs):
    image = photograph(192, 256)
    message = sent(image, Link(cbr=cbr, mcs=mcs))
    (stream,) = message.digital
    assert stream.mcs == (mcs or "BPSK-1/2")
    uses = analog.symbol_count(message.analog.size) + digital.symbol_count(len(stream.data), stream.mcs)
    assert uses <= cbr * image.size < 1.03 * uses + 672


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 40, 1), (7, 5, 3), (28, 28, 1), (65, 130, 3)])
@pytest.mark.parametrize("transform", softcast_spectrum.TRANSFORMS)
def test_any_size(shape, transform):
    image = photograph(*shape)
    decoded = through(sent(image, Link(cbr=min(40000 / image.size, 900)), transform=transform), 60.0)
    assert decoded.shape == shape and np.abs(decoded.astype(int) - image).max() <= 2


def test_flat_images_are_exact():
    image = np.full((64, 64, 3), (10, 100, 200), np.uint8)
    np.testing.assert_array_equal(through(sent(image, Link(cbr=0.5)), 0.0), image)


def test_quality_follows_the_snr_without_a_cliff():
    image = photograph()
    message = sent(image)
    quality = [metrics.psnr_db(through(message, snr_db), image) for snr_db in range(0, 21, 4)]
    assert all(0 < after - before < 4.5 for before, after in zip(quality[:-1], quality[1:], strict=True))


@pytest.mark.parametrize(("lost", "most_db"), [(0.05, 3.0), (0.2, 7.0)])
def test_lost_packets_cost_evenly(lost, most_db):
    image = photograph()
    message = sent(image, repair_share=0.6)
    whole = metrics.psnr_db(through(message, 10.0), image)
    for seed in range(4):
        assert metrics.psnr_db(through(message, 10.0, lost, seed), image) > whole - most_db


def test_without_side_information_there_is_no_image():
    message = sent(photograph(64, 64), Link(cbr=1.0))
    n = len(message.digital[0].data)
    analog_part = ReceivedAnalog(
        message.analog, np.zeros(message.analog.size, np.float32), np.ones(message.analog.size, bool)
    )
    lost = ReceivedDigital(bytes(n), np.zeros(n, bool), (0,))
    with pytest.raises(HscError, match="side information"):
        registry.create("softcast").decode(
            ReceivedMessage("softcast", (64, 64, 3), message.parameters, analog_part, (lost,))
        )


def test_a_budget_too_small_says_so():
    with pytest.raises(HscError, match="CBR"):
        sent(photograph(64, 64), Link(cbr=0.01))


@pytest.mark.parametrize("wrong", [{"transform": "dft"}, {"repair_share": 1.0}, {"chunk": 3}])
def test_wrong_options(wrong):
    with pytest.raises(HscError):
        registry.create("softcast", **wrong)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 3), st.integers(1, 12), st.integers(1, 12), st.integers(0, 63), st.integers(0, 2**32))
def test_level_maps_come_back(channels, rows, columns, largest, seed):
    levels = np.random.default_rng(seed).integers(0, largest + 1, (channels, rows, columns))
    np.testing.assert_array_equal(level_map.decode(level_map.encode(levels), levels.shape), levels)


def test_smooth_level_maps_take_less_than_independent_entries():
    rows, columns = np.mgrid[:20, :28]
    levels = np.rint(12 - 6 * np.log10(1 + np.hypot(rows, columns))).clip(0)[None].repeat(3, 0).astype(int)
    counts = np.unique(levels, return_counts=True)[1]
    entropy = -(counts * np.log2(counts / levels.size)).sum() / 8
    assert len(level_map.encode(levels)) < 0.5 * entropy


# level_map.encode of np.add.outer(np.arange(4), np.arange(6)) % 7 as one plane: what is on the air must not
# change.
GOLDEN_LEVELS = bytes.fromhex("46c8baabc5817171")


def test_level_map_golden():
    levels = (np.add.outer(np.arange(4), np.arange(6)) % 7)[None]
    assert level_map.encode(levels) == GOLDEN_LEVELS
    np.testing.assert_array_equal(level_map.decode(GOLDEN_LEVELS, levels.shape), levels)


@settings(max_examples=80, deadline=None)
@given(st.binary(max_size=300), st.binary(max_size=8), st.integers(0, 2**32), st.booleans())
def test_any_received_bytes_give_an_image_or_an_error(data, parameters, seed, right_crc):
    rng = np.random.default_rng(seed)
    body = data[2:]
    if right_crc:
        data = softcast_transform.crc16(body).to_bytes(2, "big") + body
        parameters = bytes([seed % 3]) + len(data).to_bytes(3, "big")
    n = int(rng.integers(0, 4000)) * 2
    seen = rng.random(n) < 0.9
    values = ReceivedAnalog(
        rng.normal(0, 3, n).astype(np.float32) * seen, np.where(seen, 0.1, np.inf).astype(np.float32), seen
    )
    mask = np.ones(len(data), bool) if right_crc else rng.random(len(data)) < 0.9
    message = ReceivedMessage(
        "softcast", (40, 56, 3), parameters, values if seed % 2 else None, (ReceivedDigital(data, mask),)
    )
    try:
        image = registry.create("softcast").decode(message).image
    except HscError:
        return
    assert image.shape == (40, 56, 3) and image.dtype == np.uint8


def test_parameters_are_described():
    message = sent(photograph(64, 64), transform="block8")
    known = registry.codec_class("softcast").describe(message.parameters + bytes(4))
    assert known["transform"] == "block8" and 20 <= known["side_bytes"] < 400
    with pytest.raises(HscError, match="not a SoftCast message"):
        registry.codec_class("softcast").describe(b"\x07")
