"""What codecs say of the error of their images, against the error that there is."""

import numpy as np
import pytest
import torch
from gnuradio.hsc.codecs import registry
from gnuradio.hsc.codecs.contract import ERROR_BANDS, MOST_ERROR, error_shape
from gnuradio.hsc.images.files import load
from gnuradio.hsc.message import Link, ReceivedAnalog, ReceivedDigital, ReceivedMessage
from gnuradio.hsc.nn.planes import to_planes
from gnuradio.hsc.nn.transform import KEPT, WIDTH, BlockTransform, pad
from gnuradio.hsc.refiner import bands
from gnuradio.hsc.systems.deepjscc import error
from gnuradio.hsc.systems.deepjscc.network import VALUES
from gnuradio.hsc.systems.deepjscc.spectrum import TokenSpectrum, dct2
from support import ROOT

SIDE = 32


def test_bands_of_an_image_are_means_of_its_coefficients():
    variance = torch.rand(WIDTH, 8, 8)
    found = bands.of_image(variance, (40, 57, 3))
    assert found.shape == error_shape((40, 57, 3)) == (ERROR_BANDS, 5, 8) and found.dtype == np.float32
    seen = variance[:, :5, :8].numpy()
    np.testing.assert_allclose(found[0], seen[0], rtol=1e-6)  # luma's mean alone
    np.testing.assert_allclose(found[1], seen[1:3].mean(0), rtol=1e-6)
    np.testing.assert_allclose(found[10], seen[[KEPT[0], KEPT[0] + KEPT[1]]].mean(0), rtol=1e-6)


def test_three_equal_planes_have_no_error_of_colour():
    variance = torch.rand(WIDTH, 5, 8)
    grey, colour = (bands.of_image(variance, (40, 57, channels)) for channels in (1, 3))
    assert np.array_equal(grey[:10], colour[:10]) and not grey[10:].any() and colour[10:].all()


# ---- DeepJSCC's linear path


def spectrum() -> TokenSpectrum:
    """One channel like the mean of blocks, which is alike in neighbours, and one that is white."""
    made = TokenSpectrum(2)
    falling = -3.0 * torch.arange(6.0)
    made.log_power.copy_(torch.stack([falling[:, None] + falling, torch.zeros(6, 6)]))
    return made


def tried(made, variance, gains, rng, tries):
    """Mean square error of `TokenSpectrum.receive` for maps of that spectrum: (1, 2, SIDE, SIDE)."""
    power, total = made.power(SIDE, SIDE), torch.zeros(1, 2, SIDE, SIDE)
    there = torch.isfinite(variance)
    for _ in range(tries):
        normal = torch.from_numpy(rng.standard_normal((2, 1, 2, SIDE, SIDE)).astype(np.float32))
        maps = dct2(power.sqrt() * normal[0], inverse=True)
        noisy = made.transmit(maps, gains) + torch.where(there, variance, 0).sqrt() * normal[1]
        found, _ = made.receive(torch.where(there, noisy, 0), variance, gains)
        total += (found - maps).square() / tries
    return total


@pytest.mark.parametrize("snr_db", [0.0, 10.0, 20.0])
@pytest.mark.parametrize("loss", [0.0, 0.1, 0.4])
def test_the_error_of_the_maps_is_that_of_the_receiver(snr_db, loss):
    """Exact without losses; of values that were lost, and of those beside them, within a factor of 1.7."""
    made, rng = spectrum(), np.random.default_rng(3)
    gains = made.gains(SIDE, SIDE, torch.tensor([snr_db]), torch.tensor([2]))
    lost = torch.from_numpy(rng.random((1, 2, SIDE, SIDE)) < loss)
    variance = torch.where(lost, torch.inf, 10 ** (-snr_db / 10))
    with torch.no_grad():
        said = error.of_maps(variance, gains, made.power(SIDE, SIDE))
        there_is = tried(made, variance, gains, rng, 24 if loss else 150)
    for channel in range(2):
        ratio = float(said[0, channel].mean() / there_is[0, channel].mean())
        assert abs(ratio - 1) < 0.15 if not loss else 1 / 1.7 < ratio < 1.7, (channel, ratio)
        if loss:
            gone = lost[0, channel]
            assert said[0, channel][gone].min() >= said[0, channel][~gone].max() * 0.999


def test_noisier_values_leave_more_open_and_nothing_leaves_more_than_all():
    made = spectrum()
    gains = made.gains(SIDE, SIDE, torch.tensor([10.0]), torch.tensor([2]))
    variance = torch.full((1, 2, SIDE, SIDE), 0.1)
    variance[..., : SIDE // 2] = 0.01
    power = made.power(SIDE, SIDE)
    said = error.of_maps(variance, gains, power)
    assert (said[..., 0] < said[..., -1]).all() and (said > 0).all()
    nothing = error.of_maps(torch.full_like(variance, torch.inf), gains, power)
    all_of_it = power.mean((1, 2))[:, None, None].expand_as(nothing[0])
    torch.testing.assert_close(nothing[0], all_of_it)
    unsent = made.gains(SIDE, SIDE, torch.tensor([10.0]), torch.tensor([1]))
    torch.testing.assert_close(error.of_maps(variance, unsent, power)[0, 1], all_of_it[1])
    for extreme in (0.0, 1e-38, 1e38):
        for those in (slice(None), slice(0, 1)):
            variance[..., those] = extreme
            said = error.of_maps(variance, gains, power)
            assert torch.isfinite(said).all() and (said <= all_of_it * 1.001).all()


@pytest.mark.parametrize("nonsense", [np.nan, np.inf, -1.0, 1e38])
def test_an_error_is_a_variance_that_pixels_can_have(nonsense):
    variance = torch.full((WIDTH, 1, 1), 0.5)
    variance[:1] = nonsense
    found = bands.of_image(variance, (8, 8, 3)).ravel()
    assert found[0] == (0 if nonsense == -1.0 else MOST_ERROR) and (found[1:] == 0.5).all()


def test_the_error_of_coefficients_is_that_of_a_linear_codec():
    """Tokens of unit power through E, noise of a variance of its own on each map, and D."""
    rng, tokens = np.random.default_rng(1), 4000
    normal = [rng.standard_normal(shape) for shape in ((VALUES, WIDTH), (WIDTH, VALUES), (WIDTH, tokens))]
    encoder, decoder, sent = (torch.from_numpy(each).float() for each in normal)
    encoder, decoder = encoder / 20, decoder / 20
    deviation, variance = torch.linspace(0.1, 2, WIDTH), torch.linspace(0, 1, VALUES)
    noise = torch.from_numpy(rng.standard_normal((VALUES, tokens))).float() * variance.sqrt()[:, None]
    found = decoder @ (encoder @ sent + noise)
    there_is = (found - sent).square().mean(1) * deviation.square()
    said = error.of_coefficients(variance[None, :, None, None], decoder, encoder, deviation)[0, :, 0, 0]
    torch.testing.assert_close(said, there_is, rtol=0.15, atol=0)


# ---- whole codecs


def crossed(message, snr_db, loss, rng):
    """AWGN; of the analog values a share is lost."""
    sent = np.zeros(len(message.analog) + len(message.analog) % 2, np.float32)
    sent[: len(message.analog)] = message.analog
    variance = np.mean(sent**2) * 10 ** (-snr_db / 10)
    lost = rng.random(sent.size) < loss
    noisy = sent + rng.standard_normal(sent.size) * np.sqrt(variance)
    analog = ReceivedAnalog(
        np.where(lost, 0, noisy).astype(np.float32),
        np.where(lost, np.inf, variance).astype(np.float32),
        ~lost,
    )
    digital = tuple(ReceivedDigital(s.data, np.ones(len(s.data), bool)) for s in message.digital)
    return ReceivedMessage(message.codec, message.shape, message.parameters, analog, digital, snr_db)


@pytest.mark.parametrize("name", ["deepjscc", "deepjscc_q", "hda_deepsc", "hda_hevc"])
@pytest.mark.parametrize("channels", [1, 3])
def test_codecs_know_how_wrong_their_image_is(name, channels):
    """On a photograph: in all within 4 dB, and in every band of luma within a factor of five."""
    photo = load(ROOT / "examples" / "images" / "parakeet.jpg").pixels[40:183, 60:261]
    image = photo if channels == 3 else photo[..., 1:2]
    transform, rng = BlockTransform(), np.random.default_rng(1)
    # without a DA ratio the base may be sent alone, of whose error nothing is known
    codec = registry.create(name, **({"da_ratio": 0.5} if name == "hda_hevc" else {}))
    for snr_db, loss in ((3.0, 0.0), (12.0, 0.0), (12.0, 0.2)):
        decoded = codec.decode(crossed(codec.encode(image, Link(snr_db, 1 / 3)), snr_db, loss, rng))
        assert decoded.error.shape == error_shape(image.shape) and decoded.error.dtype == np.float32
        assert np.isfinite(decoded.error).all() and (decoded.error >= 0).all()
        with torch.no_grad():
            pair = (transform(pad(to_planes(each), 8)) for each in (decoded.image, image))
            off = bands.of_coefficients((next(pair) - next(pair)).square()[0])
            there_is = off.mean((1, 2)).numpy()
        said = decoded.error.mean((1, 2))
        assert abs(10 * np.log10(said.mean() / there_is.mean())) < 4
        assert (np.abs(np.log(said[:10] / there_is[:10])) < np.log(5)).all()


def test_a_decoder_that_is_not_informed_cannot_tell():
    image = load(ROOT / "examples" / "images" / "kitten.jpg").pixels[40:80, 60:116]
    message = registry.create("deepjscc").encode(image, Link(10.0))
    received = crossed(message, 10.0, 0.0, np.random.default_rng(1))
    assert registry.create("deepjscc", informed=False).decode(received).error is None
    alone = registry.create("deepjscc").decode(received).error
    assert registry.create("deepjscc", denoiser="dncnn").decode(received).error.sum() < alone.sum()
