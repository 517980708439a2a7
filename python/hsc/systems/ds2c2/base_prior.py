"""The base layer, frozen, as the trainings of what stands behind it need it."""

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
        wanted = self.codec.network.compress(images.to(self.codec.network.deviation.device))
        return self.codec.finenesses[fineness].choose(wanted.cpu())[0]

    @torch.no_grad()
    def synthesise(self, c: np.ndarray, fineness: int) -> torch.Tensor:
        """c → x′ (B, 3, H, W)."""
        expanded, network = self.codec.expand(c, fineness), self.codec.network
        return network.refine(network.segment(expanded), expanded)[-1]

    def refined(self, images: torch.Tensor, fineness: int) -> torch.Tensor:
        """Images as of `code` → x′ (B, 3, H, W)."""
        return self.synthesise(self.code(images, fineness), fineness).to(images.device)


def load(state: dict[str, torch.Tensor], device: torch.device | str = "cpu") -> BasePrior:
    """The base of some weights, on a device."""
    network = BaseNetwork()
    network.load_state_dict(state)
    return BasePrior(network.to(device, memory_format=torch.channels_last))
