"""The networks of LRISC (arXiv 2504.21577): semantic codec, p(z | y), adaptive length, and how a message is
carried in training.

    x ─▶ g_e ─▶ z ─▶ h_e ─▶ y (digital) ─▶ p(z | y) ─▶ k_i = Q(β log σ_i / σ₀) ─┐
                └─▶ f_e: the k_i values of each z_i, scaled ─▶ (analog) ─▶ f_d: ẑ, v ─▶ g_d ─▶ x̃

Linear at the start, or with the semantic codec of HDA-DeepSC. SNR adaptation is v, the posterior variance of
every coefficient, which the receiver knows from σ_i and the measured noise: one set of weights serves every
SNR, bandwidth, fade and loss.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import torch
from torch import nn

from ... import weights
from ...coding import activity
from ...coding.stored_tables import LARGEST_INDEX, unpack_tables
from ...nn.swin import ResidualSwinBlock
from ...nn.transform import WIDTH, BlockTransform
from . import hyper, means, side

WEIGHTS = "lrisc"
# SNR that stands for "not known" [dB]: what the encoder is told then.
USUAL_SNR_DB = 10.0
# Sides of images are padded to multiples of a cell [pixels].
MULTIPLE = 32
# CBR that stands for 0 in what the encoder is told, near the middle of 1/48 … 1/6.
_USUAL_CBR = 1 / 17


class LriscNetwork(nn.Module):
    """g_e, g_d and the tables of p(z | y).

    Attributes:
        deviation: float (120,), RMS of each channel of z, for the networks' inputs.
        weight, log_power, low_power, mean_power: as in `hyper.Model`.
        tables: int32 (6, 184, 82), entropy tables of y as stored.
    """

    def __init__(self) -> None:
        super().__init__()
        self.transform = BlockTransform()
        self.encoder, self.decoder = ResidualSwinBlock(WIDTH), ResidualSwinBlock(WIDTH)
        self.link = nn.Linear(2, WIDTH)
        self.reliability = nn.Conv2d(WIDTH, WIDTH, 1)
        for layer in (self.link, self.reliability):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.register_buffer("deviation", torch.ones(WIDTH))
        finenesses = len(hyper.STEPS)
        integers = {"dtype": torch.int32}
        self.register_buffer("weight", torch.ones(WIDTH))
        self.register_buffer("log_power", torch.zeros(finenesses, activity.ROWS, WIDTH, **integers))
        self.register_buffer(
            "low_power", torch.zeros(finenesses, activity.ROWS, len(hyper.LOW), activity.SIDE**2, **integers)
        )
        size = (len(hyper.MEAN_CHANNELS), means.LEVELS, means.LEVELS)
        self.register_buffer("mean_power", torch.zeros(size, **integers))
        self.register_buffer(
            "tables", torch.zeros(finenesses, side.TABLES, 2 * LARGEST_INDEX + 2, **integers)
        )

    def model(self) -> hyper.Model:
        """p(z | y) with the tables of the moment; without entropy tables."""
        powers = (self.log_power.long(), self.low_power.long(), self.mean_power.long())
        return hyper.Model(self.weight, *powers, ())

    def encode(self, images: torch.Tensor, snr_db: torch.Tensor, cbr: torch.Tensor) -> torch.Tensor:
        """z = g_e(x): images (B, 3, H, W), sides multiples of 32, and what the transmitter counts on, (B,)
        each → z (B, 120, H/8, W/8), in units of the orthonormal DCT of pixels in [0, 1].
        """
        z = self.transform(images)
        unit = self.deviation[:, None, None]
        known = self.link(told(snr_db, cbr))[..., None, None]
        return z + unit * self.encoder.residual(z / unit + known)

    def decode(self, z: torch.Tensor, variance: torch.Tensor) -> torch.Tensor:
        """x̃ = g_d(ẑ, v): ẑ and the variance of its error, (B, 120, h, w) each → images, not clamped."""
        unit = self.deviation[:, None, None]
        known = (variance / unit.square()).clamp_min(1e-6).log2() / 4
        return self.transform.inverse(z + unit * self.decoder.residual(z / unit + self.reliability(known)))


def told(snr_db: torch.Tensor, cbr: torch.Tensor) -> torch.Tensor:
    """What the encoder is told of the link, (B, 2), −1 … 1: no more than that for links beyond those of
    training, such as the CBR of an image of a few pixels.
    """
    return torch.stack([snr_db / 20 - 0.5, (cbr / _USUAL_CBR).log2() / 3], 1).clamp(-1, 1)


@lru_cache(maxsize=2)
def load_network(name: str = WEIGHTS) -> tuple[LriscNetwork, hyper.Model]:
    """The network with its shipped weights, and p(z | y). Raises HscError when they are missing or
    damaged.
    """
    network = LriscNetwork()
    network.load_state_dict(weights.load(name))
    network.eval().requires_grad_(False)
    tables = tuple(unpack_tables(each) for each in network.tables)
    return network, replace(network.model(), entropy=tables)
