"""Networks: shapes, power, gradients, initialisation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gnuradio.hsc.systems.hsc.adapters import AdaptedVae
from gnuradio.hsc.systems.hsc.channel_io import power_normalise, shrink
from gnuradio.hsc.systems.hsc.conv_vae import STRIDE, ConvVae, latent_shape
from gnuradio.hsc.systems.hsc.gauss_markov import conditional_mean
from gnuradio.hsc.systems.hsc.vae import Vae, kl_divergence, reparameterise
from gnuradio.hsc.systems.hsc.vqvae import VqVae

DIGITS = torch.rand(5, 1, 28, 28, generator=torch.Generator().manual_seed(1))


def small_photo_vae() -> ConvVae:
    torch.manual_seed(2)
    return ConvVae(channels=12, widths=(8, 8, 8)).eval()


@pytest.mark.parametrize("model", [Vae(6), VqVae(6), AdaptedVae(Vae(6))])
def test_digit_models_send_unit_power_and_give_images(model):
    with torch.no_grad():
        values = model.encode(DIGITS)
        images = model.decode(values)
    assert values.shape == (5, 12)
    torch.testing.assert_close(values.square().mean(1), torch.ones(5))
    assert images.shape == DIGITS.shape
    assert images.min() >= 0 and images.max() <= 1


def test_layer_sizes_are_the_papers():
    sizes = [tuple(p.shape) for name, p in Vae(8).named_parameters() if name.endswith("weight")]
    assert sizes == [
        (512, 784),
        (256, 512),
        (128, 256),
        (64, 128),
        (16, 64),
        (16, 64),
        (128, 16),
        (256, 128),
        (512, 256),
        (784, 512),
    ]


def test_encoding_is_the_mean_unless_a_sample_is_asked_for():
    model = Vae(4).eval()
    torch.testing.assert_close(model.encode(DIGITS), power_normalise(model.posterior(DIGITS)[0]))
    assert not torch.equal(model.encode(DIGITS, sample=True), model.encode(DIGITS, sample=True))


def test_reparameterised_samples_have_the_posteriors_moments():
    torch.manual_seed(3)
    mean, log_variance = torch.full((200_000,), 2.0), torch.full((200_000,), np.log(0.25))
    samples = reparameterise(mean, log_variance)
    assert abs(samples.mean() - 2) < 0.01 and abs(samples.var() - 0.25) < 0.01


def test_kl_divergence_agrees_with_torch():
    mean, log_variance = torch.randn(50), torch.randn(50)
    exact = torch.distributions.kl_divergence(
        torch.distributions.Normal(mean, (0.5 * log_variance).exp()),
        torch.distributions.Normal(torch.zeros(50), torch.ones(50)),
    )
    torch.testing.assert_close(kl_divergence(mean, log_variance), exact)


def test_shrinkage_is_the_least_squares_estimate():
    torch.manual_seed(4)
    sent = 2 * torch.randn(100_000)
    received = sent + 3 * torch.randn(100_000)
    error = (shrink(received, torch.tensor(9.0), 4.0) - sent).square().mean()
    assert abs(error - 4 * 9 / 13) < 0.05
    assert shrink(torch.tensor(5.0), torch.tensor(float("inf"))) == 0


def test_quantiser_takes_the_nearest_codeword_and_passes_gradients_through():
    model = VqVae(3, codewords=7)
    features = torch.randn(4, 6)
    pairs, book = features.reshape(-1, 1, 2), model.codebook.detach()[None]
    nearest = book[0][(pairs - book).square().sum(2).argmin(1)].reshape(4, 6)
    torch.testing.assert_close(model.quantise(features), nearest)
    generated, _ = model(DIGITS)
    generated.sum().backward()
    assert model.head.weight.grad.abs().sum() > 0
    assert model.codebook.grad is None or model.codebook.grad.abs().sum() == 0


def test_codebook_loss_moves_the_codebook_towards_the_features():
    model = VqVae(3, codewords=7)
    _, regulariser = model(DIGITS)
    regulariser.mean().backward()
    assert model.codebook.grad.abs().sum() > 0


def test_fresh_adapters_change_nothing_and_the_codec_is_frozen():
    vae = Vae(5).eval()
    adapted = AdaptedVae(vae)
    values = vae.encode(DIGITS)
    torch.testing.assert_close(adapted.encode(DIGITS), values)
    torch.testing.assert_close(adapted.decode(values), vae.decode(values))
    assert {name.split(".")[0] for name, p in adapted.named_parameters() if p.requires_grad} == {"adapters"}


@pytest.mark.parametrize("size", [(8, 8), (16, 16), (17, 40), (48, 33), (9, 100)])
def test_photographs_of_any_size(size):
    model = small_photo_vae()
    images = torch.rand(2, 3, *size)
    with torch.no_grad():
        latent = model.encode(images)
        assert tuple(latent.shape[1:]) == latent_shape(*size, 12)
        assert model.decode(latent, *size).shape == images.shape
        assert model(images)[0].shape == images.shape


def test_klt_initialisation_is_the_best_linear_block_code():
    """The untrained codec reaches the error of the KLT: the sum of the eigenvalues left out."""
    rng = np.random.default_rng(5)
    crops = np.cumsum(rng.standard_normal((40, 32, 32, 3)), 1)
    crops = np.clip(128 + 10 * crops, 0, 255).astype(np.uint8)
    model = small_photo_vae()
    model.initialise_klt(crops)
    images = torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        error = (model.decode(model.encode(images)) - images).square().mean().item()
    blocks = (
        (crops / 255.0 - 0.5)
        .reshape(40, 2, STRIDE, 2, STRIDE, 3)
        .transpose(0, 1, 3, 5, 2, 4)
        .reshape(-1, 768)
    )
    eigenvalues = np.linalg.eigvalsh(blocks.T @ blocks / len(blocks))
    assert error == pytest.approx(eigenvalues[:-12].sum() / 768, rel=1e-3)


def test_channel_noise_reaches_the_photograph_decoder_at_the_given_snr():
    model = small_photo_vae()
    images = torch.rand(3, 3, 32, 32)
    seen = {}

    def channel(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        seen["power"] = values.square().mean(1)
        return values, torch.zeros(len(values), 1)

    with torch.no_grad():
        torch.testing.assert_close(model(images, channel)[0], model(images)[0])
    torch.testing.assert_close(seen["power"], torch.ones(3))


@pytest.mark.parametrize(("height", "width"), [(5, 6), (1, 9), (7, 1)])
def test_lost_values_become_their_mean_given_the_others(height, width):
    """Against the textbook's conditional mean with the whole covariance matrix, rho^(|dy| + |dx|)."""
    rng = np.random.default_rng(4)
    values, received = rng.standard_normal((3, height, width)), rng.random((3, height, width)) < 0.6
    places = np.stack(np.indices((height, width))).reshape(2, -1)
    distance = np.abs(places[:, :, None] - places[:, None]).sum(0)
    correlation = (0.0, 0.5, 0.9)
    filled = conditional_mean(
        *(torch.from_numpy(a) for a in (np.where(received, values, np.nan), received)),
        torch.tensor(correlation),
        200,
    )
    for rho, sent, came, found in zip(
        correlation, values.reshape(3, -1), received.reshape(3, -1), filled.flatten(1).numpy(), strict=True
    ):
        covariance = rho**distance if rho else np.eye(sent.size)
        wanted = sent.copy()
        wanted[~came] = covariance[np.ix_(~came, came)] @ np.linalg.solve(
            covariance[np.ix_(came, came)], sent[came]
        )
        np.testing.assert_allclose(found, wanted, atol=1e-3)  # the iterations stop at what is not seen


def test_nothing_received_is_the_prior_mean_and_everything_stays_as_it_is():
    field, correlation = (
        torch.randn(2, 4, 4, generator=torch.Generator().manual_seed(5)),
        torch.tensor([0.9, 1.0]),
    )
    assert torch.equal(
        conditional_mean(field, torch.zeros(2, 4, 4, dtype=torch.bool), correlation), torch.zeros(2, 4, 4)
    )
    assert conditional_mean(field, torch.ones(2, 4, 4, dtype=torch.bool), correlation) is field
