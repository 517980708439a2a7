"""Activity of the auxiliary part: how strong z_A is around each token, as small integers that both ends know
exactly.

The log-energy of each token's luma and colour coefficients goes through a 4 × 4 Walsh-Hadamard transform, is
rounded, and travels in the digital part. The receiver's way back is integer arithmetic, so that both ends
choose the same coefficients on every machine.
"""

from __future__ import annotations

import torch
from torch.nn import functional

from ...nn.hadamard import hadamard

GROUPS = (64, 56)  # channels of the luma and of the colour group
SIDE = 4  # tokens of a transform block: one latent position
LATENTS = len(GROUPS) * SIDE * SIDE
ROWS, OFFSET = (
    44,
    30,
)  # rows of the power table; the row of mean energy. A row is half an octave of energy (1.5 dB)
_SMALLEST = 2.0**-20


def group_channels(values: torch.Tensor) -> torch.Tensor:
    """Per-group rows (B, 2, h, w) → per-channel rows (B, 120, h, w)."""
    return values.repeat_interleave(torch.tensor(GROUPS, device=values.device), dim=1)


def quantise(energy: torch.Tensor, step: int) -> torch.Tensor:
    """Whitened mean energies (B, 2, h, w), h and w multiples of 4 → latents int64 (B, 32, h/4, w/4). `step`
    in eighths of an octave.
    """
    matrix = hadamard(SIDE).to(energy)
    blocks = (
        energy.clamp_min(_SMALLEST).log2().unfold(2, SIDE, SIDE).unfold(3, SIDE, SIDE)
    )  # (B, 2, h/4, w/4, 4, 4)
    spectrum = matrix @ blocks @ matrix.T / SIDE
    return (spectrum * (8 / step)).round().long().permute(0, 1, 4, 5, 2, 3).flatten(1, 3)


def rows(latents: torch.Tensor, step: int) -> torch.Tensor:
    """Latents int64 (B, 32, h, w) → rows of the power table, int64 (B, 2, 4h, 4w), 0 … 43. Integers only:
    exact everywhere.
    """
    batch, _, height, width = latents.shape
    matrix = hadamard(SIDE).to(latents.device)
    spectrum = latents.reshape(batch, len(GROUPS), SIDE, SIDE, height, width).permute(0, 1, 4, 5, 2, 3)
    total = torch.einsum("ij,bghwjk,kl->bghwil", matrix, spectrum, matrix)
    row = torch.div(total * step + 8, 16, rounding_mode="floor") + OFFSET
    return (
        row.clamp(0, ROWS - 1)
        .permute(0, 1, 2, 4, 3, 5)
        .reshape(batch, len(GROUPS), SIDE * height, SIDE * width)
    )


def energies(features: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Mean of u²/weight over each group's channels: (B, 120, h, w), weight (120,) → (B, 2, h, w)."""
    whitened = features.square() / weight[:, None, None]
    return torch.stack([part.mean(1) for part in whitened.split(GROUPS, 1)], 1)


def power_table(log_power: torch.Tensor, row: torch.Tensor) -> torch.Tensor:
    """Table int64 (44, 120) at rows (B, 2, h, w) → log-powers int64 (B, 120, h, w), in 1/64 octave."""
    index = group_channels(row)
    channel = torch.arange(index.shape[1], device=row.device)[:, None, None]
    return log_power[index, channel.expand_as(index)]


def upsample_known(known: torch.Tensor, factor: int) -> torch.Tensor:
    """Bool mask (h, w) of latent positions → of tokens (factor·h, factor·w)."""
    return functional.interpolate(known[None, None].float(), scale_factor=factor)[0, 0] > 0
