"""The hyper-latent y of LRISC, and p(z | y): how strong z is around each token, as integers.

y is the activity of z (`coding/activity.py`): log-energies of luma and colour around every token, through a
4 × 4 Walsh-Hadamard transform, rounded. Its way back is integer arithmetic, so that transmitter and receiver
have the same σ on every machine: z_i given y is Gaussian with the variance of a table that was fitted to
training photographs.

The lowest coefficients of neighbouring tokens are alike, which log-energies do not tell. So they are
transformed again, a 4 × 4 DCT over the tokens of a cell of 32 × 32 pixels, and their variances come from the
mean activity of the cell; the means of the cells are waves over the whole image (`means.py`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch

from ...coding import activity
from ...coding.activity import GROUPS, OCTAVE, SIDE
from ...coding.analog_part import NEVER, without_padding
from ...coding.entropy import EntropyTables
from ...nn.transform import dct_matrix
from . import means

# Steps of the quantiser of y [1/8 octave of energy], by fineness: fine where bits are cheap.
STEPS = (14, 24, 36, 48, 62, 84)
# What is below this many steps is 0 in y, but for the means of a cell. Chosen by trial: against 0.5 it takes
# 38 % of the bytes at a step of 48, and costs nothing that could be measured at 0 to 10 dB.
DEAD_ZONE = 0.7
# Channels of z that are transformed again, by their place among the 120: the three lowest of luma, the mean
# of both colour differences. Chosen by trial: without, PSNR is 1 to 2.5 dB lower, with more no better.
LOW = (0, 1, 2, 64, 92)
# Rows of y that are the means of luma and colour over a cell.
MEANS = (0, SIDE * SIDE)
# Those of LOW whose means over a cell are waves over the image: luma and both colour differences.
MEAN_CHANNELS = (0, 64, 92)
# Weight of texture for each of its eighths that photographs have in the mean [1/64 octave].
_USUAL_TEXTURE = 15
# SNR below which less texture looks best [dB], and how much less [eighths per dB].
_NOISY_DB, _LESS_PER_DB = 5.0, 0.4
# Step of what decides of a coefficient [1/64 octave]: the header tells no finer threshold.
RANK_STEP = 2
# Row of the activity below which no place counts as calmer: what is flat needs little.
CALMEST = activity.OFFSET - 10


@lru_cache(maxsize=2)
@torch.inference_mode(False)
def _cell_dct() -> torch.Tensor:
    """DCT of the 16 tokens of a cell, (16, 16), rows = basis functions."""
    one = torch.from_numpy(dct_matrix(SIDE)).float()
    return torch.kron(one, one)


def _cells(maps: torch.Tensor) -> torch.Tensor:
    """(B, C, h, w) → (B, C, h/4, w/4, 16)."""
    return maps.unfold(2, SIDE, SIDE).unfold(3, SIDE, SIDE).flatten(-2)


def _tokens(cells: torch.Tensor) -> torch.Tensor:
    """Inverse of `_cells`."""
    batch, channels, height, width, _ = cells.shape
    split = cells.reshape(batch, channels, height, width, SIDE, SIDE).permute(0, 1, 2, 4, 3, 5)
    return split.reshape(batch, channels, SIDE * height, SIDE * width)


def gather_low(z: torch.Tensor, inverse: bool = False) -> torch.Tensor:
    """z (B, 120, h, w), h and w multiples of 4, with the low channels of each cell in their DCT, and the
    means of the cells as waves; or back.
    """
    matrix = _cell_dct().to(z.device)
    if inverse:
        z = with_waves(z, means.waves(waves_of(z), inverse=True))
        return _with_low(z, _cells(z[:, list(LOW)]) @ matrix)
    z = _with_low(z, _cells(z[:, list(LOW)]) @ matrix.T)
    return with_waves(z, means.waves(waves_of(z)))


def spread_variance(variance: torch.Tensor) -> torch.Tensor:
    """Variances of errors that are independent behind `gather_low` → those of the tokens, (B, 120, h, w)."""
    variance = with_waves(variance, means.waves(waves_of(variance), inverse=True, squared=True))
    squares = _cell_dct().to(variance.device).square()
    return _with_low(variance, _cells(variance[:, list(LOW)]) @ squares)


def _with_low(z: torch.Tensor, cells: torch.Tensor) -> torch.Tensor:
    return z.index_copy(1, torch.tensor(LOW, device=z.device), _tokens(cells))


def waves_of(z: torch.Tensor) -> torch.Tensor:
    """The place of the means of the cells, or of the waves that they are, (B, 3, h/4, w/4)."""
    return z[:, list(MEAN_CHANNELS), ::SIDE, ::SIDE]


def with_waves(z: torch.Tensor, maps: torch.Tensor | int) -> torch.Tensor:
    """A map with others at the place of the waves, (B, 120, h, w)."""
    found = z.clone()
    found[:, list(MEAN_CHANNELS), ::SIDE, ::SIDE] = maps
    return found


def cell_means(z: torch.Tensor) -> torch.Tensor:
    """z (B, 120, h, w) → means of the cells, (B, 3, h/4, w/4), in units of their DCT."""
    return _cells(z[:, list(MEAN_CHANNELS)]).sum(-1) / SIDE


@dataclass(frozen=True)
class Model:
    """p(z | y) as both ends have it.

    Attributes:
        weight: float (120,), mean power of each channel of z.
        log_power: int64 (6, 44, 120), variance of z_i by fineness and row of the activity [1/64 octave].
        low_power: int64 (6, 44, 5, 16), the same for the low channels, by place in the cell's DCT.
        mean_power: int64 (3, 7, 7), that of the waves of the means, `means.log_variances`.
        entropy: tables of y as of `side.py`, by fineness.
    """

    weight: torch.Tensor
    log_power: torch.Tensor
    low_power: torch.Tensor
    mean_power: torch.Tensor
    entropy: tuple[EntropyTables, ...]


def latents(z: torch.Tensor, weight: torch.Tensor, fineness: int) -> torch.Tensor:
    """y = h_e(z): z (B, 120, h, w) → int64 (B, 32, h/4, w/4)."""
    spectrum = activity.spectrum(activity.energies(z, weight), STEPS[fineness])
    y = spectrum.sign() * (spectrum.abs() + 1 - DEAD_ZONE).floor()
    means = list(MEANS)
    y[:, means] = spectrum[:, means].round()
    return y.long()


def log_variances(model: Model, y: torch.Tensor, fineness: int) -> torch.Tensor:
    """log2 σ²(y) of every coefficient behind `gather_low`, int64 (B, 120, h, w) [1/64 octave]. Exact."""
    rows = activity.rows(y, STEPS[fineness])
    found = activity.power_table(model.log_power[fineness], rows)
    mean = cell_rows(rows)
    low = [model.low_power[fineness, :, place][mean[:, group]] for place, group in enumerate(_group_of_low())]
    found[:, list(LOW)] = _tokens(torch.stack(low, 1))
    return with_waves(found, wave_log_powers(model, *mean.shape[2:]).to(found.device))


def best_texture(cbr: float, snr_db: float) -> int:
    """Exponent of `texture` that looks best at a CBR and an SNR [dB], in eighths: a quarter at 1/48 and that
    much more for each doubling, below 5 dB less. Chosen by trial, LPIPS (Alex) of three Kodak photographs:
    0.189 → 0.182 at 1/24 and 20 dB, 0.138 → 0.117 at 1/12 and 10 dB, 0.079 → 0.053 at 1/12 and 20 dB, for 0.5
    to 1.4 dB. Less below 5 dB, of five: 0.261 → 0.260 at 1/12 and 0 dB, 0.311 → 0.305 at −2 dB, for 0.3 dB
    more.
    """
    noise = max(_NOISY_DB - snr_db, 0.0) * _LESS_PER_DB
    return min(max(round(2 * math.log2(96 * cbr) - noise), 2), 8)


def texture(y: torch.Tensor, fineness: int, eighths: int) -> torch.Tensor:
    """Weight of the errors of every token where calm places count more than busy ones, σ²ᵃ times less with
    the energy σ² of luma around it: y int64 (B, 32, h, w) → log2, int64 (B, 4h, 4w) [1/64 octave]. Exact.

    `eighths`: 8 a, 0 (all count alike: least squared error) to 8. What the eye, and LPIPS, make of an error
    depends on what is around it; adaptive quantisation of video coders does the same.
    """
    row = activity.rows(y, STEPS[fineness])[:, 0].clamp_min(CALMEST)
    padded = torch.cat([row[:, :1], row, row[:, -1:]], 1)
    padded = torch.cat([padded[..., :1], padded, padded[..., -1:]], 2)
    around = padded.unfold(1, 3, 1).unfold(2, 3, 1).sum((-1, -2))
    return torch.div((9 * activity.OFFSET - around) * (OCTAVE // 2) * eighths, 9 * 8, rounding_mode="floor")


def ranks(
    log_power: torch.Tensor,
    y: torch.Tensor,
    fineness: int,
    eighths: int,
    log_weight: torch.Tensor,
    shape: tuple[int, int, int],
) -> torch.Tensor:
    """What decides of every coefficient behind `gather_low`, int64 (120, h, w), in steps of `RANK_STEP`: its
    log-power times the weights of errors there; `NEVER` of tokens that lie wholly in the padding, but for the
    low channels, which a cell's tokens share, and of the colour waves of a grey image. Exact.

    Args:
        log_power: of `log_variances`, (120, h, w).
        y: int64 (32, h/4, w/4), at a fineness.
        eighths: of `texture`.
        log_weight: of a region of interest, int64 (h, w) [1/64 octave].
        shape: (H, W, C) of the image.
    """
    found = textured(weighted(log_power, log_weight), texture(y[None], fineness, eighths)[0])
    low, found = found[list(LOW)], without_padding(found, shape)
    found[list(LOW)] = low
    found -= found % RANK_STEP
    return with_waves(found[None], wave_ranks(waves_of(log_power[None])[0], eighths, shape[2]))[0]


def wave_log_powers(model: Model, height: int, width: int) -> torch.Tensor:
    """log2 of the variance of the waves of so many cells, int64 (3, height, width) [1/64 octave]: y does not
    matter.
    """
    return means.log_variances(model.mean_power, height, width)


def wave_ranks(log_power: torch.Tensor, eighths: int, channels: int) -> torch.Tensor:
    """What decides of the waves of an image of so many channels, from their log-powers and the weight of
    texture alone, so that a receiver without y has them: errors on them are everywhere in the image, and
    weigh what is usual there.
    """
    found = log_power + _USUAL_TEXTURE * eighths
    if channels == 1:
        found[1:] = NEVER  # there is no colour
    return found - found % RANK_STEP


def weighted(log_power: torch.Tensor, log_weight: torch.Tensor) -> torch.Tensor:
    """Log-powers behind `gather_low`, int64 (120, h, w), and those of the tokens' weights in a region of
    interest, (h, w) → what decides, (120, h, w). A cell's low channels have the largest weight of its tokens,
    which share them.
    """
    return _weighed(log_power, log_weight, _of_cells(log_weight).amax(-1))


def textured(log_power: torch.Tensor, log_weight: torch.Tensor) -> torch.Tensor:
    """As `weighted`, for the weights of `texture`: low channels have the mean of their cell."""
    cells = torch.div(_of_cells(log_weight).sum(-1), SIDE * SIDE, rounding_mode="floor")
    return _weighed(log_power, log_weight, cells)


def _of_cells(tokens: torch.Tensor) -> torch.Tensor:
    """(h, w) → (h/4, w/4, 16)."""
    return _cells(tokens[None, None])[0, 0]


def _weighed(log_power: torch.Tensor, tokens: torch.Tensor, cells: torch.Tensor) -> torch.Tensor:
    """Log-powers (120, h, w) and the weights of tokens (h, w) and of the low channels of cells (h/4, w/4)."""
    found, low = log_power + tokens, list(LOW)
    found[low] = log_power[low] + cells.repeat_interleave(SIDE, 0).repeat_interleave(SIDE, 1)
    return found


def cell_rows(rows: torch.Tensor) -> torch.Tensor:
    """Rows of tokens, int64 (B, 2, h, w) → mean row of each cell, int64 (B, 2, h/4, w/4), rounded."""
    total = _cells(rows).sum(-1)
    return torch.div(total + SIDE * SIDE // 2, SIDE * SIDE, rounding_mode="floor")


def _group_of_low() -> list[int]:
    """Activity group of each low channel."""
    return [0 if channel < GROUPS[0] else 1 for channel in LOW]


def fit_low(z: torch.Tensor, y: torch.Tensor, fineness: int) -> torch.Tensor:
    """Table int32 (44, 5, 16) of `Model.low_power` that suits samples z (N, 120, h, w) and their y."""
    mean = cell_rows(activity.rows(y, STEPS[fineness]))
    power = (_cells(z[:, list(LOW)]) @ _cell_dct().T).square()
    tables = [
        activity.power_by_row(mean[:, group].flatten(), power[:, place].flatten(0, 2))
        for place, group in enumerate(_group_of_low())
    ]
    return (torch.stack(tables, 1) * OCTAVE).round().int()
