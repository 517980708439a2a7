"""Activity of the auxiliary part: how strong z_A is around each token, as small integers that both ends know
exactly.

The log-energy of each token's luma and colour coefficients goes through a 4 × 4 Walsh-Hadamard transform, is
rounded, and travels in the digital part. The receiver's way back is integer arithmetic, so that both ends
choose the same coefficients on every machine.
"""

from __future__ import annotations

import torch

from ..nn.hadamard import hadamard

# Channels of the luma and of the colour group.
GROUPS = (64, 56)
# Tokens along the side of a transform block, which is one latent position.
SIDE = 4
LATENTS = len(GROUPS) * SIDE * SIDE
# Rows of the power table. A row is half an octave of energy, 1.5 dB.
ROWS = 44
# Row of the mean energy.
OFFSET = 30
# Steps of the integer log-powers in an octave.
OCTAVE = 64
# Steps of the latents in eighths of an octave of energy, by fineness: fine where bits are cheap. Chosen by
# trial.
STEPS = (8, 14, 24, 48)
# Least energy over the mean: 60 dB below it, under the lowest row of the table.
_SMALLEST = 2.0**-20


def latents(features: torch.Tensor, weight: torch.Tensor, fineness: int) -> torch.Tensor:
    """u (B, 120, h, w) → activity latents int64 (B, 32, h/4, w/4).

    Args:
        features: u = C(z_A); h and w are multiples of 4.
        weight: float (120,), mean power of each channel of u.
        fineness: index of `STEPS`.
    """
    return quantise(energies(features, weight), STEPS[fineness])


def log_powers(table: torch.Tensor, latents: torch.Tensor, fineness: int) -> torch.Tensor:
    """Activity latents int64 (B, 32, h/4, w/4) → log-powers of u, int64 (B, 120, h, w) [1/64 octave]. Exact.

    `table`: power table of integers (44, 120), of this fineness.
    """
    return power_table(table.long(), rows(latents, STEPS[fineness]))


def energies(features: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Mean of u²/weight over each group's channels: (B, 120, h, w), weight (120,) → (B, 2, h, w)."""
    whitened = features.square() / weight[:, None, None]
    return torch.stack([part.mean(1) for part in whitened.split(GROUPS, 1)], 1)


def quantise(energy: torch.Tensor, step: int) -> torch.Tensor:
    """Whitened mean energies (B, 2, h, w) → latents int64 (B, 32, h/4, w/4); `step` [1/8 octave]."""
    matrix = hadamard(SIDE).to(energy)
    # (B, 2, h/4, w/4, 4, 4)
    blocks = energy.clamp_min(_SMALLEST).log2().unfold(2, SIDE, SIDE).unfold(3, SIDE, SIDE)
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
    row = (torch.div(total * step + 8, 16, rounding_mode="floor") + OFFSET).clamp(0, ROWS - 1)
    return row.permute(0, 1, 2, 4, 3, 5).reshape(batch, len(GROUPS), SIDE * height, SIDE * width)


def power_table(log_power: torch.Tensor, row: torch.Tensor) -> torch.Tensor:
    """Table int64 (44, 120) at rows (B, 2, h, w) → log-powers int64 (B, 120, h, w), in 1/64 octave."""
    index = row.repeat_interleave(torch.tensor(GROUPS, device=row.device), dim=1)
    channel = torch.arange(index.shape[1], device=row.device)[:, None, None]
    return log_power[index, channel.expand_as(index)]
