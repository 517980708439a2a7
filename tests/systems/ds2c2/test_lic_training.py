"""Training of the learned image codec at toy size."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from gnuradio.hsc import weights
from gnuradio.hsc.coding.stored_tables import unpack_tables
from gnuradio.hsc.systems.ds2c2 import lic, lic_coding, lic_training
from gnuradio.hsc.systems.ds2c2.lic_coding import LEVELS, ROWS, Reader
from gnuradio.hsc.systems.ds2c2.lic_integer import unpack
from gnuradio.hsc.systems.ds2c2.lic_network import LicNetwork, ready, variance
from gnuradio.hsc.systems.ds2c2.lic_recipes import RECIPES
from gnuradio.hsc.training.loop import Run, planes
from PIL import Image
from support.fields import smooth_photos


@pytest.fixture
def network(lic_state):
    made = LicNetwork()
    unpack(made, lic_state)
    return made


@pytest.fixture(scope="module")
def images():
    return planes(smooth_photos(4, 64, 96, seed=7))


def test_bits_on_the_air_are_those_of_the_tables(network, lic_state):
    """To a word of the coder; in training, where densities are logistic, they are of the same order."""
    photo = smooth_photos(1, 128, 128, seed=1)[0]
    ready_network, coder = ready(lic_state)
    for level in (24, 34):
        with torch.no_grad():
            _, coded = lic_training.send(network, planes(photo[None]), torch.tensor([level]))
        rows = lic_coding.table_rows(coded.log_scale).flatten().numpy()
        ideal = coder.latents.bits(coded.symbols.flatten().numpy(), rows)
        ideal += coder.hypers.bits(coded.z.flatten().numpy(), lic_coding.hyper_rows(coded.z.shape[1:], level))
        bits = 8 * len(lic.compress(ready_network, coder, photo, level))
        assert abs(bits - ideal) < 64 + 0.005 * ideal
        assert 0.4 < bits / coded.bits.item() < 1.1


def test_training_sees_the_symbols_on_the_air(network, lic_state):
    photo = smooth_photos(1, 64, 64, seed=9)[0]
    exact, coder = ready(lic_state)
    with torch.no_grad():
        _, coded = lic_training.send(network, planes(photo[None]), torch.tensor([30]))
    data = lic.compress(exact, coder, photo, 30)
    sent = lic_coding.decode(coder, Reader(data, len(data)), (4, 4), 30)
    assert (coded.symbols[0] != sent.symbols).float().mean() < 0.002
    assert (coded.y[0] - sent.y / 64).abs().mean() < 0.01


def test_the_decoded_image_of_training_is_the_codecs(network, lic_state):
    photo = smooth_photos(1, 64, 64, seed=9)[0]
    exact, coder = ready(lic_state)
    with torch.no_grad():
        image, _ = lic_training.send(network, planes(photo[None]), torch.tensor([30]))
    data = lic.compress(exact, coder, photo, 30)
    decoded = lic.reconstruct(
        exact, lic_coding.decode(coder, Reader(data, len(data)), (4, 4), 30), 30, photo.shape
    )
    squared = (image[0].permute(1, 2, 0).clamp(0, 1) - torch.from_numpy(decoded) / 255).square().mean()
    assert squared < 3e-5


def test_rate_falls_and_error_rises_with_the_level(network, images):
    rate, error = [], []
    for level in (22, 32, 42):
        with torch.no_grad():
            received, coded = lic_training.send(network, images, torch.full((4,), level))
        rate.append(coded.bits.mean().item())
        error.append((received - images).square().mean().item())
    assert rate[0] > 1.3 * rate[1] > 1.69 * rate[2] and error[0] < error[1] < error[2]


def test_the_variance_that_the_decoder_is_told_is_that_of_the_error(network, images):
    """Of what came and of what was erased, within the roughness of its formula."""
    torch.manual_seed(1)
    level = torch.full((4,), 30)
    with torch.no_grad():
        y = network.analyse(images, level)
        coded = lic_training.code(network, y, level)
        told = variance(coded.symbols, coded.log_scale, torch.ones_like(y, dtype=torch.bool))
    other = coded.symbols != 0
    for chosen in (other, ~other):
        ratio = told[chosen].mean() / (coded.y - y).square()[chosen].mean()
        assert 0.4 < ratio < 2.5
    lost = variance(coded.symbols, coded.log_scale, torch.zeros_like(y, dtype=torch.bool))
    assert (lost >= told).float().mean() > 0.9


def test_erased_symbols_cost_quality_and_no_bits(network, images):
    torch.manual_seed(1)
    level = torch.full((4,), 30)
    with torch.no_grad():
        clean, coded = lic_training.send(network, images, level)
        torch.manual_seed(1)
        worse, same = lic_training.send(network, images, level, 0.16)
    assert torch.equal(coded.symbols, same.symbols) and torch.equal(coded.bits, same.bits)
    assert (worse - images).square().mean() > 1.3 * (clean - images).square().mean()


def test_the_loss_trains_all_of_the_network(network, images):
    torch.manual_seed(1)
    with torch.no_grad():  # what begins with zeros hides what lies before it
        for value in network.parameters():
            if not value.any():
                value.normal_(0, 0.01)
    value, mse = lic_training.loss(network, images, 0.08)
    value.backward()
    assert 0 < mse < 0.1
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_a_few_steps_lower_the_loss(network, images):
    optimizer = torch.optim.Adam(network.parameters(), 3e-4)
    values = []
    for _ in range(8):
        torch.manual_seed(1)
        value, _ = lic_training.loss(network, images[:2], 0.0)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        values.append(value.item())
    assert values[-1] < 0.99 * values[0]


def test_the_linear_start_is_orthonormal(network, images):
    """Nothing is lost but by rounding and by the coefficients that are left out."""
    kernel = network.merge.weight.flatten(1)
    torch.testing.assert_close(kernel @ kernel.T, torch.eye(len(kernel)), atol=2e-3, rtol=0)
    with torch.no_grad():
        tokens = network.transform(images)
        again = network.split(network.merge(tokens))
    assert (again - tokens).square().sum() < 0.01 * tokens.square().sum()


def test_entropy_tables_are_wider_for_larger_scales(network):
    tables = unpack_tables(network.latent_tables).probabilities
    assert tables.shape == (ROWS, 82)
    assert (np.diff(tables[::8, 40]) < 0).all() and tables[0, 40] > 0.97 * (1 << 24)


# ---- recipes


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name in ("photos/train", "kodak"):
        (tmp_path / name).mkdir(parents=True)
    for index, photo in enumerate(smooth_photos(2, 160, 160)):
        Image.fromarray(photo).save(tmp_path / "photos" / "train" / f"{index}.jpg", quality=95)
    Image.fromarray(smooth_photos(1, 100, 70)[0]).save(tmp_path / "kodak" / "0.png")
    for constant, value in (("FIT_CROPS", 8), ("FIT_SIZE", 96), ("FIGURE_LEVELS", (30, 40))):
        monkeypatch.setattr(lic_training, constant, value)
    return tmp_path


def small(name: str, steps: int):
    chosen = next(each for each in RECIPES if each.name == name)
    return replace(chosen, steps=steps, batch=2, crop=64)


def test_recipes_train_export_and_resume(folder, tmp_path):
    """The second one starts from the first, and both are what the codec loads."""
    out = tmp_path / "runs"
    figures = small("lic", 2).train(Run(small("lic", 2), out, folder), None)
    assert figures["kodak, level 30: bits per pixel"] > figures["kodak, level 40: bits per pixel"] > 0
    assert figures["kodak, level 30: PSNR [dB]"] > figures["kodak, level 40: PSNR [dB]"] > 15
    card = weights.card("lic", out)
    assert card["steps"] == 2 and card["figures"] == figures
    small("lic", 3).train(Run(small("lic", 3), out, folder), None)
    assert weights.card("lic", out)["steps"] == 3
    erased = Run(small("lic-8", 1), out, folder)
    small("lic-8", 1).train(erased, erased.weights("lic"))
    for name in ("lic", "lic-8"):
        state = weights.load(name, out)
        assert state["prior.joint.1.weight"].dtype == torch.int16
        assert state["prior.joint.1.bias"].dtype == torch.int32
        network, coder = ready(state)
        photo = smooth_photos(1, 40, 40)[0]
        data = lic.compress(network, coder, photo, 30)
        reader = Reader(data, len(data))
        assert lic_coding.decode(coder, reader, (4, 4), 30).known.all() and reader.empty


def test_what_is_exported_codes_the_same_when_it_is_loaded(lic_state, tmp_path):
    """Integers and tables to the last bit; a float that is rounded does not reach them."""
    weights.save("toy", lic_state, {}, folder=tmp_path, exact=lic_training.EXACT)
    stored = weights.load("toy", tmp_path)
    for key, value in lic_state.items():
        assert value.is_floating_point() or torch.equal(stored[key], value)
    (_, one), (_, other) = ready(lic_state), ready(stored)
    for mine, its in zip(one.prior.parameters(), other.prior.parameters(), strict=True):
        assert torch.equal((mine * 4096).round(), (its * 4096).round())
    assert sum(value.nbytes for value in lic_state.values()) < 20e6


def test_recipes_name_what_the_codec_loads():
    assert {each.name for each in RECIPES} == set(lic.LicCodec.weights)
    assert [each.erased for each in RECIPES] == [0.0, 0.08]
    assert RECIPES[1].start == "lic" and all(each.crop % 32 == 0 for each in RECIPES)
    assert lic_training.TRAINED[1] < LEVELS
