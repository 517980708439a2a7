"""GDN, BResNet and SumNet, and their training at toy size."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from gnuradio.hsc import weights
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.systems.ds2c2 import residual_network, residual_training
from gnuradio.hsc.systems.ds2c2.binarizer import binarise
from gnuradio.hsc.systems.ds2c2.gdn import Gdn
from gnuradio.hsc.systems.ds2c2.residual_network import ResidualNetwork, activity
from gnuradio.hsc.systems.ds2c2.residual_recipes import RECIPES, UPDATES, Erasures, Terms
from gnuradio.hsc.systems.ds2c2.residual_training import Distance, cross, lost_symbols
from gnuradio.hsc.training.loop import Run
from support.fields import data_folder, street_scenes
from support.perceptual import needs_perceptual
from torch.nn import functional

CLEAN = Erasures(calm=1.0)


def smooth_photos(count, size):
    """Random fields whose spectrum falls as photographs' do and whose grain comes and goes, uint8
    (count, size, size, 3).
    """
    rng = np.random.default_rng(1)
    radius = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size)[None]) + 1 / size
    fields = []
    for power in (1.5, 1.5, 0.8):
        noise = np.fft.fft2(rng.standard_normal((count, size, size, 1)), axes=(1, 2))
        field = np.real(np.fft.ifft2(noise / radius[..., None] ** power, axes=(1, 2)))
        fields.append(field / field.std())
    where = np.clip(fields[1], 0, None)
    return np.clip(128 + 40 * fields[0] + 20 * where * fields[2], 0, 255).repeat(3, -1).astype(np.uint8)


def blurred(images, fineness=0):
    """Stands for the base: means of 8 × 8 pixels, interpolated."""
    small = functional.avg_pool2d(images, 8)
    return functional.interpolate(small, scale_factor=8, mode="bilinear", align_corners=False)


@pytest.fixture(scope="module")
def images():
    return torch.from_numpy(smooth_photos(8, 128)).permute(0, 3, 1, 2).float() / 255


@pytest.fixture(scope="module")
def linear(images):
    """A network before any training."""
    torch.manual_seed(1)
    network = ResidualNetwork(16)
    network.initialise(images, blurred(images))
    return network.requires_grad_(False)


@pytest.fixture
def awake(linear):
    """The same with random numbers in the layers that begin with zeros."""
    torch.manual_seed(2)
    network = ResidualNetwork(16)
    network.load_state_dict(linear.state_dict())
    with torch.no_grad():
        for value in network.parameters():
            if not value.any():
                value.normal_(0, 0.01)
    return network


def mse(found, images):
    return (found - images).square().mean().item()


def sent(network, images, prior):
    return binarise(network.analyse(images, prior), training=False)


# ---- GDN


@pytest.mark.parametrize("inverse", [False, True])
def test_gdn_is_the_closed_formula(inverse):
    torch.manual_seed(1)
    layer = Gdn(5, inverse).double()
    with torch.no_grad():
        layer.root_beta.uniform_(0.5, 2)
        layer.root_gamma.uniform_(-1, 1)
    x = torch.randn(2, 5, 3, 4, dtype=torch.float64)
    beta, gamma = layer.root_beta.detach() ** 2, layer.root_gamma.detach() ** 2
    wanted = torch.empty_like(x)
    for i in range(5):
        root = (beta[i] + sum(gamma[i, j] * x[:, j] ** 2 for j in range(5))).sqrt()
        wanted[:, i] = x[:, i] * root if inverse else x[:, i] / root
    torch.testing.assert_close(layer(x), wanted, rtol=1e-5, atol=0)
    assert torch.autograd.gradcheck(layer, (x.clone().requires_grad_(),))


def test_gdn_begins_nearly_linear_and_all_of_it_learns():
    x = 0.1 * torch.randn(1, 8, 6, 6)
    for inverse in (False, True):
        layer = Gdn(8, inverse)
        torch.testing.assert_close(layer(x), x, atol=2e-3, rtol=0.01)
        layer(x).square().sum().backward()
        assert (layer.root_gamma.grad != 0).all() and (layer.root_beta.grad != 0).all()


# ---- the network


def test_the_start_is_a_working_codec_without_training(linear, images):
    """Each symbol takes away something, as the least squares of principal components should."""
    prior = blurred(images)
    symbols = sent(linear, images, prior)
    assert symbols.shape == (8, 16, 16, 16) and set(symbols.unique().tolist()) == {-1.0, 1.0}
    everything = torch.ones_like(symbols)
    sums, combined = linear.receive(symbols, everything, prior)
    torch.testing.assert_close(sums, combined)
    before, after = mse(prior, images), mse(combined, images)
    assert after < 0.75 * before
    half = torch.ones_like(symbols)
    half[:, 8:] = 0
    assert after < mse(linear.receive(symbols * half, half, prior)[0], images) < before
    # Sharper than without any symbol of the components' size.
    plain = 2 * linear.components(images - prior).gt(0).float() - 1
    torch.testing.assert_close(plain, symbols[:, :8])


def test_the_start_needs_no_more_than_it_is_given(images):
    """No residual at all, as of an image of one colour, is no reason to fail."""
    network = ResidualNetwork(8)
    network.initialise(images, images)
    assert all(value.isfinite().all() for value in network.state_dict().values())
    symbols = sent(network, images, images)
    assert mse(network.receive(symbols, torch.ones_like(symbols), images)[1], images) < 1e-6


def test_where_the_prior_is_busy_is_where_it_changes():
    flat = torch.full((1, 3, 64, 64), 0.4)
    busy = flat.clone()
    busy[..., 32:] += 0.05 * (torch.arange(32) % 2)
    low, high = activity(flat), activity(busy)
    assert low.shape == (1, 1, 8, 8) and low.max() < 0.05
    assert (high[..., 6:] > 0.9).all() and (high[..., 6:] < 1.1).all() and high[..., :2].max() < 0.05


@pytest.mark.parametrize("size", [(32, 32), (64, 96), (160, 32)])
@pytest.mark.parametrize("channels", [8, 34])
def test_any_size_and_rate(size, channels):
    torch.manual_seed(1)
    network = ResidualNetwork(channels)
    x, prior = torch.rand(2, 1, 3, *size)
    u = network.analyse(x, prior)
    assert u.shape == (1, channels, size[0] // 8, size[1] // 8) and u.abs().max() <= 1
    for known in (torch.ones(1, 1, *u.shape[2:]), torch.ones_like(u)):
        for found in network.receive(torch.sign(u), known, prior):
            assert found.shape == x.shape and found.isfinite().all()


def test_a_place_reaches_no_farther_than_its_surroundings(awake, images):
    """Nothing depends on the image's size: a part of an image is decoded as in the whole."""
    image, prior = images[:1], blurred(images[:1])
    symbols = sent(awake, image, prior)
    whole = awake.receive(symbols, torch.ones_like(symbols), prior)[1]
    cut = symbols[..., :12, :12]
    part = awake.receive(cut, torch.ones_like(cut), prior[..., :96, :96])[1]
    torch.testing.assert_close(part[..., :16, :16], whole[..., :16, :16], atol=1e-5, rtol=0)


def test_the_receiver_hears_the_mask_in_both_halves(awake, images):
    prior = blurred(images)
    symbols = sent(awake, images, prior)
    everything, some = torch.ones_like(symbols), torch.ones_like(symbols)
    some[:, :3] = 0
    with torch.no_grad():
        residual = awake.synthesise(symbols, everything, prior)
        assert not torch.equal(residual, awake.synthesise(symbols, some, prior))
        heard = awake.combine(prior, residual, some)
        assert not torch.equal(awake.combine(prior, residual, everything), heard)
        # One plane for all channels says the same as its mean.
        share = some.mean(1, keepdim=True)
        torch.testing.assert_close(heard, awake.combine(prior, residual, share))


def test_size_of_the_network():
    """1 to 1.5 million parameters, and at most 60 kMAC for a pixel."""
    network = ResidualNetwork(16)
    assert 1e6 < sum(value.numel() for value in network.parameters()) < 1.5e6
    spent = []

    def count(layer, _, output):
        spent.append(layer.weight[0].numel() * output[0].numel())

    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.register_forward_hook(count)
    x = torch.rand(1, 3, 64, 64)
    u = network.analyse(x, x)
    network.receive(u, u, x)
    assert sum(spent) / 64**2 < 60e3


# ---- losses on the way


def test_losses_are_whole_blocks_in_their_share(monkeypatch):
    torch.manual_seed(1)
    monkeypatch.setattr(residual_training, "BLOCKS", (24,))
    block = residual_training._block_of(16, 16, 16, 24)
    shares = []
    for _ in range(40):
        lost = lost_symbols(torch.Size((4, 16, 16, 16)), Erasures(least=0.1, most=0.3))
        for image in lost:
            assert all(len(image[block == n].unique()) == 1 for n in range(24))
        shares += lost.float().mean((1, 2, 3)).tolist()
    assert np.mean(shares) == pytest.approx(0.2, abs=0.03) and np.std(shares) > 0.05


def test_receivers_in_training_are_those_of_the_plan():
    torch.manual_seed(1)
    symbols = torch.sign(torch.randn(2, 16, 8, 8))
    for erasures in (CLEAN, Erasures(calm=0.0, least=0.0, most=0.0, untold=0.0)):
        came, known = cross(symbols, erasures)
        assert torch.equal(came, symbols) and (known == 1).all()
    told, known = cross(symbols, Erasures(calm=0.0, least=0.5, most=0.5, untold=0.0))
    assert set(known.unique().tolist()) == {0.0, 1.0} and torch.equal(told, symbols * known)
    untold, known = cross(symbols, Erasures(calm=0.0, least=0.5, most=0.5, untold=1.0))
    assert (known == 1).all() and set(untold.unique().tolist()) == {-1.0, 1.0}
    assert (untold[symbols == -1] == -1).all() and 0.2 < (untold[symbols == 1] == -1).float().mean() < 0.8
    calm = sum(torch.equal(cross(symbols, Erasures())[0], symbols) for _ in range(400))
    assert 0.33 < calm / 400 < 0.5, "40 %, and some that lose nothing by chance"


def test_the_loss_trains_all_of_the_network(awake, images):
    torch.manual_seed(1)
    distance = Distance(Terms(1.0, 1.0, 0.0, 0.1), None)
    value, error = residual_training.loss(awake, images, blurred(images), distance, Erasures(), True)
    value.backward()
    assert 0 < error < 0.05
    for name, parameter in awake.named_parameters():
        assert parameter.grad.isfinite().all() and parameter.grad.abs().sum() > 0, name


def test_training_on_the_unknown_mask_beats_the_clean_start(linear, images):
    """A few steps on the loss lower it, for the paper's receiver."""
    torch.manual_seed(1)
    network = ResidualNetwork(16)
    network.load_state_dict(linear.state_dict())
    images = images[:4, :, :64, :64]
    prior, hard = blurred(images), Erasures(calm=0.0, least=0.3, most=0.3, untold=1.0)
    distance = Distance(Terms(0.0, 0.0, 0.0, 1.0), None)
    optimizer = torch.optim.Adam(network.parameters(), 2e-3)
    errors = []
    for _ in range(20):
        value, error = residual_training.loss(network, images, prior, distance, hard, False)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        errors.append(error.item())
    assert np.mean(errors[-5:]) < 0.9 * np.mean(errors[:3])


# ---- the terms of the loss


class Far(torch.nn.Module):
    """Stands for VGG where its weights are not installed: mean squared differences of neighbours."""

    def forward(self, found, images):
        return (found.diff(dim=-1) - images.diff(dim=-1)).square().mean((1, 2, 3))


def test_terms_of_the_distance(images):
    torch.manual_seed(1)
    noisy = images + 0.1 * torch.randn_like(images)
    alone = {
        "l1": (Terms(2.0, 0, 0, 0), 2 * (noisy - images).abs().mean().item()),
        "psnr": (Terms(0, 0, 0, 1.0), np.log10(mse(noisy, images) + 1e-5)),
    }
    for name, (terms, wanted) in alone.items():
        assert Distance(terms, None)(noisy, images).item() == pytest.approx(wanted, abs=5e-3), name
    similar = Distance(Terms(0, 1.0, 0, 0), None)
    assert similar(images, images).item() == pytest.approx(0, abs=1e-5)
    assert 0.2 < similar(noisy, images).item() < 1
    together = Distance(Terms(1.0, 1.0, 1.0, 0), Far())
    assert together(images, images).abs() < 1e-4 < together(noisy, images)
    schedule = Terms(psnr_alone_from=0.5)
    assert schedule.at(0.4) == schedule and schedule.at(0.5) == replace(schedule.at(0.9))
    assert schedule.at(0.5).vgg == 0 and schedule.at(0.5).psnr == 1


@needs_perceptual
def test_vgg_is_a_distance(images):
    torch.manual_seed(1)
    distance = Distance(Terms(0, 0, 1.0, 0), residual_training.Lpips("vgg", 3))
    noisy = images + 0.1 * torch.randn_like(images)
    assert distance(images, images).abs() < 1e-5 and distance(noisy, images) > 0.01


# ---- recipes


@pytest.fixture
def folder(tmp_path):
    return data_folder(tmp_path, smooth_photos(2, 288), smooth_photos(1, 100)[0])


@pytest.fixture
def stand_ins(monkeypatch):
    """The base and VGG without weights, few crops."""
    monkeypatch.setattr(residual_training, "prior_of", lambda run, device: blurred)
    monkeypatch.setattr(residual_training, "Lpips", lambda name, taps: Far())
    for constant, value in (("FIT_CROPS", 48), ("FIT_SIZE", 64)):
        monkeypatch.setattr(residual_training, constant, value)


@pytest.mark.parametrize("chosen", [RECIPES[0], RECIPES[3], RECIPES[5]], ids=lambda recipe: recipe.name)
def test_recipe_trains_exports_and_resumes(chosen, folder, stand_ins):
    small = replace(chosen, steps=2, batch=2, crop=64, finenesses=(0, 2))
    out = folder / "runs"
    torch.manual_seed(1)
    figures = small.train(Run(small, out, folder), None)
    assert len(figures) == 8 and all(np.isfinite(value) for value in figures.values())
    by_name = {name: figures[f"kodak, fineness 0, {name}: PSNR [dB]"] for name in ("x′", "no erasures")}
    assert by_name["no erasures"] > by_name["x′"] + 0.5, "the start is a codec already"
    card = weights.card(small.name, out)
    assert card["steps"] == 2 and card["recipe"]["channels"] == chosen.channels
    longer = replace(small, steps=3)
    longer.train(Run(longer, out, folder), None)
    assert weights.card(small.name, out)["steps"] == 3
    state = weights.load(small.name, out)
    ResidualNetwork(chosen.channels).load_state_dict(state)
    # And further from what was shipped, with a new schedule.
    Run(small, out).checkpoint.unlink()
    again = replace(small, steps=1)
    again.train(Run(again, out, folder), state)
    assert weights.card(small.name, out)["steps"] == 1


def test_an_update_sees_as_many_street_scenes_as_it_says(folder, stand_ins):
    street_scenes(folder, 12)
    chosen = next(each for each in RECIPES if each.name.endswith("-street-16"))
    small = replace(chosen, steps=2, batch=2, crop=64, finenesses=(1,), samples=1, channels=8)
    assert len(Run(small, folder / "runs", folder).photos().shapes) == 1
    torch.manual_seed(1)
    figures = small.train(Run(small, folder / "runs", folder), None)
    assert all(name.startswith("street, ") for name in figures) and len(figures) == 4
    assert "1 of them" in weights.card(small.name, folder / "runs")["data"]


def test_recipes_are_those_of_the_plan():
    rates = {each.name.removeprefix("ds2c2-residual-"): each.channels / 64 for each in RECIPES}
    updates = {f"0.54-street-{samples}" for samples in UPDATES}
    assert set(rates) == {"0.13", "0.26", "0.54", "1.0", "0.26-clean", "0.26-8"} | updates
    for name, rate in rates.items():
        assert rate == pytest.approx(float(name.split("-")[0]), abs=0.011)
    by_name = {each.name: each for each in RECIPES}
    assert by_name["ds2c2-residual-0.26-clean"].erasures.calm == 1
    eight = by_name["ds2c2-residual-0.26-8"].erasures
    assert eight.calm == 0 and eight.least == eight.most == 0.08 and eight.untold > 0
    assert all(each.crop % residual_network.MULTIPLE == 0 and each.channels % 2 == 0 for each in RECIPES)


def test_shipped_weights_make_a_network_of_their_own_channels(monkeypatch, linear, images):
    monkeypatch.setattr(residual_network.weights, "load", lambda name: linear.state_dict())
    residual_network.load_network.cache_clear()
    loaded = residual_network.load_network("some")
    residual_network.load_network.cache_clear()
    assert loaded.channels == 16
    prior = blurred(images)
    torch.testing.assert_close(loaded.analyse(images, prior), linear.analyse(images, prior))


def test_missing_weights_are_said():
    with pytest.raises(HscError, match="no weights 'ds2c2-residual-none'"):
        residual_network.load_network("ds2c2-residual-none")
