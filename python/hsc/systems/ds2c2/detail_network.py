"""The receiver's network of the dispersed coding: ẑ, how sure it is, and what the base says → image.

    ẑ ─▶ 16 × 16 IDCT ─▶ + c′ ─▶ Ĩ ─▶ tokens ─▶ residual Swin block ─▶ + Ĩ ─▶ x̂
    v ─▶ variances of the tokens' coefficients ────────┘

Tokens are the 120 coefficients of 8 × 8 pixels that HDA-DeepSC's decoder works in, whose weights are the
start. Ĩ itself goes past them: what arrived is not blurred by a transform that keeps 120 of 192.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import nn

from ... import weights
from ...coding.entropy import EntropyTables
from ...nn.swin import ResidualSwinBlock
from ...nn.transform import BLOCK, KEPT, WIDTH, BlockTransform, dct_matrix, zigzag
from . import dispersed
from .dispersed import CELL, LARGEST, MAGNITUDES, ROWS, Model

WEIGHTS = "ds2c2-detail"
# Variances below it, in those of z's channels, count as it.
_SUREST = 1e-6


class DetailNetwork(nn.Module):
    """From detail to image, and the tables that both ends share.

    Args:
        finenesses: of the base.
        features: of `dispersed.features`, for c as the base has it.

    Attributes:
        deviation: float (120,), RMS of each channel of the tokens, for the network's inputs.
        scale_weight: int32 (finenesses, CHANNELS, features), of `dispersed.scales`.
        tables: int32 (2 · ROWS, 2 · LARGEST + 2), probabilities of symbols out of 2^24.
        mean, variance, prior: as in `dispersed.Model`.
    """

    def __init__(self, finenesses: int, features: int) -> None:
        super().__init__()
        self.transform = BlockTransform()
        self.decoder = ResidualSwinBlock(WIDTH)
        self.reliability = nn.Conv2d(WIDTH, WIDTH, 1)
        nn.init.zeros_(self.reliability.weight)
        nn.init.zeros_(self.reliability.bias)
        self.register_buffer("deviation", torch.ones(WIDTH))
        weight = torch.zeros(finenesses, dispersed.CHANNELS, features, dtype=torch.int32)
        self.register_buffer("scale_weight", weight)
        self.register_buffer("tables", torch.zeros(2 * ROWS, 2 * LARGEST + 2, dtype=torch.int32))
        self.register_buffer("mean", torch.zeros(2 * ROWS, MAGNITUDES))
        self.register_buffer("variance", torch.zeros(2 * ROWS, MAGNITUDES))
        self.register_buffer("prior", torch.zeros(2 * ROWS))

    def model(self) -> Model:
        """p(symbol | scale) as the buffers have it."""
        tables = self.tables.cpu().numpy()
        moments = (each.double().cpu().numpy() for each in (self.mean, self.variance, self.prior))
        return Model(EntropyTables(tables, np.full(len(tables), -LARGEST)), *moments)

    @torch.no_grad()
    def adopt(self, model: Model) -> None:
        """Take over a fitted model."""
        self.tables.copy_(torch.from_numpy(model.tables.probabilities))
        for own, fitted in (
            (self.mean, model.mean),
            (self.variance, model.variance),
            (self.prior, model.prior),
        ):
            own.copy_(torch.from_numpy(fitted))

    def forward(self, z: torch.Tensor, variance: torch.Tensor, synthesised: torch.Tensor) -> torch.Tensor:
        """ẑ and the variance of its error, (B, CHANNELS, H/16, W/16) each, and c′ (B, 3, H, W) → x̂, not
        clamped.
        """
        image = synthesised + dispersed.synthesise(z)
        unit = self.deviation[:, None, None]
        known = (token_variance(variance) / unit.square()).clamp_min(_SUREST).log2() / 4
        tokens = self.transform(image) / unit + self.reliability(known)
        added = unit * self.decoder.residual(tokens)
        return image + self.transform.inverse(added) - self.transform.inverse(torch.zeros_like(added[:1]))


@lru_cache(maxsize=1)
@torch.inference_mode(False)
def _squares() -> torch.Tensor:
    """What each of 16 frequencies of a cell gives to the power of each of 8 of its two halves, (2, 8, 16)."""
    whole, half = dct_matrix(CELL), dct_matrix(BLOCK)
    halves = [half @ whole.T[part * BLOCK : (part + 1) * BLOCK] for part in range(CELL // BLOCK)]
    return torch.from_numpy(np.stack(halves) ** 2).float()


def token_variance(variance: torch.Tensor) -> torch.Tensor:
    """Variances of independent errors of z (B, CHANNELS, h, w) → those of the coefficients of tokens,
    (B, 120, 2 h, 2 w).
    """
    squares = _squares().to(variance.device)
    cells = dispersed.planes_of(variance)
    tokens = torch.einsum("aku,bphwuv,clv->bpkhawcl", squares, cells, squares)
    tokens = tokens.permute(0, 1, 3, 4, 5, 6, 2, 7).flatten(-2).flatten(2, 3).flatten(3, 4)
    order = torch.from_numpy(zigzag(BLOCK) @ np.array([BLOCK, 1])).to(variance.device)
    kept = [tokens[:, plane][..., order[:count]] for plane, count in enumerate(KEPT)]
    return torch.cat(kept, -1).permute(0, 3, 1, 2)


@lru_cache(maxsize=1)
def load_detail() -> tuple[DetailNetwork, Model]:
    """The network with its shipped weights, and p(symbol | scale). Raises HscError when they are missing or
    damaged.
    """
    state = weights.load(WEIGHTS)
    network = DetailNetwork(*state["scale_weight"].shape[::2])
    network.load_state_dict(state)
    return network.eval().requires_grad_(False), network.model()
