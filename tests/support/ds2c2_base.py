"""DS²C²'s base layer at its linear start, with tables fitted to random fields: no weights are needed."""

from functools import lru_cache

import numpy as np
import torch
from gnuradio.hsc.systems.ds2c2 import base_training
from gnuradio.hsc.systems.ds2c2.base import BaseCodec
from gnuradio.hsc.systems.ds2c2.base_network import BaseNetwork

from .fields import smooth_photos


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
    crops = np.concatenate(
        [smooth_photos(8, 128, 128), ramped(smooth_photos(12, 128, 128, seed=2)), constant]
    )
    base_training.fit_tables(network, torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 255, times=2)
    return network.eval().requires_grad_(False)


@lru_cache(maxsize=1)
def fitted_base() -> BaseCodec:
    """Its codec."""
    return BaseCodec(fitted_network())
