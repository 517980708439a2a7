"""Training of LRISC and of its refiner at toy size: links, what arrives, recipes one after the other."""

import numpy as np
import pytest
import torch
from gnuradio.hsc import weights
from gnuradio.hsc.app import train
from gnuradio.hsc.coding.activity import ROWS
from gnuradio.hsc.coding.stored_tables import unpack_tables
from gnuradio.hsc.refiner import bands, diffusion
from gnuradio.hsc.refiner.network import RefinerNetwork
from gnuradio.hsc.systems.lrisc import hyper, refiner_training, side, training
from gnuradio.hsc.systems.lrisc.network import LriscNetwork, load_network, told
from gnuradio.hsc.systems.lrisc.training import CALM, Hazards, Links
from gnuradio.hsc.training.recipe import recipe
from support.fields import data_folder, smooth_photos
from support.perceptual import needs_perceptual
from support.recipes import shrink


@pytest.fixture(scope="module")
def images():
    return torch.from_numpy(smooth_photos(6, 128, 128)).permute(0, 3, 1, 2).float() / 255


@pytest.fixture(scope="module")
def linear(images):
    """The codec before any training: DCT, with tables fitted to the images."""
    torch.manual_seed(1)
    network = LriscNetwork()
    with torch.no_grad():
        network.deviation.copy_(network.transform(images).square().mean((0, 2, 3)).sqrt())
    training.fit_tables(network, images)
    return network.requires_grad_(False)


@pytest.fixture
def folder(tmp_path):
    return data_folder(tmp_path, smooth_photos(2, 288, 288), smooth_photos(1, 100, 100)[0])


@pytest.fixture
def small(monkeypatch):
    """Few crops for the tables, and reports at once."""
    for constant, value in (("FIT_CROPS", 24), ("FIT_SIZE", 96), ("REFIT_STEPS", 2)):
        monkeypatch.setattr(training, constant, value)
    monkeypatch.setattr(refiner_training, "_REPORT_STEPS", 2)


# ---- the codec


def test_the_untrained_codec_rises_with_snr_and_cbr(linear, images):
    psnr = {}
    for snr_db in (0.0, 10.0, 20.0):
        for cbr in (1 / 24, 1 / 6):
            torch.manual_seed(1)
            links = Links(torch.full((6,), snr_db), torch.full((6,), cbr), 2)
            received, variance = training.send(linear, images, links, CALM)
            squared = (received - images).square().mean()
            psnr[snr_db, cbr] = -10 * squared.log10().item()
            # v is that of ẑ, whose transform keeps 120 of 192 coefficients
            assert 0.5 < variance.sum((1, 2, 3)).mean() / (squared * images[0].numel()) < 1.5
    for cbr in (1 / 24, 1 / 6):
        curve = [psnr[snr_db, cbr] for snr_db in (0.0, 10.0, 20.0)]
        assert (np.diff(curve) > 0.5).all()
    assert all(psnr[snr_db, 1 / 6] > psnr[snr_db, 1 / 24] + 0.5 for snr_db in (0.0, 10.0, 20.0))


def test_training_sends_what_the_codec_sends(linear, images):
    """As many values as the budget of a message holds beside y, of the power that makes the SNR."""
    for cbr in (1 / 48, 1 / 12):
        values = training.analog_values(256, cbr)
        assert 0.85 * 2 * 192 * 256 * cbr < values < 2 * 192 * 256 * cbr
    torch.manual_seed(1)
    z = linear.encode(images[:2], torch.full((2,), 10.0), torch.full((2,), 1 / 12))
    links = Links(torch.full((2,), 10.0), torch.full((2,), 1 / 12), 2)
    calm, hard = (training.cross(linear, z, links, each) for each in (CALM, Hazards(lossy=1.0, faded=1.0)))
    assert calm.variance.sum() < hard.variance.sum()
    for arrived in (calm, hard):
        ratio = (arrived.z - z).square().sum() / arrived.variance.sum()
        assert 0.6 < ratio < 1.6


def test_links_cover_what_the_codec_serves():
    torch.manual_seed(1)
    drawn = [training.draw_links(4, (-2.0, 22.0), torch.device("cpu")) for _ in range(300)]
    snrs, cbrs = (torch.cat([getattr(each, name) for each in drawn]) for name in ("snr_db", "cbr"))
    assert snrs.min() < -1.5 and snrs.max() > 21.5 and cbrs.min() < 1 / 45 and cbrs.max() > 1 / 6.5
    assert cbrs.min() >= 1 / 48.1 and cbrs.max() <= 1 / 6
    assert {each.fineness for each in drawn} == set(training._FINENESSES)
    assert told(snrs, cbrs).abs().max() < 1, "the limits lie beyond the links of training"
    assert told(torch.tensor([60.0, -60.0]), torch.tensor([1e4, 1e-4])).tolist() == [[1, 1], [-1, -1]]


def test_the_loss_trains_all_of_the_codec(linear, images):
    torch.manual_seed(1)
    network = LriscNetwork()
    network.load_state_dict(linear.state_dict())
    with torch.no_grad():  # what begins with zeros hides what lies before it
        for value in network.parameters():
            if not value.any():
                value.normal_(0, 0.01)
    value, mse = training.loss(network, images, (0.0, 20.0))
    value.backward()
    assert 0 < mse < 0.02 and value < -1.5
    for part in ("transform", "encoder", "decoder", "link", "reliability"):
        gradients = [p.grad for n, p in network.named_parameters() if n.startswith(part)]
        assert any(g is not None and g.abs().sum() > 0 for g in gradients), part
        assert all(g is None or g.isfinite().all() for g in gradients), part


def test_recipe_trains_exports_and_resumes(folder, tmp_path, monkeypatch, small):
    shrink(monkeypatch, "lrisc", steps=3, batch=2, crop=64)
    out = tmp_path / "runs"
    figures = train.train("lrisc", folder, out=out)
    assert len(figures) == 6 and all(np.isfinite(value) and value > 15 for value in figures.values())
    state = weights.load("lrisc", out)
    assert (
        state["tables"].shape == (len(hyper.STEPS), side.TABLES, 82) and state["tables"].dtype == torch.int32
    )
    assert state["log_power"].shape == (len(hyper.STEPS), ROWS, 120)
    for each in state["tables"]:
        unpack_tables(each)  # rows that are probabilities
    assert weights.card("lrisc", out)["steps"] == 3
    shrink(monkeypatch, "lrisc", steps=4, batch=2, crop=64)
    train.train("lrisc", folder, resume=True, out=out)
    assert weights.card("lrisc", out)["steps"] == 4
    LriscNetwork().load_state_dict(weights.load("lrisc", out))


# ---- the refiner


class Far:
    """Stands for LPIPS where its weights are not installed: mean squared differences of neighbours."""

    def __call__(self, received, original):
        return (received.diff(dim=-1) - original.diff(dim=-1)).square().mean((1, 2, 3))


def test_refiner_sees_degraded_images_and_their_error(images):
    codec, _ = load_network()
    torch.manual_seed(1)
    links = Links(torch.tensor([0.0, 20.0]), torch.tensor([1 / 24, 1 / 6]), 2)
    decoded, error = refiner_training.degraded(codec, images[:2], links, CALM)
    assert decoded.shape == images[:2].shape and decoded.min() >= 0 and decoded.max() <= 1
    assert error.shape == (2, bands.BANDS, 16, 16) and (error[0].mean() > 3 * error[1].mean())
    noise = refiner_training.noise_of(error)
    assert noise.shape == decoded.shape and noise[0].std() > noise[1].std()


def test_the_loss_trains_all_of_the_refiner(images):
    torch.manual_seed(1)
    codec, _ = load_network()
    network = RefinerNetwork()
    with torch.no_grad():
        network.leave.weight.normal_(0, 0.01)
        for name, value in network.named_parameters():
            if "told" in name:
                value.normal_(0, 0.01)
    judges = refiner_training.Judges(Far(), Far())
    early, mse = refiner_training.loss(network, codec, judges, images[:4])
    early.backward()
    assert mse > 0
    for name, value in network.named_parameters():
        assert value.grad is not None and value.grad.isfinite().all() and value.grad.abs().sum() > 0, name


def test_later_steps_begin_from_what_earlier_ones_made():
    """A network whose images tell at which level they were made: the first step is always before others, one
    between in about half of the cases.
    """

    def network(noisy, decoded, error, at):
        return at[:, None, None, None].expand_as(noisy)

    torch.manual_seed(1)
    step = torch.tensor([4, 3, 2, 1]).repeat(100)
    decoded, error = torch.zeros(400, 3, 8, 8), torch.zeros(400, bands.BANDS, 1, 1)
    found = refiner_training.before(network, step, decoded, error, decoded)[:, 0, 0, 0]
    second, third, fourth = (diffusion.level(each).item() for each in (2, 3, 4))
    assert not found[step == 4].any() and (found[step == 3] == fourth).all()
    assert 30 < (found[step == 2] == third).sum() < 70 and set(found[step == 2].tolist()) == {third, fourth}
    last = found[step == 1]
    assert 30 < (last == second).sum() < 70 and 12 < (last == third).sum() < 40
    assert set(last.tolist()) == {second, third, fourth}


@needs_perceptual
def test_judges_are_distances(images):
    judges = refiner_training.Judges.load(torch.device("cpu"))
    torch.manual_seed(1)
    noisy = images[:4] + 0.1 * torch.randn_like(images[:4])
    torch.manual_seed(1)
    assert judges(images[:4], images[:4]).abs() < 1e-5 and judges(noisy, images[:4]) > 0.1


@pytest.mark.parametrize("judged", [pytest.param("lpips", marks=needs_perceptual), "stand-in"])
def test_refiner_recipe_trains_exports_and_resumes(folder, tmp_path, monkeypatch, small, capsys, judged):
    if judged == "stand-in":
        far = refiner_training.Judges(Far(), Far())
        monkeypatch.setattr(refiner_training.Judges, "load", lambda device: far)
    shrink(monkeypatch, "refiner", steps=2, batch=4, crop=64, accumulate=1)
    out = tmp_path / "runs"
    figures = train.train("refiner", folder, out=out)
    assert len(figures) == 24 and all(np.isfinite(value) for value in figures.values())
    assert "step 2: " in capsys.readouterr().out
    assert weights.card("refiner", out)["steps"] == 2
    RefinerNetwork().load_state_dict(weights.load("refiner", out))
    shrink(monkeypatch, "refiner", steps=3, batch=4, crop=64, accumulate=1)
    train.train("refiner", folder, resume=True, out=out)
    assert weights.card("refiner", out)["steps"] == 3


def test_recipes_fit_the_networks():
    """Crops are whole cells; what is built has the shapes of what is shipped."""
    for name in ("lrisc", "refiner"):
        assert recipe(name).crop % 32 == 0
    built = recipe("lrisc").build().state_dict()
    shipped = weights.load("lrisc")
    assert {key: value.shape for key, value in built.items()} == {k: v.shape for k, v in shipped.items()}
