"""Recipes: every kind runs at toy size on the CPU, learns, resumes and exports. The data are made up here."""

from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from gnuradio.hsc import weights
from gnuradio.hsc.app import train
from gnuradio.hsc.app.cli import main
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.images import datasets
from gnuradio.hsc.systems.hsc import ncr_training, vae_training
from gnuradio.hsc.systems.hsc.vae import Vae
from gnuradio.hsc.training import loop
from gnuradio.hsc.training.recipe import Fading, names, recipe
from PIL import Image
from support.recipes import shrink


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A data folder: 'digits' that are bars, and photographs that are gradients."""
    path = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(1)
    (path / "mnist").mkdir()
    for name, count in (("train-images-idx3-ubyte.gz", 60_000), ("t10k-images-idx3-ubyte.gz", 10_000)):
        kinds = np.zeros((16, 28, 28), np.uint8)
        for kind in range(16):
            kinds[kind, kind : kind + 8, 4 + kind // 2 : 14] = 255
        images = kinds[rng.integers(16, size=count)]
        head = struct.pack(">IIII", 2051, count, 28, 28)
        (path / "mnist" / name).write_bytes(gzip.compress(head + images.tobytes(), 1))
    for sub, suffix in (("photos/train", "jpg"), ("kodak", "png")):
        (path / sub).mkdir(parents=True)
        for i in range(2):
            ramp = (
                np.linspace(0, 200, 150)[:, None, None] + np.linspace(0, 50, 140)[None, :, None] + np.zeros(3)
            )
            Image.fromarray((ramp + rng.normal(0, 3, ramp.shape)).clip(0, 255).astype(np.uint8)).save(
                path / sub / f"{i}.{suffix}"
            )
    return path


def fit(name, out, folder, minutes=None, report=lambda _: None, **changes):
    chosen = recipe(name, **changes)
    return loop.fit_images(chosen.build(), vae_training.loss, loop.Run(chosen, out, folder, minutes, report))


def test_training_learns_and_exports(folder, tmp_path, monkeypatch):
    name = "hsc-mnist-vae-m4"
    shrink(monkeypatch, name, batch=32)
    seen = []
    fit(name, tmp_path / "a", folder, steps=100, report=seen.append)
    assert [p.step for p in seen] == list(range(1, 101))
    assert np.mean([p.mse for p in seen[-20:]]) < 0.5 * np.mean([p.mse for p in seen[:20]])
    figures = train.train(name, folder, steps=20, out=tmp_path)
    assert figures == weights.card(name, tmp_path)["figures"]
    model = Vae(4)
    model.load_state_dict(weights.load(name, tmp_path))
    digits = torch.from_numpy(datasets.mnist("test", folder).copy())[:, None].float() / 255
    with torch.no_grad():
        mse = (model.eval()(digits)[0] - digits).square().mean().item()
    assert mse == pytest.approx(figures["mnist test, ideal channel: MSE"], rel=1e-3)


def test_a_run_goes_on_from_its_checkpoint(folder, tmp_path):
    _, done = fit("hsc-mnist-vae-m4", tmp_path, folder, steps=30, batch=16)
    assert done == 30
    steps = []
    _, done = fit(
        "hsc-mnist-vae-m4", tmp_path, folder, steps=40, batch=16, report=lambda p: steps.append(p.step)
    )
    assert steps == list(range(31, 41)) and done == 40


def test_an_interrupted_run_ends_as_one_that_was_not(tmp_path, monkeypatch):
    """Weights, moving average, moments and rates of both parameter groups are taken up where they were."""
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    method = loop.Method(
        clip=1.0,
        average=0.9,
        pace=lambda name: 0.1 if name == "bias" else 1.0,
        stage_rate=lambda fraction: 1 + fraction,
    )
    values = torch.linspace(-1, 1, 24).reshape(8, 3)
    steps = []

    def run(out, stop=0):
        def report(at):
            steps.append(at.step)
            if at.step == stop:
                raise KeyboardInterrupt

        def loss(model, fraction):
            mse = (model(values) - values.square().sum(1, keepdim=True)).square().mean()
            return mse * (1 + fraction), mse

        torch.manual_seed(1)
        chosen = recipe("hsc-mnist-vae-m4", steps=9, learning_rate=0.1)
        return loop.fit(torch.nn.Linear(3, 1), loss, loop.Run(chosen, out, report=report), method)[
            0
        ].state_dict()

    expected = run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "parts", stop=6)
    torch.testing.assert_close(run(tmp_path / "parts"), expected, rtol=0, atol=0)
    assert steps == [*range(1, 10), *range(1, 7), *range(6, 10)]  # the checkpoint is that of step 5


def test_a_step_without_a_finite_gradient_is_passed_over_and_many_are_one_line(tmp_path):
    """One such batch changes nothing; a run of nothing else ends before it overwrites what it was."""

    def run(bad, steps):
        count = 0

        def loss(model, fraction):
            nonlocal count
            count += 1
            value = model.weight.square().sum()
            return (value * (float("nan") if bad(count) else 1.0)), value

        torch.manual_seed(1)
        chosen = recipe("hsc-mnist-vae-m4", steps=steps, learning_rate=0.1)
        return loop.fit(
            torch.nn.Linear(3, 1), loss, loop.Run(chosen, tmp_path / str(steps)), loop.Method(1.0)
        )[0]

    torch.manual_seed(1)
    before = torch.nn.Linear(3, 1).weight.square().sum()
    after = run(lambda count: count % 3 == 0, 40).weight.square().sum()
    assert after.isfinite() and after < before
    with pytest.raises(HscError, match="not finite"):
        run(lambda count: True, 60)


def test_time_limit_ends_a_run(folder, tmp_path):
    _, done = fit("hsc-mnist-vae-m4", tmp_path, folder, steps=10**6, batch=16, minutes=0.01)
    assert 1 <= done < 10**6


@pytest.mark.parametrize(
    "name", ["hsc-mnist-vqvae-m4", "hsc-mnist-vae-m8-few-shot", "hsc-mnist-vae-m8-ncr-k4", "hsc-photo-vae"]
)
def test_every_kind_of_recipe_runs_at_toy_size(name, folder, tmp_path, monkeypatch):
    shrink(monkeypatch, name, batch=8, crop=64)
    figures = train.train(name, folder, steps=4, out=tmp_path)
    assert all(np.isfinite(value) for value in figures.values())
    assert weights.card(name, tmp_path)["steps"] == 4


def test_value_channel_has_the_snr_it_says():
    torch.manual_seed(2)
    values = torch.randn(400, 512)
    received, variance = vae_training.value_channel(Fading("rayleigh", 5.0, 5.0), 400, torch.device("cpu"))(
        values
    )
    measured = (received - values).square().mean(1, keepdim=True)
    assert (measured / variance).mean().item() == pytest.approx(1, abs=0.02)
    gain = 10**-0.5 / variance
    assert gain.mean().item() == pytest.approx(1, abs=0.25)


def test_ncr_recomposition_is_exact_at_full_rank():
    images, generated = torch.rand(3, 1, 28, 28), torch.rand(3, 1, 28, 28)
    torch.testing.assert_close(
        ncr_training.recompose_batch(generated, images, ncr_training.projections(images, generated, 28)),
        images,
        atol=1e-4,
        rtol=0,
    )
    part = ncr_training.recompose_batch(generated, images, ncr_training.projections(images, generated, 4))
    assert 0 < (part - images).square().sum() < (generated - images).square().sum()


def test_every_recipe_builds_and_starts_from_a_recipe():
    for chosen in map(recipe, names()):
        assert not chosen.start or chosen.start in names()
        size = sum(p.numel() for p in chosen.build().parameters())
        assert size < 5.5e6, "weights are to stay below 6 MB as they are stored, in int8 nearly all"


def test_crops_have_the_size_and_come_from_the_photographs(folder, tmp_path):
    source = datasets.photos(folder, tmp_path)
    crops = source.crops(np.random.default_rng(3), 10, 64)
    assert crops.shape == (10, 64, 64, 3) and crops.dtype == np.uint8
    again = datasets.photos(folder, tmp_path).crops(np.random.default_rng(3), 10, 64)
    np.testing.assert_array_equal(crops, again)


def test_missing_data_is_told(tmp_path, monkeypatch):
    monkeypatch.delenv("HSC_DATA", raising=False)
    with pytest.raises(HscError, match="HSC_DATA"):
        datasets.mnist("train")
    with pytest.raises(HscError, match="cannot read"):
        datasets.mnist("train", tmp_path)
    result = CliRunner().invoke(main, ["train", "hsc-mnist-vae-m4", "--out", str(tmp_path)])
    assert result.exit_code == 2 and "HSC_DATA" in result.output


def test_command_refuses_what_it_does_not_know(tmp_path):
    assert CliRunner().invoke(train.cli, ["nothing"]).exit_code == 2
    told = CliRunner().invoke(main, ["train", "-h"]).output
    assert "Examples" in told and "refiner" in told and "lic-8" in told
    both = CliRunner().invoke(
        train.cli, ["hsc-mnist-vae-m4", "--steps", "1", "--minutes", "1", "--out", str(tmp_path)]
    )
    assert both.exit_code == 2
