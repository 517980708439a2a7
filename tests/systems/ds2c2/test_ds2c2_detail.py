"""The receiver's network of DS²C²'s dispersed coding and its training at toy size."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from gnuradio.hsc import weights
from gnuradio.hsc.nn.transform import BlockTransform
from gnuradio.hsc.systems.ds2c2 import detail_training as training
from gnuradio.hsc.systems.ds2c2 import dispersed
from gnuradio.hsc.systems.ds2c2.detail_network import DetailNetwork, token_variance
from gnuradio.hsc.training.loop import Run, planes
from gnuradio.hsc.training.recipe import Recipe
from support.detail import DctPrior, textures
from support.fields import data_folder

PRIOR = DctPrior()


@dataclass(frozen=True, kw_only=True)
class PlainTraining(Recipe):
    """The recipe behind the plain base."""

    def build(self):
        return DetailNetwork(PRIOR.finenesses, PRIOR.features)

    def train(self, run, start):
        return training.train(run, start or {}, PRIOR)


RECIPE = PlainTraining(name="plain-detail", data="photos", steps=2, batch=2, learning_rate=1e-3, crop=64)


@pytest.fixture(scope="module")
def images():
    return planes(textures(6, 128))


@pytest.fixture(scope="module")
def linear(images):
    """The network before any training, with its tables."""
    torch.manual_seed(1)
    network = RECIPE.build()
    training.fit_tables(network, PRIOR, images)
    return network.requires_grad_(False).eval()


def moved(network):
    """A copy whose zeros are gone: what begins with them hides what lies before."""
    found = RECIPE.build()
    found.load_state_dict(network.state_dict())
    torch.manual_seed(1)
    with torch.no_grad():
        for value in found.parameters():
            if not value.any():
                value.normal_(0, 0.01)
    return found


@pytest.fixture
def folder(tmp_path):
    return data_folder(tmp_path, textures(2, 288), textures(1, 100)[0])


def test_the_untrained_network_adds_the_detail_to_the_base(linear, images):
    synthesised = PRIOR.synthesise(PRIOR.code(images, 0), 0)
    z = dispersed.analyse(images - synthesised)
    found = linear(z, torch.rand_like(z), synthesised)
    assert torch.allclose(found, synthesised + dispersed.synthesise(z), atol=1e-6)


def test_variances_of_tokens_are_those_of_all_coefficients_they_share():
    """Against the squares of the linear map itself, coefficient by coefficient."""
    transform = BlockTransform().requires_grad_(False)
    basis = torch.eye(dispersed.CHANNELS)[..., None, None]
    columns = transform(dispersed.synthesise(basis) + 0.5)
    generator = torch.Generator().manual_seed(1)
    variance = torch.rand(2, dispersed.CHANNELS, 2, 3, generator=generator)
    wanted = torch.einsum("cthw,bcij->btihjw", columns.square(), variance)
    assert torch.allclose(token_variance(variance), wanted.reshape(2, 120, 4, 6), atol=1e-5)


def test_an_image_is_the_same_in_any_batch_and_with_any_threads(linear, images):
    network = moved(linear).eval().requires_grad_(False)
    synthesised = PRIOR.synthesise(PRIOR.code(images, 0), 0)
    z = dispersed.analyse(images - synthesised)
    together = network(z, z.square(), synthesised)
    before = torch.get_num_threads()
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            alone = network(z[2:3], z[2:3].square(), synthesised[2:3])
            assert torch.allclose(alone[0], together[2], atol=1e-5)
    finally:
        torch.set_num_threads(before)


def test_what_is_lost_is_told_to_the_network(linear, images):
    network = moved(linear).eval().requires_grad_(False)
    synthesised = PRIOR.synthesise(PRIOR.code(images[:1], 0), 0)
    z = torch.zeros(1, dispersed.CHANNELS, 8, 8)
    sure, unsure = (network(z, torch.full_like(z, value), synthesised) for value in (1e-6, 1e-2))
    assert (sure - unsure).abs().max() > 1e-4


def test_training_loses_chunks_in_six_of_ten_images_and_never_too_many(linear, images, monkeypatch):
    torch.manual_seed(1)
    model = linear.model()
    c = PRIOR.code(images[:1], 0)
    z = dispersed.analyse(images[:1] - PRIOR.synthesise(c, 0))[0].numpy()
    scale = dispersed.scales(linear.scale_weight[0].numpy(), c[0], PRIOR.means)
    shares = []
    monkeypatch.setattr(
        dispersed,
        "estimate",
        lambda symbols, lost, rows, *_: shares.append(lost[rows % dispersed.ROWS > 0].mean()),
    )
    for _ in range(150):
        training._crossed(z, scale, 40, model)
    shares = np.array(shares)
    assert 0.3 < (shares == 0).mean() < 0.65, "some of the others happen to lose none"
    assert 0.2 < shares.max() < 0.55 and 0.04 < shares.mean() < 0.14


def test_the_loss_trains_all_of_the_network(linear, images):
    torch.manual_seed(1)
    network = moved(linear)
    value, mse = training.loss(network, linear.model(), PRIOR, images[:2])
    value.backward()
    assert 0 < mse < 0.2
    still = [name for name, each in network.named_parameters() if each.grad is None or not each.grad.any()]
    assert not still


def test_psnr_falls_gently_with_losses(linear, images):
    photo = textures(1, 256, seed=9)[0]
    psnr = [
        training.photo_psnr(linear, linear.model(), PRIOR, photo, 0, share)
        for share in (0.0, 0.1, 0.2, 0.4, 1.0)
    ]
    assert (np.diff(psnr) < 0).all()
    expected = -10 * np.log10(0.8 * 10 ** (-psnr[0] / 10) + 0.2 * 10 ** (-psnr[-1] / 10))
    assert psnr[2] == pytest.approx(expected, abs=0.2)


def test_the_recipe_trains_exports_and_takes_up_weights(folder, monkeypatch, tmp_path):
    for name, value in (("FIT_CROPS", 12), ("FIT_SIZE", 64)):
        monkeypatch.setattr(training, name, value)
    start = {**weights.load("hda-deepsc"), **weights.load("hda-deepsc-cbr1-12")}
    run = Run(RECIPE, tmp_path / "out", folder)
    figures = RECIPE.train(run, start)
    assert len(figures) == 4 and all(5 < value < 60 for value in figures.values())
    shipped = weights.load(RECIPE.name, run.out)
    network = RECIPE.build()
    network.load_state_dict(shipped)
    model = network.model()
    assert model.tables.probabilities.sum(1).tolist() == [1 << 24] * len(model.tables.probabilities)
    name = "decoder.layers.0.qkv.weight"
    drift = (shipped[name] - start[name]).abs().mean()
    assert drift < 0.1 * start[name].abs().mean(), "HDA-DeepSC's decoder is where training begins"
    assert weights.card(RECIPE.name, run.out)["figures"] == figures
