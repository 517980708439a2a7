"""Training of HDA-DeepSC at toy size: linear start, losses, one recipe through all stages, resumed."""

import numpy as np
import pytest
import torch
from gnuradio.hsc import weights
from gnuradio.hsc.app import train
from gnuradio.hsc.refiner import bands
from gnuradio.hsc.systems.hda import fit, hevc_fit, models, objective, training
from gnuradio.hsc.systems.hda.fourier import SpectralTransform
from gnuradio.hsc.systems.hda.network import QUALITIES, WIDTH, HdaNetwork, dequantise, quantise
from gnuradio.hsc.systems.hda.objective import (
    Conditions,
    Stage,
    balanced,
    draw,
    semantic_distortion,
    stage_loss,
)
from gnuradio.hsc.training import loop
from gnuradio.hsc.training.recipe import recipe
from support.fields import data_folder
from support.recipes import shrink


def smooth_photos(count: int, size: int) -> np.ndarray:
    """Random fields whose spectrum falls as photographs' do, uint8 (count, size, size, 3)."""
    rng = np.random.default_rng(1)
    radius = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size)[None]) + 1 / size
    noise = np.fft.fft2(rng.standard_normal((count, size, size, 1)), axes=(1, 2)) / radius[..., None] ** 1.5
    field = np.real(np.fft.ifft2(noise, axes=(1, 2)))
    grain = 0.1 * rng.standard_normal((count, size, size, 3))
    return np.clip(128 + 45 * (field / field.std() + grain), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def images():
    return torch.from_numpy(smooth_photos(8, 128)).permute(0, 3, 1, 2).float() / 255


@pytest.fixture(scope="module")
def started(images):
    torch.manual_seed(1)
    network = HdaNetwork()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "DENSITY_STEPS", 30)
        fit.initialise(network, images)
    return network


@pytest.fixture
def folder(tmp_path):
    return data_folder(tmp_path, smooth_photos(2, 288), smooth_photos(1, 96)[0])


def at(snr_db: float, batch: int = 8, values: float = 50.0, quality: int = 6) -> Conditions:
    return Conditions(quality, np.full(batch, snr_db), np.zeros(batch), values, snr_db)


def test_the_untrained_codec_rises_with_the_snr_and_beats_its_base(started, images):
    with torch.no_grad():
        psnr = [
            -10 * stage_loss(started, images, at(snr), Stage.WHOLE)[1].item() for snr in (0.0, 10.0, 20.0)
        ]
        base = started.transform.inverse(
            started.hyper.decode(dequantise(quantise(started.hyper.encode(started.encode(images)), 6), 6))
        )
    base_psnr = -10 * (base.clamp(0, 1) - images).square().flatten(1).mean(1).log10().mean().item()
    assert psnr[0] > base_psnr and psnr[1] > psnr[0] + 2 and psnr[2] > psnr[1] + 0.5


def test_the_klt_of_the_hyper_codec_compacts_and_inverts(started, images):
    z = started.encode(images)
    latents = started.hyper.encode(z)
    power = latents.square().mean((0, 2, 3))
    assert power[:16].sum() > 0.8 * power.sum()
    back = started.hyper.decode(latents)
    assert (back - z).square().sum() < 0.1 * z.square().sum()


def test_losses_are_the_papers():
    images, decoded = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8)
    plain = semantic_distortion(images, decoded, 0.0)
    assert torch.allclose(plain, ((images - decoded) ** 2).mean((1, 2, 3)))
    spectrum = torch.fft.fft2(images - decoded).abs().mean((1, 2, 3)) / 8  # orthonormal: divided by √(8·8)
    assert torch.allclose(semantic_distortion(images, decoded, 0.1), plain + 0.1 * spectrum, rtol=1e-4)
    assert balanced(torch.tensor([0.01, 0.0001])).item() == pytest.approx(np.log(0.001), rel=0.01)


def test_every_stage_trains_what_it_should_and_nothing_else(started, images):
    for stage in Stage:
        started.zero_grad(set_to_none=True)
        loss, _ = stage_loss(started, images[:2], at(10.0, 2), stage)
        loss.backward()
        trained = {
            name.split(".")[0]
            for name, p in started.named_parameters()
            if p.grad is not None and p.grad.abs().sum() > 0
        }
        assert ("hyper" in trained) == (stage in (Stage.TRANSCEIVER, Stage.WHOLE))
        assert ("density" in trained) == (stage in (Stage.TRANSCEIVER, Stage.WHOLE))
        assert ("encoder" in trained) == (stage in (Stage.SEMANTIC, Stage.WHOLE))
        assert ("decoder" in trained) == (stage != Stage.TRANSCEIVER)


def test_conditions_cover_what_the_codec_serves():
    rng = np.random.default_rng(1)
    drawn = [draw(rng, 4) for _ in range(400)]
    assert {d.quality for d in drawn} >= set(range(3, 12))
    assert min(d.snr_db.min() for d in drawn) < 0 and max(d.snr_db.max() for d in drawn) > 20
    assert any(d.erased.any() for d in drawn) and all(0 < d.values_per_token <= 64 for d in drawn)


def test_recipe_runs_through_its_stages_and_resumes(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(fit, "DENSITY_STEPS", 5)
    stages = tuple((stage, (i + 1) / 4) for i, stage in enumerate(Stage))
    small = {"batch": 2, "crop": 64, "samples": 3, "stages": stages}
    shrink(monkeypatch, "hda-deepsc", steps=4, **small)
    monkeypatch.setattr(training, "KODAK_SECONDS", 0.0)
    monkeypatch.setattr(training, "REPORT_CROPS", 3)
    monkeypatch.setattr(training, "FIT_SIZE", 128)
    out = tmp_path / "runs"
    figures = train.train("hda-deepsc", folder, out=out)
    assert all(np.isfinite(value) for value in figures.values())
    assert "Kodak PSNR" in capsys.readouterr().out
    state = weights.load("hda-deepsc", out)
    assert state["log_power"].dtype == torch.int16
    assert state["tables"].shape == (12, 256, 82) and state["activity_tables"].shape == (12, 4, 32, 82)
    assert weights.card("hda-deepsc", out)["steps"] == 4
    shrink(monkeypatch, "hda-deepsc", steps=5, **small)
    train.train("hda-deepsc", folder, resume=True, out=out)
    assert weights.card("hda-deepsc", out)["steps"] == 5


@pytest.mark.parametrize("name", ["hda-deepsc-da3", "hda-semantic-module"])
def test_recipes_of_parts_save_these_parts(folder, tmp_path, monkeypatch, name):
    shrink(monkeypatch, name, steps=2, batch=2, crop=64, samples=3)
    assert all(np.isfinite(value) for value in train.train(name, folder, out=tmp_path / "runs").values())
    own = set(weights.load(name, tmp_path / "runs"))
    if name == "hda-semantic-module":
        assert {"decoder.spectral.leave.weight", "transform.analysis.weight"} <= own and not any(
            key.startswith("hyper") for key in own
        )
    else:
        assert own and all(key.startswith(models.DECODER) for key in own)
        assert models.network(weights.load(name, tmp_path / "runs")).decoder.convolution.weight.any()


def test_restorer_behind_hevc_bases_trains_and_tables_are_fitted(folder, tmp_path, monkeypatch):
    for constant, value in (("CROPS", 2), ("SIZE", 64), ("PAIRS", 3)):
        monkeypatch.setattr(hevc_fit, constant, value)
    shrink(monkeypatch, "hda-hevc", steps=3, batch=2, crop=64)
    energies = list(train.train("hda-hevc", folder, out=tmp_path / "runs").values())
    assert energies[0] < energies[3] - 1 and energies[3] < energies[6] - 1, "coarser bases leave more over"
    state, shipped = weights.load("hda-hevc", tmp_path / "runs"), weights.load("hda-deepsc")
    assert state["tables"].shape == (12, 4, 32, 82) and state["log_power"].shape == shipped["log_power"].shape
    assert state["restorer.leave.bias"].any() and not any(key.startswith("decoder.") for key in state)


def test_the_restorer_of_hda_deepsc_trains_behind_all_profiles(folder, tmp_path, monkeypatch):
    name, seen, draw = models.RESTORER, set(), training.draw
    monkeypatch.setattr(training, "draw", lambda rng, batch, of: seen.add(of.name) or draw(rng, batch, of))
    shrink(monkeypatch, name, steps=12, batch=2, crop=64)
    figures = train.train(name, folder, out=tmp_path / "runs")
    assert len(figures) == 6 and all(np.isfinite(value) for value in figures.values()) and len(seen) > 3
    assert weights.load(name, tmp_path / "runs")["leave.bias"].any()


def test_where_half_of_an_image_is_lost_the_restorer_is_told(images):
    network, images = models.load(models.PROFILES[0]).network, images[:3, :, :64, :64]
    at = objective.usual(models.PROFILES[0], 10.0)
    _, error = objective.decoded(network, images, at, half_lost=1.0)
    prior = bands.of_coefficients(network.deviation.square()[:, None, None].expand(-1, 8, 4))
    torch.testing.assert_close(error[..., :4], prior.expand(3, -1, -1, -1))
    assert (error[..., 4:].mean((1, 2, 3)) < 0.1 * error[..., :4].mean((1, 2, 3))).all()


def test_an_interrupted_restorer_behind_hevc_bases_goes_on_where_it_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    rng = np.random.default_rng(1)
    images = smooth_photos(3, 64)
    bases = np.clip(images + rng.normal(0, 8, (QUALITIES, *images.shape)), 0, 255).astype(np.uint8)
    pairs = hevc_fit.Pairs(images, bases, torch.zeros(QUALITIES, 3, WIDTH, 8, 8, dtype=torch.int16))
    network, seen = models.network({}), []

    def report(at):
        seen.append(at.step)
        if seen == [1, 2, 3]:
            raise KeyboardInterrupt

    run = loop.Run(recipe("hda-hevc", steps=5, batch=2, crop=64), tmp_path, report=report)
    with pytest.raises(KeyboardInterrupt):
        hevc_fit.train_restorer(network, pairs, run)
    kept = torch.load(run.checkpoint, weights_only=True)
    assert kept["step"] == 2 and not torch.equal(kept["model"]["leave.bias"], kept["average"]["leave.bias"])
    restorer, steps = hevc_fit.train_restorer(network, pairs, run)
    assert seen == [1, 2, 3, 3, 4, 5] and steps == 5 and restorer.leave.bias.any()


def test_the_fourier_module_adds_nothing_at_first_and_then_sees_the_whole_image():
    torch.manual_seed(1)
    module, features = SpectralTransform(8), torch.randn(1, 8, 16, 16)
    assert not module(features).any()
    torch.nn.init.ones_(module.leave.weight)
    moved = features.clone()
    moved[0, :, 0, 0] += 1
    assert ((module(moved) - module(features)).abs().amax(1)[0, 8:, 8:] > 0).any(), "a far corner hears of it"
