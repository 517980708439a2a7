"""Quality figures against closed forms and an independent implementation."""

import numpy as np
import pytest
from gnuradio.hsc import metrics, perceptual_weights
from support import TESTS
from support.perceptual import needs_perceptual
from support.pictures import pixels

PICTURES = TESTS / "data" / "lpips"


def test_mse_and_psnr_closed_form():
    reference = np.full((20, 30, 3), 100, np.uint8)
    assert metrics.mse(reference + 10, reference) == pytest.approx((10 / 255) ** 2)
    assert metrics.psnr_db(reference + 10, reference) == pytest.approx(20 * np.log10(25.5))
    assert metrics.psnr_db(reference, reference) == metrics.PSNR_LIMIT_DB
    with pytest.raises(ValueError, match="different shape"):
        metrics.mse(reference, reference[1:])


def test_ms_ssim_falls_with_noise_and_needs_161_pixels():
    rng = np.random.default_rng(0)
    reference = np.kron(rng.integers(0, 255, (20, 20, 3)), np.ones((10, 10, 1))).astype(np.uint8)
    values = [
        metrics.ms_ssim(
            np.clip(reference + rng.normal(0, s, reference.shape), 0, 255).astype(np.uint8), reference
        )
        for s in (0, 10, 40)
    ]
    assert values[0] == pytest.approx(1) and values[0] > values[1] > values[2] > 0
    assert metrics.ms_ssim(reference[:160], reference[:160]) is None


def test_ms_ssim_in_db_is_of_the_distance_to_one(monkeypatch):
    reference = np.kron(np.random.default_rng(0).integers(0, 255, (18, 18, 3)), np.ones((10, 10, 1))).astype(
        np.uint8
    )
    noisy = np.clip(reference + np.random.default_rng(1).normal(0, 20, reference.shape), 0, 255).astype(
        np.uint8
    )
    value = metrics.ms_ssim(noisy, reference)
    assert 10 ** (-metrics.ms_ssim_db(noisy, reference) / 10) == pytest.approx(1 - value)
    assert metrics.ms_ssim_db(reference, reference) == metrics.MS_SSIM_LIMIT_DB
    assert metrics.ms_ssim_db(reference[:160], reference[:160]) is None
    monkeypatch.setattr(metrics, "ms_ssim", lambda *_: 0.99)
    assert metrics.ms_ssim_db(noisy, reference) == pytest.approx(20)


@needs_perceptual
def test_perceptual_distances_of_the_authors_example():
    reference, received = pixels(PICTURES / "ex_ref.png"), pixels(PICTURES / "ex_p0.png")
    assert metrics.lpips(received, reference) == pytest.approx(0.72188, abs=1e-5)
    assert metrics.lpips(received, reference, "vgg") == pytest.approx(0.56861, abs=1e-5)
    assert metrics.dists(received, reference) == pytest.approx(0.38793, abs=1e-5)
    found = metrics.perceptual(received, reference, ["lpips_alex", "dists"])
    assert list(found) == ["lpips_alex", "dists"] and found["dists"] == metrics.dists(received, reference)
    assert metrics.in_words({**found, "lpips_vgg": None}) == ["LPIPS (Alex) 0.722", "DISTS 0.388"]


@needs_perceptual
def test_grey_counts_as_three_equal_planes_and_equal_images_have_no_distance():
    reference = pixels(PICTURES / "ex_ref.png")
    grey, worse = reference[:, :, 1:2], pixels(PICTURES / "ex_p1.png")[:, :, 1:2]
    for distance in (metrics.lpips, metrics.dists):
        assert distance(reference, reference) == distance(grey, grey) == 0
        assert distance(worse, grey) == distance(np.repeat(worse, 3, 2), np.repeat(grey, 3, 2)) > 0


def test_sizes_that_have_no_perceptual_distance(monkeypatch):
    image = np.zeros((16, 16, 3), np.uint8)
    with pytest.raises(ValueError, match="different shape"):
        metrics.lpips(image, image[1:])

    class Network:
        def features(self, images):
            return [images]

        def between(self, received, original):
            return (received[0] - original[0]).mean()

    network = Network()
    monkeypatch.setattr(metrics, "_network", lambda name: network)
    monkeypatch.setattr(metrics, "perceptual_available", lambda name: True)
    assert metrics.lpips(image, image) == 0 and metrics.lpips(image[:15], image[:15]) is None
    large = np.zeros((1, 1, 3), np.uint8), np.zeros((1, 1, 3), np.uint8)
    large = [np.broadcast_to(each, (1449, 1449, 3)) for each in large]  # 2.1 megapixels
    assert metrics.lpips(*large) == 0 and metrics.dists(*large) is metrics.lpips(*large, "vgg") is None


@needs_perceptual
@pytest.mark.parametrize("name", metrics.PERCEPTUAL)
def test_an_original_that_is_kept_gives_the_same_distances(name, monkeypatch):
    original, *received = (pixels(PICTURES / f"ex_{which}.png") for which in ("ref", "p0", "p1"))
    kept = [metrics.perceptual(each, original, [name])[name] for each in received]
    monkeypatch.setattr(metrics, "_KEPT_PIXELS", 0)
    assert [metrics.perceptual(each, original, [name])[name] for each in received] == kept


def test_without_their_weights_there_is_no_perceptual_distance(monkeypatch):
    monkeypatch.setattr(perceptual_weights, "find", lambda name: None)
    image = np.zeros((32, 32, 3), np.uint8)
    assert not any(metrics.perceptual_available(name) for name in metrics.PERCEPTUAL)
    assert metrics.lpips(image, image) is metrics.dists(image, image) is None
