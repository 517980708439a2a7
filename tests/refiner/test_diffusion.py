"""Residual-shift diffusion: levels, steps, the noise of the posterior, the way back."""

import numpy as np
import pytest
import torch
from gnuradio.hsc.nn.transform import basis
from gnuradio.hsc.refiner import bands, diffusion
from gnuradio.hsc.refiner.options import MOST_STEPS


def normal(*shape, seed=1):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_levels_rise_geometrically_to_one():
    levels = diffusion.level(torch.arange(1, MOST_STEPS + 1))
    assert levels[0] == pytest.approx(diffusion.LEAST_LEVEL) and levels[-1] == 1
    ratios = levels[1:] / levels[:-1]
    torch.testing.assert_close(ratios, ratios[:1].expand_as(ratios))
    assert diffusion.level(2) == levels[1]


@pytest.mark.parametrize(("steps", "taken"), [(1, [4]), (2, [4, 1]), (3, [4, 2, 1]), (4, [4, 3, 2, 1])])
def test_steps_begin_at_the_top_and_end_at_the_bottom(steps, taken):
    assert diffusion.steps_taken(steps) == taken


def test_noise_has_the_variance_that_the_bands_say():
    """In every band of the DCT of its blocks, independent of the others; pixels have the sum over 192."""
    error = torch.linspace(1e-5, 0.02, bands.BANDS)[None, :, None, None].expand(1, -1, 64, 64)
    noise = diffusion.posterior_noise(error, normal(1, 120, 64, 64))
    kernels = torch.from_numpy(basis()).float()
    spectrum = torch.nn.functional.conv2d(noise, kernels, stride=8)[0].flatten(1)
    measured = torch.zeros(bands.BANDS).index_add_(0, bands.BAND, spectrum.square().mean(1))
    measured /= torch.bincount(bands.BAND)
    torch.testing.assert_close(measured, error[0, :, 0, 0], rtol=0.05, atol=0)
    correlation = torch.corrcoef(spectrum) - torch.eye(120)
    assert correlation.abs().max() < 0.1
    total = bands.to_coefficients(error)[0, :, 0, 0].sum() / 192
    assert float(noise.square().mean()) == pytest.approx(float(total), rel=0.02)


def test_noise_lies_where_energy_is_missing():
    error = torch.zeros(1, bands.BANDS, 2, 3)
    error[..., 1, 2] = 0.01
    noise = diffusion.posterior_noise(error, normal(1, 120, 2, 3))
    assert noise[..., 8:, 16:].abs().min(1).values.any()
    noise[..., 8:, 16:] = 0
    assert not noise.any()


def test_what_is_unknown_has_a_little_noise_and_what_is_lost_no_more_than_a_limit():
    rms = {
        error: float(diffusion.posterior_noise(torch.full((1, 16, 8, 8), error), normal(1, 120, 8, 8)).std())
        for error in (-1.0, 0.0, 1e-4, 0.02, 5.0, float("inf"))
    }
    assert rms[0.0] == 0 and rms[-1.0] == rms[1e-4] > 0
    assert rms[0.02] == rms[5.0] == rms[float("inf")] > rms[1e-4]


def test_shifted_is_the_equation():
    original, decoded, noise = (normal(2, 3, 8, 8, seed=seed) for seed in range(3))
    found = diffusion.shifted(original, decoded, noise, torch.tensor([1.0, 0.2]))
    torch.testing.assert_close(found[0], decoded[0] + diffusion.KAPPA * noise[0])
    wanted = original[1] + 0.04 * (decoded[1] - original[1]) + diffusion.KAPPA * 0.2 * noise[1]
    torch.testing.assert_close(found[1], wanted)


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_each_step_starts_from_what_the_last_one_found_with_the_same_noise(steps):
    decoded, noise, error = normal(2, 3, 16, 8), normal(2, 3, 16, 8, seed=2), torch.rand(2, 16, 2, 1)
    asked = []

    def network(noisy, seen, told, level):
        assert seen is decoded and told is error
        asked.append((noisy, level))
        return decoded * (1 + len(asked) / 10)

    found = diffusion.sample(network, decoded, error, noise, steps)
    before = decoded
    for number, (step, (noisy, level)) in enumerate(zip(diffusion.steps_taken(steps), asked, strict=True), 1):
        assert np.allclose(level, diffusion.level(step)) and level.shape == (2,)
        torch.testing.assert_close(noisy, diffusion.shifted(before, decoded, noise, level))
        before = decoded * (1 + number / 10)
    torch.testing.assert_close(found, before)


def test_a_network_that_knows_the_image_gives_it_back():
    image, decoded, noise = normal(1, 3, 8, 8), normal(1, 3, 8, 8, seed=2), normal(1, 3, 8, 8, seed=3)
    found = diffusion.sample(lambda *_: image, decoded, torch.rand(1, 16, 1, 1), noise, 4)
    assert torch.equal(found, image)
