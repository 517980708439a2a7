"""Quality figures against closed forms and an independent implementation."""

import numpy as np
import pytest
from gnuradio.hsc import metrics


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
