"""The base as the detail's training needs it: `detail_training.Prior`."""

from __future__ import annotations

import numpy as np
import torch

from .base import BaseCodec
from .base_network import CHANNELS, MEANS, STEPS, BaseNetwork

FINENESSES = len(STEPS)
# Of `dispersed.features`, for c of that many channels.
FEATURES = 2 * CHANNELS + 2 * len(MEANS) + 1


class BasePrior:
    """A base layer, frozen."""

    means, finenesses = MEANS, FINENESSES

    def __init__(self, network: BaseNetwork) -> None:
        self.codec = BaseCodec(network)

    @torch.no_grad()
    def code(self, images: torch.Tensor, fineness: int) -> np.ndarray:
        """Images (B, 3, H, W), sides multiples of 32 → c, int64 (B, C, H/16, W/16)."""
        return self.codec.finenesses[fineness].choose(self.codec.network.compress(images))[0]

    def expand(self, c: np.ndarray, fineness: int) -> torch.Tensor:
        """c → c′ (B, 3, H, W)."""
        return self.codec.expand(c, fineness)


def load(state: dict[str, torch.Tensor]) -> BasePrior:
    """The base of some weights."""
    network = BaseNetwork()
    network.load_state_dict(state)
    return BasePrior(network.to(memory_format=torch.channels_last))
