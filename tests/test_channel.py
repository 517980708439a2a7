"""Symbol channels against their definitions: mean gains, noise variance, outage of Rayleigh fading."""

import numpy as np
import pytest
import torch
from gnuradio.hsc import channel
from gnuradio.hsc.errors import HscError

NORMALS = {
    "numpy": lambda: channel.numpy_normal(np.random.default_rng(3)),
    "torch": lambda: channel.torch_normal(generator=torch.Generator().manual_seed(3)),
}


@pytest.mark.parametrize("library", NORMALS)
@pytest.mark.parametrize("kind", channel.KINDS[1:])
def test_noise_variance_and_mean_gain(library, kind):
    normal = NORMALS[library]()
    h = np.asarray(channel.gain(kind, (200_000,), normal))
    assert np.mean(np.abs(h) ** 2) == pytest.approx(1, abs=0.02)
    symbols = normal((400, 500))
    out, variance = channel.transmit(symbols, 7.0, kind, normal)
    assert tuple(out.shape) == (400, 500) and tuple(variance.shape) == (400, 1)
    error = np.abs(np.asarray(out - symbols)) ** 2 / np.asarray(variance)
    assert error.mean() == pytest.approx(1, abs=0.02)  # the variance reported is the variance there is


def test_rayleigh_outage_is_exponential():
    h = channel.gain("rayleigh", (200_000,), channel.numpy_normal(np.random.default_rng(1)))
    for threshold in (0.1, 0.5, 1.0):
        assert np.mean(np.abs(h) ** 2 < threshold) == pytest.approx(1 - np.exp(-threshold), abs=0.01)


def test_rician_line_of_sight_power():
    h = channel.gain("rician", (200_000,), channel.numpy_normal(np.random.default_rng(2)), rician_k=4.0)
    assert abs(h.mean()) ** 2 == pytest.approx(0.8, abs=0.01)


def test_ideal_channel_and_unknown_channel():
    normal = channel.numpy_normal(np.random.default_rng(0))
    symbols = normal((2, 3))
    out, variance = channel.transmit(symbols, 10.0, "ideal", normal)
    np.testing.assert_array_equal(out, symbols)
    assert not variance.any()
    with pytest.raises(HscError, match="choose one of"):
        channel.gain("fog", (1,), normal)


def test_bsc_and_erasure_rates():
    rng = np.random.default_rng(5)
    assert channel.bsc(np.zeros(100_000, np.uint8), 0.03, rng).mean() == pytest.approx(0.03, abs=0.003)
    assert channel.erased(100_000, 0.2, rng).mean() == pytest.approx(0.2, abs=0.01)
