"""Values as if unmixed, against the textbook formula."""

from __future__ import annotations

import pytest
import torch
from gnuradio.hsc.coding import whitening
from gnuradio.hsc.nn.hadamard import hadamard


def test_values_come_unbiased_with_the_error_that_is_told():
    """One group: hᵢᵀ C⁻¹ y / (hᵢᵀ C⁻¹ hᵢ), of the variance 1 / (hᵢᵀ C⁻¹ hᵢ) − pᵢ; C of what came."""
    random = torch.Generator().manual_seed(1)
    power = torch.logspace(1, -1, 16)
    noise = 0.1 + torch.rand(16, generator=random)
    noise[[2, 7, 11]] = torch.inf
    received = torch.randn(16, generator=random)
    came = torch.isfinite(noise)
    rows = (hadamard(16).double() / 4)[came]
    inverse = torch.linalg.inv(rows * power.double() @ rows.T + torch.diag(noise[came].double()))
    gain = (rows.T @ inverse @ rows).diagonal()
    values, variance = whitening.unmix_unbiased(torch.where(came, received, 0), noise, power)
    expected = rows.T @ inverse @ received[came].double() / gain
    torch.testing.assert_close(values.double(), expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(variance.double(), 1 / gain - power.double(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("variance", [0.0, 1e-9, 0.3, 1e30])
def test_even_noise_is_handed_on_as_it_is(variance):
    values = torch.logspace(1, -2, 48)
    power = values.square() * (torch.arange(48) < 40)  # of the last ones nothing is expected
    found, noise = whitening.unmix_unbiased(whitening.mix(values), torch.full((48,), variance), power)
    torch.testing.assert_close(found, values, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(noise, torch.full((48,), variance))


def test_what_tells_nothing_is_lost(monkeypatch):
    """A group that did not come, and values of which nothing is expected in one that came in part."""
    values = torch.randn(48, generator=torch.Generator().manual_seed(1))
    noise = torch.full((16, 3), 0.1)
    noise[:, 0], noise[5, 1] = torch.inf, torch.inf
    power = torch.ones(16, 3)
    power[15] = 0
    sent = torch.where(torch.isfinite(noise).flatten(), whitening.mix(values), 0)
    arguments = sent, noise.flatten(), power.flatten()
    whole = whitening.unmix_unbiased(*arguments)
    lost = torch.isinf(whole[1].reshape(16, 3))
    assert lost[:, 0].all() and lost[:, 1].sum() == 1 and lost[15, 1] and not lost[:, 2].any()
    assert torch.isfinite(whole[0]).all() and not whole[0][lost.flatten()].any()
    monkeypatch.setattr(whitening, "_SOLVED_AT_ONCE", 1)
    for one, other in zip(
        whole, whitening.unmix_unbiased(sent, noise.flatten(), power.flatten()), strict=True
    ):
        torch.testing.assert_close(one, other)
