"""The statistical binarizer: its mean and gradient, and the sign at inference."""

import pytest
import torch
from gnuradio.hsc.systems.ds2c2.binarizer import binarise


def test_mean_and_variance_in_training():
    torch.manual_seed(1)
    u = torch.linspace(-0.95, 0.95, 9)[:, None].expand(-1, 40_000)
    symbols = binarise(u, training=True)
    assert set(symbols.unique().tolist()) == {-1.0, 1.0}
    torch.testing.assert_close(symbols.mean(1), u[:, 0], atol=0.02, rtol=0)
    torch.testing.assert_close(symbols.var(1), 1 - u[:, 0] ** 2, atol=0.03, rtol=0)


def test_certain_values_are_certain():
    for end in (-1.0, 1.0):
        assert (binarise(torch.full((10_000,), end), training=True) == end).all()


@pytest.mark.parametrize("training", [True, False])
def test_gradient_is_one(training):
    u = torch.tensor([-0.7, 0.0, 0.2, 0.9], requires_grad=True)
    weights = torch.tensor([1.0, -2.0, 3.0, 0.5])
    (binarise(u, training) * weights).sum().backward()
    torch.testing.assert_close(u.grad, weights)


def test_the_sign_at_inference_and_zero_counts_as_plus():
    u = torch.tensor([-0.9, -1e-30, -0.0, 0.0, 1e-30, 0.3])
    assert binarise(u, training=False).tolist() == [-1, -1, 1, 1, 1, 1]
