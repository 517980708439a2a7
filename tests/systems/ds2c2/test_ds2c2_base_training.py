"""Training of DS²C²'s base layer at toy size: losses, classes, recipes one after the other."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from gnuradio.hsc import weights
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.images import datasets
from gnuradio.hsc.systems.ds2c2 import base_training
from gnuradio.hsc.systems.ds2c2.base import BaseCodec
from gnuradio.hsc.systems.ds2c2.base_adversary import Adversary
from gnuradio.hsc.systems.ds2c2.base_network import CLASSES, STEPS, BaseNetwork
from gnuradio.hsc.systems.ds2c2.base_recipes import RECIPES
from gnuradio.hsc.systems.ds2c2.base_semantics import Clusters, street_crops, token_labels
from gnuradio.hsc.systems.ds2c2.base_training import Rgan, distance, loss, send
from gnuradio.hsc.training.loop import Run
from support.ds2c2_base import fitted_network, ramped
from support.fields import data_folder, smooth_photos, street_scenes
from support.perceptual import needs_perceptual

BY_NAME = {recipe.name: recipe for recipe in RECIPES}


def far(received, original):
    """Stands for L_VGG: mean squared differences of neighbours."""
    return (received.diff(dim=-1) - original.diff(dim=-1)).square().mean((1, 2, 3))


def copied() -> BaseNetwork:
    network = BaseNetwork()
    network.load_state_dict(fitted_network().state_dict())
    return network


@pytest.fixture(scope="module")
def images():
    return torch.from_numpy(smooth_photos(4, 64, 64, seed=4)).permute(0, 3, 1, 2).float() / 255


@pytest.fixture
def folder(tmp_path):
    data_folder(tmp_path, ramped(smooth_photos(3, 96, 128)), smooth_photos(1, 70, 100)[0])
    street_scenes(tmp_path, CLASSES)
    return tmp_path


@pytest.fixture
def small(monkeypatch):
    """Few crops, fitted once."""
    for constant, value in (("FIT_CROPS", 6), ("FIT_SIZE", 64), ("CLUSTER_CROPS", 4)):
        monkeypatch.setattr(base_training, constant, value)
    monkeypatch.setattr(base_training.fit_tables, "__defaults__", (1,))


# ---- losses


def test_what_is_sent_is_what_is_decoded(images):
    """The quantiser of training is the encoder's own."""
    network = copied()
    for index in range(len(STEPS)):
        sent = send(network, images, index)
        codes = [BaseCodec(fitted_network()).encode(image, index) for image in to_pixels(images)]
        decoded = torch.stack([torch.from_numpy(code.c) for code in codes]) * STEPS[index]
        assert (sent - decoded).abs().lt(1e-4).float().mean() > 0.999


def to_pixels(images):
    return (images * 255).round().byte().permute(0, 2, 3, 1).contiguous().numpy()


def test_distance_is_none_of_equal_images_and_grows(images):
    torch.manual_seed(1)
    same = distance(far, 1.0, images, images)
    assert same.abs() < 1e-5
    noise = torch.randn_like(images)
    found = [distance(far, 1.0, images + amount * noise, images).item() for amount in (0.02, 0.05, 0.1)]
    assert 0 < found[0] < found[1] < found[2]
    assert distance(far, 0.0, images + 0.1 * noise, images) < found[2]


def test_adversary_follows_the_equations():
    """Untold logits of 0: log D = −log 2 for every scale, step and both of D's terms, (2) and (3)."""
    torch.manual_seed(1)
    adversary = Adversary()
    with torch.no_grad():
        for network in adversary:
            for scale in network.scales:
                scale[-1].weight.zero_()
                scale[-1].bias.zero_()
    s, image = torch.zeros(1, CLASSES, 8, 8), torch.rand(1, 3, 64, 64)
    refined = [torch.rand(1, 3, 64, 64, requires_grad=True) for _ in range(2)]
    generator = adversary.generator_loss(s, image, refined)
    discriminator = adversary.loss(s, image, refined, image)
    assert generator.item() == pytest.approx(6 * np.log(2), rel=1e-6)
    assert discriminator.item() == pytest.approx(12 * np.log(2), rel=1e-6)


def test_each_side_of_the_adversary_trains_its_own():
    torch.manual_seed(1)
    adversary = Adversary()
    s, image = torch.randn(1, CLASSES, 8, 8).log_softmax(1), torch.rand(1, 3, 64, 64)
    refined = [torch.rand(1, 3, 64, 64, requires_grad=True) for _ in range(2)]
    adversary.generator_loss(s, image, refined).backward()
    assert all(value.grad is None for value in adversary.parameters())
    assert all(each.grad.abs().sum() > 0 for each in refined)
    for each in refined:
        each.grad = None
    adversary.loss(s, image, refined, image).backward()
    assert all(value.grad.abs().sum() > 0 for value in adversary.parameters())
    assert all(each.grad is None for each in refined)


@pytest.mark.parametrize("name", ["ds2c2-base", "ds2c2-base-gan"])
def test_the_loss_trains_all_there_is(images, name):
    torch.manual_seed(1)
    model = Rgan(copied(), BY_NAME[name].adversarial > 0)
    with torch.no_grad():  # what begins with zeros hides what lies before it
        for value in model.base.parameters():
            if not value.any():
                value.normal_(0, 0.01)
    labels = torch.randint(CLASSES, (4, 8, 8))
    value, mse = loss(model, far, images, labels, BY_NAME[name])
    value.backward()
    assert 0 < mse < 0.05
    for own, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), own
        assert parameter.grad.abs().sum() > 0, own
    assert (model.adversary is not None) == (name == "ds2c2-base-gan")


# ---- classes


@needs_perceptual
def test_clusters_tell_places_apart_and_are_the_same_again():
    images = torch.from_numpy(ramped(smooth_photos(6, 64, 96, seed=5))).permute(0, 3, 1, 2).float() / 255
    one, two = Clusters(images), Clusters(images)
    assert torch.equal(one.centres, two.centres)
    labels = one(images)
    assert labels.shape == (6, 8, 12) and len(labels.unique()) > 4
    calm, busy = (set(part.unique().tolist()) for part in (labels[..., :2], labels[..., -2:]))
    assert calm != busy


def test_labels_of_tokens_are_the_most_frequent():
    labels = np.zeros((2, 16, 8), np.uint8)
    labels[0, 8:, :5], labels[1, :8] = 7, 11
    assert token_labels(labels).tolist() == [[[0], [7]], [[11], [0]]]


def test_street_crops_keep_labels_at_their_place():
    labels = np.arange(64 * 80, dtype=np.int64).reshape(64, 80) // 960
    scene = np.repeat(labels[..., None], 3, -1).astype(np.uint8)
    images, found = street_crops([(scene, labels.astype(np.uint8))], np.random.default_rng(1), 8, 32)
    assert np.array_equal(token_labels(images[..., 0]), found) and images.shape == (8, 32, 32, 3)


def test_street_scenes_are_read_or_missed(folder, tmp_path):
    scenes = datasets.street("test", folder)
    assert len(scenes) == 2 and all(image.shape[:2] == labels.shape for image, labels in scenes)
    with pytest.raises(HscError, match="no street scenes"):
        datasets.street("val", folder)
    (folder / "street/camvid/trainannot/1.png").unlink()
    with pytest.raises(HscError, match="fetch them again"):
        datasets.street("train", folder)


def test_some_photographs(folder):
    photos = datasets.photos(folder)
    some = photos.some(np.random.default_rng(1), 2)
    whole = {image.tobytes() for image in photos.whole(np.random.default_rng(1), 9)}
    chosen = {image.tobytes() for image in some.whole(np.random.default_rng(1), 9)}
    assert len(whole) == 3 and len(chosen) == 2 and chosen < whole


# ---- recipes


def train(name, folder, out, **changes):
    """A recipe at toy size, as the command line runs it."""
    recipe = replace(BY_NAME[name], batch=2, crop=64, **changes)
    run = Run(recipe, out, folder)
    return recipe.train(run, run.weights(recipe.start) if recipe.start else None)


@needs_perceptual
def test_recipes_train_export_and_resume(folder, tmp_path, small, monkeypatch):
    """The base, then what starts from it: with discriminators, with few photographs, on street scenes."""
    out = tmp_path / "runs"
    figures = train("ds2c2-base", folder, out, steps=1)
    assert len(figures) == 3 * len(STEPS) and all(np.isfinite(value) for value in figures.values())
    train("ds2c2-base", folder, out, steps=3)
    card = weights.card("ds2c2-base", out)
    assert card["steps"] == 3 and card["figures"].keys() == figures.keys()
    codec = BaseCodec(loaded("ds2c2-base", out))
    image = smooth_photos(1, 40, 40)[0]
    code = codec.encode(image, 2)
    assert np.array_equal(codec.decode(code.data, 2, image.shape), code.c)
    # What starts from the base has its tables: fitting them anew takes most of the time.
    monkeypatch.setattr(base_training, "fit_tables", lambda *_, **__: None)
    train("ds2c2-base-gan", folder, out, steps=1)
    assert loaded("ds2c2-base-gan", out).state_dict().keys() == codec.network.state_dict().keys()
    train("ds2c2-base-few", folder, out, steps=1, samples=2)
    assert weights.card("ds2c2-base-few", out)["data"].endswith(", 2 of them")
    figures = train("ds2c2-base-street", folder, out, steps=1)
    assert 0 <= figures["street, fineness 1: tokens of the right class"] <= 1
    assert "street" in weights.card("ds2c2-base-street", out)["data"]


def loaded(name, out):
    network = BaseNetwork()
    network.load_state_dict(weights.load(name, out))
    return network


def test_recipes_fit_each_other():
    """Names are different; crops are whole cells; what others start from is there."""
    assert len(BY_NAME) == len(RECIPES)
    for recipe in RECIPES:
        assert recipe.crop % 32 == 0 and recipe.start in ("", *BY_NAME)
    assert BY_NAME["ds2c2-base-few"].samples == 50 and BY_NAME["ds2c2-base"].adversarial == 0
