"""Random pictures whose spectrum is that of photographs."""

import numpy as np


def smooth_photos(count: int, height: int, width: int, seed: int = 1) -> np.ndarray:
    """Random fields whose spectrum falls as photographs' do, uint8 (count, height, width, 3)."""
    rng = np.random.default_rng(seed)
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None]) + 1 / max(height, width)
    noise = (
        np.fft.fft2(rng.standard_normal((count, height, width, 1)), axes=(1, 2)) / radius[..., None] ** 1.5
    )
    field = np.real(np.fft.ifft2(noise, axes=(1, 2)))
    grain = 0.1 * rng.standard_normal((count, height, width, 3))
    return np.clip(128 + 45 * (field / max(field.std(), 1e-9) + grain), 0, 255).astype(np.uint8)
