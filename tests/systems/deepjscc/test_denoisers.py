"""DiffSDNet, DDPM sampling and DnCNN: schedule and sampler against theory, the untrained predictor, the
shipped weights, recipes.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import gnuradio.hsc
import numpy as np
import pytest
import torch
from gnuradio.hsc import weights
from gnuradio.hsc.app import train
from gnuradio.hsc.codecs import registry
from gnuradio.hsc.codecs.options import described
from gnuradio.hsc.errors import HscError
from gnuradio.hsc.images.files import load
from gnuradio.hsc.message import Link, ReceivedAnalog, ReceivedMessage
from gnuradio.hsc.metrics import psnr_db
from gnuradio.hsc.nn import diffusion
from gnuradio.hsc.phy import analog
from gnuradio.hsc.systems.deepjscc import denoise, denoiser_training, denoisers
from gnuradio.hsc.systems.deepjscc.denoisers import diffusion as diffusion_kinds
from gnuradio.hsc.systems.deepjscc.denoisers.denoiser import Denoiser
from gnuradio.hsc.systems.deepjscc.denoisers.diffusion import SCHEDULE, DiffSdNet, as_received
from gnuradio.hsc.systems.deepjscc.denoisers.dncnn import DnCnn, DnCnnNetwork
from gnuradio.hsc.systems.deepjscc.denoisers.predictor import NoisePredictor
from gnuradio.hsc.systems.deepjscc.maps import received_maps, to_maps, to_stream
from gnuradio.hsc.systems.deepjscc.network import VALUES, load_model
from gnuradio.hsc.systems.deepjscc.parameters import AnalogParameters
from gnuradio.hsc.systems.deepjscc.spectrum import dct2
from gnuradio.hsc.training.recipe import recipe
from PIL import Image
from support import ROOT
from support.recipes import shrink

IMAGES = ROOT / "examples" / "images"
# Where the package `hsc` lies that is under test: in the source tree or installed.
PACKAGES = str(Path(gnuradio.hsc.__file__).parents[1])


def test_schedule_is_the_papers():
    t = torch.arange(51.0)
    gamma = 0.5 * torch.arange(1, 51) / 50  # eq. (32)
    expected = torch.cat([torch.ones(1), (1 - gamma).cumprod(0)])
    torch.testing.assert_close(SCHEDULE.kept(t), expected, rtol=1e-5, atol=0)
    assert gamma.sum().item() / 2 == pytest.approx(6.375)  # the exponent that the paper prints after (32)
    variance = 10 ** -torch.linspace(-1, 3, 9)
    start = SCHEDULE.start(variance)
    torch.testing.assert_close(SCHEDULE.kept(start), 1 / (1 + variance), rtol=1e-5, atol=1e-6)  # eq. (31)
    assert (start.diff() < 0).all() and SCHEDULE.start(torch.tensor([0.0, 1e9])).tolist() == [0, 50]


def exact_noise(prior: float):
    """E[ε | v⁽ᵗ⁾] for Gaussian v⁽⁰⁾ of variance `prior`."""

    def model(v, t):
        share = SCHEDULE.kept(t)[:, None, None, None]
        return v * (1 - share).sqrt() / (share * prior + 1 - share)

    return model


@pytest.mark.parametrize("steps", [1, 7, 50])
@pytest.mark.parametrize("prior", [0.2, 3.0])
def test_deterministic_steps_end_in_the_mmse_estimate_of_gaussian_values(steps, prior):
    noisy = torch.randn(1, 2, 8, 8, generator=torch.Generator().manual_seed(1))
    variance = torch.tensor([0.7])
    found = diffusion.reverse(
        SCHEDULE, noisy / (1 + variance).sqrt(), SCHEDULE.start(variance), exact_noise(prior), steps
    )
    torch.testing.assert_close(found, noisy * prior / (prior + variance), rtol=2e-3, atol=1e-4)


def test_random_steps_draw_from_the_posterior():
    torch.manual_seed(1)
    variance, prior = torch.tensor([0.7]), 0.5
    noisy = torch.full((1, 1, 200, 200), 0.4)
    found = diffusion.reverse(
        SCHEDULE,
        noisy / (1 + variance).sqrt(),
        SCHEDULE.start(variance),
        exact_noise(prior),
        200,
        random=True,
    )
    assert found.mean().item() == pytest.approx(0.4 * prior / (prior + 0.7), rel=0.05)
    assert found.var().item() == pytest.approx(prior * 0.7 / (prior + 0.7), rel=0.05)


def test_untrained_predictor_is_the_linear_estimator():
    """White noise and values that are white within each channel: per channel √(1 − k) v / (k λ + 1 − k)."""
    torch.manual_seed(1)
    power = torch.linspace(0, 2, VALUES)[:, None, None].expand(1, VALUES, 6, 7)
    noisy, t = torch.randn(1, VALUES, 6, 7), torch.tensor([9.0])
    share = SCHEDULE.kept(t)
    with torch.no_grad():
        found = NoisePredictor(SCHEDULE)(noisy, t, power)
    torch.testing.assert_close(
        found, (1 - share).sqrt() * noisy / (share * power + 1 - share), rtol=1e-4, atol=1e-5
    )


def test_networks_are_small():
    for network in (DnCnnNetwork(), NoisePredictor(SCHEDULE)):
        assert sum(p.numel() for p in network.parameters()) < 2e6


# --- with the shipped weights


@pytest.fixture(scope="module")
def noisy():
    """A photograph's values (1, 64, 20, 29) and how they arrive at 0 dB: message, sent, received."""
    photo = load(IMAGES / "parakeet.jpg").pixels[40:200, 30:262]
    message = registry.create("deepjscc").encode(photo, Link(snr_db=0))
    symbols, scale = analog.modulate(message.analog)
    rng = np.random.default_rng(1)
    received = symbols + (rng.standard_normal((len(symbols), 2)) @ [1, 1j]) * 0.5**0.5
    stream = analog.demodulate(received, 1.0, None, scale)
    return photo, message, ReceivedMessage(message.codec, message.shape, message.parameters, stream, (), 0.0)


def maps_of(received):
    """Values and noise variances of a received message, (1, 64, 20, 29) each."""
    return received_maps(received.analog, received.shape, AnalogParameters.unpack(received.parameters))


def linear_estimates(received):
    """What the receiver's linear estimator makes of values: maps (64, 20, 29)."""
    parameters = AnalogParameters.unpack(received.parameters)
    values, variance = maps_of(received)
    model = load_model()
    return model.spectrum.receive(values, variance, model.gains(values.shape[-2:], *parameters.tensors()))[0][
        0
    ]


@pytest.mark.parametrize("kind", denoisers.KINDS)
def test_denoised_values_make_better_estimates(kind, noisy):
    torch.manual_seed(1)
    photo, message, received = noisy
    exact = type(received.analog)(
        message.analog, np.zeros_like(message.analog), np.ones(len(message.analog), bool)
    )
    truth = linear_estimates(replace(received, analog=exact))
    better = denoise.denoise_received(received, denoisers.load(kind), 5)
    before, after = ((linear_estimates(each) - truth).square().mean().item() for each in (received, better))
    assert after < (
        2 * before if kind == "ddpm" else before
    )  # DDPM draws a sample of the posterior: about twice the error of its mean
    if kind == "dncnn":
        assert (better.analog.noise_variance < received.analog.noise_variance).all()
    else:
        np.testing.assert_allclose(better.analog.noise_variance, received.analog.noise_variance, rtol=1e-5)
    image = registry.create("deepjscc", denoiser=kind, denoiser_steps=2).decode(received).image
    assert image.shape == photo.shape


def test_values_handed_on_are_those_of_the_estimates():
    """Linear estimation undoes `as_received`."""
    torch.manual_seed(1)
    spectrum, noise = torch.rand(1, 4, 6, 8) + 0.1, torch.linspace(0.1, 2, 4)[None, :, None, None]
    estimates = torch.randn(1, 4, 6, 8)
    values = as_received(estimates, spectrum, noise)
    torch.testing.assert_close(
        dct2(dct2(values) * spectrum / (spectrum + noise), inverse=True), estimates, rtol=1e-4, atol=1e-5
    )


def test_dncnns_values_go_on_with_the_noise_that_was_measured():
    model = DnCnn()
    model.remains.copy_(torch.linspace(0.2, 1.0, 5)[:, None])
    estimates = torch.randn(1, VALUES, 4, 4)
    for snr_db, share in ((-5.0, 0.2), (0.0, 0.2), (2.5, 0.3), (20.0, 1.0), (40.0, 1.0)):
        variance = torch.tensor([10 ** (-snr_db / 10)])
        values, left = model.hand_on(estimates, variance, torch.ones_like(estimates))
        assert values is estimates
        torch.testing.assert_close(
            left, (share * variance).expand(1, VALUES)[..., None, None], rtol=1e-4, atol=1e-7
        )


def test_lost_values_stay_lost(noisy):
    """Groups of sixteen of which nothing came, the mixed values k·(n/16) + i of group i."""
    _, _, received = noisy
    stream = received.analog
    there = np.tile(np.random.default_rng(2).random(len(stream.values) // 16) > 0.2, 16)
    stream = type(stream)(
        np.where(there, stream.values, 0),
        np.where(there, stream.noise_variance, np.inf).astype(np.float32),
        there,
    )
    partly = ReceivedMessage(received.codec, received.shape, received.parameters, stream)
    better = denoise.denoise_received(partly, denoisers.load("diffsdnet"), 3).analog
    np.testing.assert_array_equal(better.received, there)
    assert np.isinf(better.noise_variance[~there]).all() and not better.values[~there].any()
    assert np.isfinite(better.values).all()


def test_nothing_is_changed_without_noise_or_without_values():
    values = torch.randn(1, VALUES, 4, 4)
    for variance in (torch.zeros_like(values), torch.full_like(values, torch.inf)):
        same, left = denoise.denoise(values, variance, DiffSdNet(), 3, torch.ones_like(values))
        assert same is values and left is variance


def test_unknown_denoisers_and_steps_are_refused():
    with pytest.raises(HscError, match="choose one of dncnn, diffsdnet, ddpm"):
        registry.create("deepjscc", denoiser="median")
    for steps in (0, 10**6):
        with pytest.raises(HscError, match="steps"):
            registry.create("deepjscc", denoiser="ddpm", denoiser_steps=steps)


class Halver(Denoiser):
    """A denoiser from outside: takes half of every value."""

    def __init__(self):
        super().__init__(torch.nn.Identity())

    def forward(self, values, variance, spectrum, steps):
        return values / 2

    def hand_on(self, estimates, variance, spectrum):
        return estimates, variance[:, None, None, None]


@pytest.fixture
def halver(tmp_path, monkeypatch):
    """ "halver" among the denoisers, with weights in a folder of its own."""
    weights.save("my-halver", Halver().state_dict(), {}, folder=tmp_path)
    kind = denoisers.Kind(Halver, "my-halver", tmp_path)
    monkeypatch.setitem(denoisers.KINDS, "halver", kind)
    described.cache_clear()
    yield "halver"
    described.cache_clear()


def test_a_system_may_bring_a_denoiser(halver, noisy):
    """One line in the table: the option knows it, and the codec uses it."""
    _, _, received = noisy
    better = denoise.denoise_received(received, denoisers.load(halver), 1)
    torch.testing.assert_close(maps_of(better)[0], maps_of(received)[0] / 2)
    codec = registry.create("deepjscc", denoiser=halver)
    assert not np.array_equal(
        codec.decode(received).image, registry.create("deepjscc").decode(received).image
    )
    with pytest.raises(HscError, match=f"choose one of {', '.join(denoisers.KINDS)}"):
        registry.create("deepjscc", denoiser="median")
    with pytest.raises(HscError, match="nothing to train"):
        denoisers.make(halver).loss(None, None)
    with pytest.raises(HscError, match=f"no denoiser 'median': choose one of {', '.join(denoisers.KINDS)}"):
        denoisers.make("median")


def test_options_are_described_without_torch():
    """The command line loads them on every start."""
    program = (
        "import sys, gnuradio; gnuradio.__path__ = [sys.argv[1], *gnuradio.__path__];"
        "from gnuradio.hsc.codecs.options import described;"
        "from gnuradio.hsc.systems.deepjscc.options import DeepJsccOptions;"
        "assert 'ddpm' in described(DeepJsccOptions)['denoiser'].choices and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-P", "-c", program, PACKAGES], check=True)


# --- streams and maps


@pytest.mark.parametrize("count", [1, 5, VALUES])
def test_stream_of_maps_is_the_stream_that_came(count):
    """Odd numbers of values are padded to whole symbols: the padding counts as lost."""
    rng, n = np.random.default_rng(1), 3 * 5 * count
    there = rng.random(n + n % 2) > 0.3
    there[n:] = False
    values = np.where(there, rng.standard_normal(len(there)), 0).astype(np.float32)
    variance = np.where(there, rng.random(len(there)), np.inf).astype(np.float32)
    maps = to_maps(ReceivedAnalog(values, variance, there), (21, 33, 3), count)
    back = to_stream(*maps, count, len(values))
    np.testing.assert_array_equal(back.values, values)
    np.testing.assert_array_equal(back.noise_variance, variance)
    np.testing.assert_array_equal(back.received, there)


# --- training


def test_recipes_run_at_toy_size_one_after_the_other(tmp_path, monkeypatch):
    monkeypatch.setattr(denoiser_training, "MEASURED_CROPS", 6)
    for sub, suffix, side in (("photos/train", "jpg", 200), ("kodak", "png", 72)):
        (tmp_path / sub).mkdir(parents=True)
        Image.fromarray(load(IMAGES / "lake.jpg").pixels[:side, :side]).save(tmp_path / sub / f"0.{suffix}")
    for kind in ("dncnn", "ddpm", "diffsdnet"):
        shrink(monkeypatch, f"deepjscc-{kind}", batch=2, crop=64)
        without, found = train.train(f"deepjscc-{kind}", tmp_path, steps=2, out=tmp_path).values()
        denoisers.make(kind).load_state_dict(weights.load(f"deepjscc-{kind}", tmp_path))
    # A noise predictor that was hardly trained is linear MMSE, which the decoder does by itself.
    assert found == pytest.approx(without, abs=0.1)


def test_noise_predictor_learns_through_its_own_steps(monkeypatch):
    """Gradients of the sampling loss reach the predictor."""
    torch.manual_seed(1)
    monkeypatch.setattr(diffusion_kinds, "GRADIENTS", 100)
    model, codec = DiffSdNet(), load_model()
    images = torch.nn.functional.interpolate(torch.rand(1, 3, 8, 8), scale_factor=8)
    objective, mse = denoiser_training.loss(model, images, recipe("deepjscc-diffsdnet"), codec)
    assert torch.isfinite(objective) and 0 < mse < 1
    objective.backward()
    last = model.network.leave[-1].weight.grad
    assert torch.isfinite(last).all() and last.abs().max() > 0


def test_dct_of_maps_is_orthonormal():
    maps = torch.randn(2, 3, 5, 9)
    torch.testing.assert_close(dct2(dct2(maps), inverse=True), maps, rtol=1e-4, atol=1e-5)
    assert dct2(maps).square().sum().item() == pytest.approx(maps.square().sum().item(), rel=1e-4)


def test_a_decoder_that_is_told_nothing_takes_values_for_exact(noisy):
    """With noise the image is worse, and a denoiser then gives most of it back; without noise it makes no
    difference.
    """
    photo, message, received = noisy
    told, untold = (
        registry.create("deepjscc", informed=informed).decode(received).image for informed in (True, False)
    )
    better = (
        registry.create("deepjscc", denoiser="diffsdnet", denoiser_steps=3, informed=False)
        .decode(received)
        .image
    )
    assert (
        psnr_db(untold, photo) < psnr_db(better, photo) - 1
        and psnr_db(better, photo) < psnr_db(told, photo) + 0.5
    )
    exact = type(received.analog)(
        message.analog, np.full_like(message.analog, 1e-9), np.ones(len(message.analog), bool)
    )
    clean = replace(received, analog=exact)
    assert (
        psnr_db(
            *(
                registry.create("deepjscc", informed=informed).decode(clean).image
                for informed in (True, False)
            )
        )
        > 45
    )


@pytest.mark.parametrize("kind", list(denoisers.KINDS))
@pytest.mark.parametrize("wild", [1e20, 3e38])
def test_values_and_variances_near_the_end_of_floats_do_no_harm(kind, wild):
    values = torch.full((1, VALUES, 4, 5), wild)
    for informed in (True, False):
        found, left = denoise.denoise(
            values, values, denoisers.load(kind), 3, torch.ones_like(values), informed
        )
        assert found.shape == left.shape == values.shape
        assert torch.isfinite(found).all() and not left.isnan().any()
