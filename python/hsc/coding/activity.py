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
# A row of the power table is fitted to more tokens than these. Chosen by trial.
_LEAST_TOKENS = 20
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
    return spectrum(energy, step).round().long()


def spectrum(energy: torch.Tensor, step: int) -> torch.Tensor:
    """What `quantise` rounds, float (B, 32, h/4, w/4)."""
    matrix = hadamard(SIDE).to(energy)
    # (B, 2, h/4, w/4, 4, 4)
    blocks = energy.clamp_min(_SMALLEST).log2().unfold(2, SIDE, SIDE).unfold(3, SIDE, SIDE)
    found = matrix @ blocks @ matrix.T / SIDE
    return (found * (8 / step)).permute(0, 1, 4, 5, 2, 3).flatten(1, 3)


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


def fit_table(features: torch.Tensor, active: torch.Tensor, step: int) -> torch.Tensor:
    """Power table int32 (44, 120) [1/64 octave] that suits u (N, 120, h, w) with activity latents of a
    step.
    """
    row = rows(active, step)
    parts = zip(row.unbind(1), features.square().split(GROUPS, 1), strict=True)
    table = [power_by_row(group.flatten(), power.movedim(1, -1).flatten(0, 2)) for group, power in parts]
    return (torch.cat(table, 1) * OCTAVE).round().int()


def power_by_row(row: torch.Tensor, power: torch.Tensor) -> torch.Tensor:
    """Rows (n,) and powers (n, C) → log2 of the mean power by row, (44, C): a parabola in the row, fitted
    where there are tokens enough.
    """
    count = torch.bincount(row, minlength=ROWS).double()
    total = torch.zeros(ROWS, power.shape[1], dtype=torch.double).index_add_(0, row, power.double())
    place = torch.arange(ROWS).double() - OFFSET
    enough = count > _LEAST_TOKENS
    weight = count[enough].sqrt()[:, None]
    # A row is half an octave: the departure from that is fitted, and held beyond the rows that were seen.
    departure = (total[enough] / count[enough][:, None]).clamp_min(1e-9).log2() - place[enough][:, None] / 2
    # gelsd: the usual driver now and then gives zeros where fewer than three rows were seen.
    system = (_parabola(place)[enough] * weight, departure * weight)
    solution = torch.linalg.lstsq(*system, driver="gelsd").solution
    inside = place.clamp(place[enough].min(), place[enough].max())
    return (_parabola(inside) @ solution + place[:, None] / 2).float()


def _parabola(x: torch.Tensor) -> torch.Tensor:
    return torch.stack([torch.ones_like(x), x, x * x], 1)
