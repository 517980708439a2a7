"""DeepJSCC and DeepJSCC-Q: the linear path against theory, the codecs over a channel, losses, budgets and
damaged messages.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from gnuradio.hsc import metrics, weights
from gnuradio.hsc.app import train
from gnuradio.hsc.codecs import registry
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.images.files import load
from gnuradio.hsc.message import Link, Message, ReceivedAnalog, ReceivedMessage
from gnuradio.hsc.phy import analog
from gnuradio.hsc.systems.deepjscc import constellation, maps
from gnuradio.hsc.systems.deepjscc import training as jscc
from gnuradio.hsc.systems.deepjscc.network import VALUES, DeepJscc
from gnuradio.hsc.systems.deepjscc.parameters import AnalogParameters, token_shape
from gnuradio.hsc.systems.deepjscc.spectrum import TokenSpectrum
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from support import ROOT

IMAGES = ROOT / "examples" / "images"
CODECS = ("deepjscc", "deepjscc_q")
TOLD = (torch.tensor([10.0]), torch.tensor([VALUES]))


@pytest.fixture(scope="module")
def photo():
    """A photograph, uint8 (160, 232, 3)."""
    return load(IMAGES / "parakeet.jpg").pixels[40:200, 30:262]


def cross(message: Message, snr_db: float, lost: float = 0.0, seed: int = 1) -> ReceivedMessage:
    """AWGN, and a share of the symbols lost."""
    rng = np.random.default_rng(seed)
    symbols, scale = analog.modulate(message.analog)
    noise = 10 ** (-snr_db / 10)
    symbols = symbols + (rng.standard_normal((len(symbols), 2)) @ [1, 1j]) * (noise / 2) ** 0.5
    variance = np.where(rng.random(len(symbols)) < lost, np.inf, noise)
    stream = analog.demodulate(symbols, variance, np.isfinite(variance), scale)
    return ReceivedMessage(message.codec, message.shape, message.parameters, stream, (), snr_db)


# --- the linear path


def steep_spectrum(channels: int = 3) -> TokenSpectrum:
    spectrum = TokenSpectrum(channels)
    slope = -torch.arange(6.0)[:, None] - 0.5 * torch.arange(6.0)
    spectrum.log_power.copy_(slope + 2 - 2 * torch.arange(float(channels))[:, None, None])
    return spectrum


def test_gains_spend_unit_power_and_beat_softcast_at_low_snr():
    spectrum = steep_spectrum()
    power = spectrum.power(32, 32)
    for snr_db in (0.0, 10.0):
        noise = 10 ** (-snr_db / 10)
        spent = spectrum.gains(32, 32, torch.tensor([snr_db]), torch.tensor([3]))[0].square() * power
        softcast = power.sqrt() / power.sqrt().mean()
        assert spent.mean().item() == pytest.approx(1, rel=0.06)
        error, error_softcast = (
            (power * noise / (p + noise)).mean() for p in (spent / spent.mean(), softcast)
        )
        assert error < error_softcast
    high = spectrum.gains(32, 32, torch.tensor([60.0]), torch.tensor([3]))[0].square() * power
    torch.testing.assert_close(high, softcast, rtol=0.05, atol=1e-3)


def test_receiver_is_the_linear_mmse_estimator():
    """Against the textbook formula C_xy C_yy⁻¹ y with dense matrices over a 4 × 6 map; with uneven noise and
    losses too.
    """
    spectrum = steep_spectrum(1)
    gains = spectrum.gains(4, 6, torch.tensor([3.0]), torch.tensor([1]))
    impulses = torch.eye(24).reshape(24, 1, 4, 6)
    transmit = spectrum.transmit(impulses, gains).reshape(24, 24).T.double()
    prior = spectrum.transmit(impulses, spectrum.power(4, 6)[None]).reshape(24, 24).double()
    random = torch.Generator().manual_seed(1)
    values = torch.randn(1, 1, 4, 6, generator=random)
    uneven = 0.2 + torch.rand(1, 1, 4, 6, generator=random)
    lossy = torch.where(torch.rand(1, 1, 4, 6, generator=random) < 0.3, torch.inf, uneven)
    for variance in (torch.full_like(values, 0.3), uneven, lossy):
        there = torch.isfinite(variance).flatten()
        cross_covariance = (prior @ transmit.T)[:, there]
        covariance = (transmit @ prior @ transmit.T)[there][:, there] + torch.diag(
            variance.flatten()[there]
        ).double()
        expected = cross_covariance @ torch.linalg.solve(covariance, values.flatten()[there].double())
        maps, reliability = spectrum.receive(values, variance, gains)
        torch.testing.assert_close(maps.flatten().double(), expected, rtol=5e-3, atol=2e-3)
        left = torch.trace(
            prior - cross_covariance @ torch.linalg.solve(covariance, cross_covariance.T)
        ) / torch.trace(prior)
        assert 1 - reliability[reliability > 0].mean().item() == pytest.approx(
            left.item(), rel=1e-3 if there.all() and variance is not uneven else 0.5
        )


def test_untrained_network_passes_what_its_values_hold():
    torch.manual_seed(1)
    model = DeepJscc().eval()
    model.initialise(torch.rand(4, 3, 128, 128))
    coefficients = torch.zeros(1, 120, 6, 5)
    kept = model.channel_encoder.weight[:, :, 0, 0].abs().argmax(1)
    coefficients[:, kept] = 0.1 * torch.randn(1, VALUES, 6, 5)
    images = model.transform.inverse(coefficients)
    with torch.no_grad():
        values = model.encode(images, *TOLD)
        decoded = model.decode(values, torch.zeros_like(values), *TOLD)
    # What a budget of 10 dB leaves out is all that is missing.
    assert (decoded - images).square().mean() < 0.1 * (images - 0.5).square().mean()
    high = (torch.tensor([40.0]), torch.tensor([VALUES]))
    with torch.no_grad():
        values = model.encode(images, *high)
        torch.testing.assert_close(
            model.decode(values, torch.zeros_like(values), *high), images, atol=2e-3, rtol=0
        )


# --- the codecs


@pytest.mark.parametrize("name", CODECS)
def test_quality_rises_with_snr_and_budget_is_kept(name, photo):
    codec = registry.create(name)
    quality = []
    for snr_db in (0.0, 10.0, 20.0):
        message = codec.encode(photo, Link(snr_db=snr_db))
        assert len(analog.modulate(message.analog)[0]) <= photo.size / 6
        quality.append(metrics.psnr_db(codec.decode(cross(message, snr_db)).image, photo))
    assert 20 < quality[0] < quality[1] - 1 and quality[1] < quality[2]
    no_cliff = [
        metrics.psnr_db(codec.decode(cross(codec.encode(photo, Link(snr_db=10)), snr)).image, photo)
        for snr in range(10, -1, -1)
    ]
    assert np.all(np.diff(no_cliff) > -2)


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize(
    ("shape", "cbr"),
    [
        ((40, 56, 3), 1 / 12),
        ((33, 47, 3), 1 / 6),
        ((64, 48, 1), 1 / 6),
        ((9, 1, 3), 0.4),
        ((8, 8, 3), 1 / 24),
        ((8, 8, 1), 1 / 24),
    ],
)
def test_any_size_grey_and_every_budget(name, shape, cbr):
    image = np.random.default_rng(1).integers(90, 110, shape, np.uint8)
    codec = registry.create(name)
    message = codec.encode(image, Link(cbr=cbr))
    assert 2 * len(analog.modulate(message.analog)[0]) <= 2 * cbr * image.size + 1e-6
    decoded = codec.decode(cross(message, 30)).image
    assert decoded.shape == shape and decoded.dtype == np.uint8
    assert metrics.psnr_db(decoded, image) > 22


@pytest.mark.parametrize("name", CODECS)
def test_lost_symbols_cost_quality_not_the_image(name, photo):
    codec = registry.create(name)
    message = codec.encode(photo, Link(snr_db=10))
    whole, part = (
        metrics.psnr_db(codec.decode(cross(message, 10, lost)).image, photo) for lost in (0.0, 0.2)
    )
    assert whole - 10 < part < whole
    with pytest.raises(HscError, match="nothing"):
        codec.decode(cross(message, 10, 1.0))


@pytest.mark.parametrize("name", CODECS)
def test_what_cannot_be_is_refused(name, photo):
    codec = registry.create(name)
    for image in (photo.astype(np.float32), photo[:, :, :2], photo[:, :, 0]):
        with pytest.raises(HscError, match="image"):
            codec.encode(image, Link())
    for cbr in (1e-4, 0.0, -1.0):
        with pytest.raises(HscError, match="CBR"):
            codec.encode(photo, Link(cbr=cbr))
    with pytest.raises(HscError, match="option"):
        registry.create(name, colour="red")
    with pytest.raises(HscError, match="points"):
        registry.create("deepjscc_q", points=7)


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(CODECS),
    parameters=st.binary(max_size=8),
    shape=st.tuples(st.integers(8, 40), st.integers(8, 40), st.sampled_from([1, 3])),
    count=st.integers(0, 2000),
    data=st.data(),
)
def test_damaged_messages_give_an_image_or_an_error(name, parameters, shape, count, data):
    """Random parameters, and valid ones with values that are wild or too few."""
    if data.draw(st.booleans()):
        good = AnalogParameters.choose(
            shape, int(0.4 * np.prod(shape)), Link(snr_db=7), 8 if name == "deepjscc_q" else 0
        )
        good = replace(good, mixed=data.draw(st.booleans()))
        parameters = good.pack() + data.draw(st.binary(min_size=2, max_size=2))
        count = data.draw(st.sampled_from([count, good.count * int(np.prod(token_shape(shape)))]))
    values = np.full(count, data.draw(st.sampled_from([0.0, 1.0, -1e30, np.nan, np.inf])), np.float32)
    variance = np.full(count, data.draw(st.sampled_from([0.0, 0.5, 1e30, np.nan, np.inf])), np.float32)
    variance[::3] = data.draw(st.sampled_from([0.0, 0.5, 1e30, np.inf]))
    received = ReceivedAnalog(values, variance, np.ones(count, bool))
    try:
        image = registry.create(name).decode(ReceivedMessage(name, shape, parameters, received)).image
    except HscError:
        return
    assert image.shape == shape and image.dtype == np.uint8


# --- mixing of the values


def unmixed(message: Message) -> Message:
    """The message of versions before: its values one map after the other. Mixing twice is not mixing."""
    parameters = replace(AnalogParameters.unpack(message.parameters), mixed=False)
    values = maps.mix(torch.from_numpy(message.analog)).numpy()
    return replace(message, parameters=parameters.pack(), analog=values)


@pytest.mark.parametrize(("side", "cbr"), [((160, 232), 1 / 6), ((33, 47), 1 / 7), ((8, 16), 0.03)])
@pytest.mark.parametrize("options", [{}, {"denoiser": "diffsdnet", "denoiser_steps": 2}, {"informed": False}])
def test_without_losses_mixing_changes_nothing_and_older_messages_are_decoded(photo, side, cbr, options):
    """The same noise on the values before and behind the mixing gives the same image, to a grey level."""
    image = np.ascontiguousarray(photo[: side[0], : side[1]])
    message = registry.create("deepjscc").encode(image, Link(5.0, cbr))
    older = unmixed(message)
    assert len(older.analog) == len(message.analog)
    deviation = message.analog.std() * 10 ** (-5 / 20)
    noise = deviation * np.random.default_rng(1).standard_normal(len(older.analog)).astype(np.float32)
    variance, there = np.full(len(noise), deviation**2, np.float32), np.ones(len(noise), bool)
    codec, images = registry.create("deepjscc", **options), []
    for each, error in ((older, noise), (message, maps.mix(torch.from_numpy(noise)).numpy())):
        stream = ReceivedAnalog(each.analog + error, variance, there)
        images.append(codec.decode(ReceivedMessage("deepjscc", each.shape, each.parameters, stream)).image)
    assert np.abs(np.subtract(*images, dtype=int)).max() <= 1


def test_a_lost_packet_costs_less_than_unmixed(photo):
    codec = registry.create("deepjscc")
    message = codec.encode(photo, Link(snr_db=10))
    mixed, before = (
        metrics.psnr_db(codec.decode(cross(each, 10, 1 / 8)).image, photo)
        for each in (message, unmixed(message))
    )
    assert mixed > before + 1


def test_parameters_tell_whether_values_are_mixed(photo):
    packed = {name: registry.create(name).encode(photo, Link()).parameters for name in CODECS}
    assert packed["deepjscc"][2] == 0x80 and packed["deepjscc_q"][2] == 4
    for mixed in (False, True):
        parameters = AnalogParameters(5, 7.25, mixed=mixed)
        assert AnalogParameters.unpack(parameters.pack()) == parameters
    with pytest.raises(HscError, match="another version"):
        AnalogParameters.unpack(bytes([64, 0, 0x84]))


# --- the constellation


@pytest.mark.parametrize("points", [4, 64, 4096])
def test_every_symbol_sent_is_a_point_of_the_constellation(points, photo):
    message = registry.create("deepjscc_q", points=points).encode(photo, Link(snr_db=10))
    levels = round(points**0.5)
    assert set(np.unique(message.analog)) <= set(range(1 - levels, levels, 2))
    symbols, _ = analog.modulate(message.analog)
    assert len(np.unique(np.round(symbols, 5))) <= points


def test_soft_decisions_are_the_posterior_mean():
    units, variance = torch.tensor([0.3, 2.9, -4.4]), torch.tensor([0.5, 0.05, 1.5])
    points = torch.arange(-63.0, 64, 2)
    weight = torch.exp(-(units[:, None] - points).square() / (2 * variance[:, None]))
    weight = weight / weight.sum(1, keepdim=True)
    expected = (weight * points).sum(1)
    mean, spread = constellation.soft_receive(units, variance, 64)
    torch.testing.assert_close(mean, expected, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(
        spread, (weight * (points - expected[:, None]).square()).sum(1), rtol=1e-2, atol=1e-3
    )
    lost = constellation.soft_receive(units, torch.full((3,), torch.inf), 8)
    assert not lost[0].any() and torch.isinf(lost[1]).all()


@pytest.mark.parametrize(("levels", "published"), [(2, 0.3634), (4, 0.1188), (8, 0.03744), (16, 0.01154)])
def test_quantiser_is_the_best_uniform_one(levels, published):
    """Distortions of Max, IRE Trans. Inform. Theory 1960, table II; the error is told for values without
    bias.
    """
    best = constellation.quantiser(levels)
    assert best.error * best.unit**2 == pytest.approx(published / (1 - published), rel=0.01)
    values = torch.randn(200_000, generator=torch.Generator().manual_seed(1))
    error = best.unit * constellation.decide(values / best.step, levels) - values
    assert error.square().mean().item() == pytest.approx(best.error * best.unit**2, rel=0.03)
    assert abs((error * values).mean().item()) < 0.005


def test_straight_through_decides_hard_and_has_a_gradient():
    units = torch.linspace(-6, 6, 25, requires_grad=True)
    decided = constellation.soft_decide(units, 4)
    torch.testing.assert_close(decided.detach(), constellation.decide(units.detach(), 4))
    assert set(decided.detach().tolist()) == {-3.0, -1.0, 1.0, 3.0}
    decided.sum().backward()
    assert units.grad[8:17].min() > 0.2


@pytest.mark.parametrize("count", [16, 21, 64])
def test_mixing_makes_values_alike_and_is_undone(count):
    torch.manual_seed(count)
    loud = torch.where(torch.rand(1, 1, 40, 24) < 0.1, 1.0, 0.05)
    values = loud * torch.logspace(0, -1, count)[None, :, None, None] * torch.randn(1, count, 40, 24)
    mixed = constellation.mix(values, count)
    assert mixed.square().sum().item() == pytest.approx(values.square().sum().item(), rel=1e-3)
    kurtosis = [(x.pow(4).mean() / x.square().mean().square()).item() for x in (values, mixed)]
    assert kurtosis[0] > 20 and kurtosis[1] == pytest.approx(3, abs=0.4)  # Gaussian
    there, noise = constellation.unmix(mixed, torch.full_like(mixed, 0.25), VALUES)
    torch.testing.assert_close(there[:, :count], values, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(noise[:, :count], torch.full_like(values, 0.25), rtol=1e-4, atol=0)
    assert torch.isinf(noise[:, count:]).all()


def test_losses_have_the_variance_that_is_told():
    torch.manual_seed(3)
    values = torch.randn(1, VALUES, 30, 30)
    lost = torch.rand(1, VALUES, 30, 30) < 0.2
    mixed = constellation.mix(values, VALUES)
    there, noise = constellation.unmix(
        mixed.masked_fill(lost, 5.0), torch.where(lost, torch.inf, 0.0), VALUES
    )
    assert (there - values).square().mean().item() == pytest.approx(noise.mean().item(), rel=0.05)


# --- training


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("data")
    for sub, suffix, side in (("photos/train", "jpg", 200), ("kodak", "png", 72)):
        (path / sub).mkdir(parents=True)
        Image.fromarray(load(IMAGES / "lake.jpg").pixels[:side, :side]).save(path / sub / f"0.{suffix}")
    return path


def test_gradients_are_finite_with_losses_and_a_constellation(photo):
    torch.manual_seed(1)
    model = DeepJscc()
    images = torch.from_numpy(photo[:128, :128].copy()).permute(2, 0, 1)[None].float() / 255
    model.initialise(images)
    links = jscc.Links(torch.tensor([5.0]), torch.tensor([5.0]), torch.tensor([32]))
    for levels in (0, 8):
        model.zero_grad()
        jscc.send(model, images, links, jscc.Hazards(1, 1, 1), levels).square().mean().backward()
        gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
        assert (
            all(torch.isfinite(gradient).all() for gradient in gradients)
            and max(g.abs().max() for g in gradients) > 0
        )


def test_recipes_run_at_toy_size_one_after_the_other(folder, tmp_path):
    for name in ("deepjscc", "deepjscc-q"):
        figures = train.train(name, folder, steps=2, out=tmp_path)
        assert list(figures) == [f"kodak, AWGN {snr} dB: PSNR [dB]" for snr in (0, 5, 10, 15, 20)]
        assert 15 < figures["kodak, AWGN 0 dB: PSNR [dB]"] < figures["kodak, AWGN 20 dB: PSNR [dB]"]


# --- what the contract says of them


def test_parameters_are_described(photo):
    message = registry.create("deepjscc").encode(photo, Link(7.1, 1 / 12))
    known = registry.codec_class("deepjscc").describe(message.parameters + bytes(5))
    assert known == {"values_per_token": 32, "snr_db": 7.0}
    message = registry.create("deepjscc_q", points=256).encode(photo, Link())
    known = registry.codec_class("deepjscc_q").describe(message.parameters + bytes(3))
    assert known == {"values_per_token": VALUES, "snr_db": 40.0, "levels": 16}
    with pytest.raises(HscError, match="out of range"):
        registry.codec_class("deepjscc").describe(bytes(8))


def test_codecs_name_all_weights_of_the_room():
    named = [name for codec in CODECS for name in registry.codec_class(codec).weights]
    assert sorted(named) == [name for name in weights.names() if name.startswith("deepjscc")]
