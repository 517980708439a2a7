"""DS²C²'s base layer at its linear start, with tables fitted to random fields: no weights are needed."""

from functools import lru_cache

import numpy as np
import torch
from gnuradio.hsc.systems.ds2c2 import base_training
from gnuradio.hsc.systems.ds2c2.base import BaseCodec
from gnuradio.hsc.systems.ds2c2.base_network import BaseNetwork


def fields(count: int, height: int, width: int, seed: int = 1) -> np.ndarray:
    """Random fields whose spectrum falls as photographs' do, uint8 (count, height, width, 3)."""
    rng = np.random.default_rng(seed)
    down, across = np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None]
    radius = np.hypot(down, across) + 1 / max(height, width)
    noise = rng.standard_normal((count, height, width, 1))
    field = np.real(np.fft.ifft2(np.fft.fft2(noise, axes=(1, 2)) / radius[..., None] ** 1.5, axes=(1, 2)))
    grain = 0.1 * rng.standard_normal((count, height, width, 3))
    return np.clip(128 + 45 * (field / field.std() + grain), 0, 255).astype(np.uint8)


def ramped(images: np.ndarray) -> np.ndarray:
    """Images with less and less contrast to the left: none at the edge."""
    ramp = np.linspace(0, 1, images.shape[2])[:, None]
    return np.round(128 + (images.astype(float) - 128) * ramp).astype(np.uint8)


@lru_cache(maxsize=1)
def fitted_network() -> BaseNetwork:
    """The linear start, fitted once."""
    torch.manual_seed(1)
    network = BaseNetwork()
    levels = np.linspace(0, 255, 6).astype(np.uint8)[:, None, None, None]
    constant = np.broadcast_to(levels, (6, 128, 128, 3))
    crops = np.concatenate([fields(8, 128, 128), ramped(fields(12, 128, 128, seed=2)), constant])
    base_training.fit_tables(network, torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 255, times=2)
    return network.eval().requires_grad_(False)


@lru_cache(maxsize=1)
def fitted_base() -> BaseCodec:
    """Its codec."""
    return BaseCodec(fitted_network())
