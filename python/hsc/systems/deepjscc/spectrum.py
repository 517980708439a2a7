"""Power allocation and linear estimation of token maps from their spectrum: SoftCast's rule, over space as
well as over coefficients.

A block transform leaves the lowest coefficients of neighbouring blocks alike. So every channel of a token map
is filtered across the map before it is sent, with gains that follow from its power spectrum, and is sent as
filtered values, not as frequencies: noise stays white, and a lost value is a gap that its neighbours fill.
Filters act in the DCT of the whole map, so a map may have any size.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import nn

from ...nn.transform import dct_matrix

# Frequencies of the table's entries [cycles / token], an octave apart; between them the logarithm of the
# power is interpolated. The entries are fitted to training crops (`training.SAMPLES`).
KNOTS = np.array([0, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2])
_TINY = 1e-12
# Halvings of the 24 decades in which the level of the gains is looked for: float32 has no more.
_BISECTIONS = 40
# Conjugate gradient steps. Chosen by trial.
_ITERATIONS = 10


@lru_cache(maxsize=32)
@torch.inference_mode(False)  # what is cached may be used in training later
def _dct(size: int) -> torch.Tensor:
    return torch.from_numpy(dct_matrix(size)).float()


@lru_cache(maxsize=32)
@torch.inference_mode(False)
def _hats(size: int) -> torch.Tensor:
    """Weight of every knot at every DCT frequency of a map side, float32 (size, knots); rows sum to 1."""
    place = np.interp(np.arange(size) / (2 * size), KNOTS, np.arange(len(KNOTS)))
    return torch.from_numpy(np.clip(1 - np.abs(place[:, None] - np.arange(len(KNOTS))), 0, None)).float()


def dct2(maps: torch.Tensor, inverse: bool = False) -> torch.Tensor:
    """Orthonormal DCT-II over the last two axes, or its inverse, in float32 whatever precision networks train
    in.
    """
    rows, columns = (_dct(side).to(maps.device) for side in maps.shape[-2:])
    with torch.autocast(maps.device.type, enabled=False):
        return rows.T @ maps.float() @ columns if inverse else rows @ maps.float() @ columns.T


class TokenSpectrum(nn.Module):
    """Power spectra λ of the channels of a token map, and the linear transmitter and receiver that follow
    from them.

    Args:
        channels: K; the channels in the order in which a smaller budget drops them, last first.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("log_power", torch.zeros(channels, len(KNOTS), len(KNOTS)))

    @torch.no_grad()
    def fit(self, maps: torch.Tensor) -> None:
        """Set the spectra to those of sample maps (N, K, h, w), h and w at least 16: every knot needs a
        frequency beside it.
        """
        if min(maps.shape[-2:]) < 16:
            size = tuple(maps.shape[-2:])
            raise ValueError(f"maps of {size} tokens are too small to fit a spectrum to: 16 × 16 at least")
        rows, columns = (_hats(side) for side in maps.shape[-2:])
        power = rows.T @ dct2(maps).square().mean(0) @ columns
        self.log_power.copy_((power / (rows.sum(0)[:, None] * columns.sum(0))).clamp_min(_TINY).log())

    def power(self, height: int, width: int) -> torch.Tensor:
        """λ at the DCT frequencies of a (height, width) map, (K, height, width)."""
        rows, columns = (_hats(side).to(self.log_power.device) for side in (height, width))
        return (rows @ self.log_power @ columns.T).exp()

    def gains(self, height: int, width: int, snr_db: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
        """Gains g (B, K, height, width) of the transmit filter, for unit mean power of the values over the
        first `count` channels.

        The least error of a linear system at that SNR (Lee and Petersen, IEEE Trans. Commun. 1976): the power
        of a component is √(λ n / μ) − n where that is positive, n = 1/SNR; λ^(1/2), so g = λ^(−1/4),
        SoftCast's rule, as the SNR grows.

        Args:
            snr_db: (B,) SNR that the transmitter counts on [dB].
            count: (B,) channels that are sent; the gains of the others are 0.
        """
        noise = 10 ** (-snr_db / 10)[:, None, None, None]
        sent = (torch.arange(len(self.log_power), device=count.device) < count[:, None])[..., None, None]
        level = self._level(noise, sent)
        power = self.power(height, width)
        return ((power * noise).sqrt() * level - noise).clamp_min(0).div(power).sqrt() * sent

    def _level(self, noise: torch.Tensor, sent: torch.Tensor) -> torch.Tensor:
        """1/√μ of the rule above, (B, 1, 1, 1), by bisection on the table."""
        amplitude = (self.log_power.exp() * noise).sqrt()
        side = _hats(32).to(noise.device).mean(0)
        share = side[:, None] * side * sent / sent.sum(1, keepdim=True)
        low, high = torch.full_like(noise, -12.0), torch.full_like(noise, 12.0)
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            spent = ((amplitude * 10**middle - noise).clamp_min(0) * share).sum((1, 2, 3), keepdim=True)
            low, high = torch.where(spent < 1, middle, low), torch.where(spent < 1, high, middle)
        return 10 ** ((low + high) / 2)

    def transmit(self, maps: torch.Tensor, gains: torch.Tensor) -> torch.Tensor:
        """Token maps (B, K, h, w) → values to send, same shape."""
        return dct2(dct2(maps) * gains, inverse=True)

    def receive(
        self, values: torch.Tensor, variance: torch.Tensor, gains: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Linear MMSE estimate of the maps from noisy values: a Wiener filter; where the noise differs or
        values are lost, by iteration.

        Args:
            values: (B, K, h, w), unbiased; any finite number where lost.
            variance: noise variance of each, same shape, inf where lost.
            gains: those of the transmitter.

        Returns:
            The maps, and the reliability of each entry in [0, 1]: 1 − relative error of a filter for the mean
            noise; 0 where lost. Both (B, K, h, w).
        """
        power = self.power(*values.shape[-2:])
        signal = gains.square() * power  # spectrum of the values
        prior = signal.mean((2, 3), keepdim=True)
        weight = prior / (prior + variance).clamp_min(_TINY)
        mean = weight.mean((2, 3), keepdim=True)
        noise = prior * (
            (weight * (1 - weight)).mean((2, 3), keepdim=True)
            + weight.square().mean((2, 3), keepdim=True)
            - mean.square()
        )
        wiener = mean * gains * power / (mean.square() * signal + noise + _TINY)
        uniform = (weight.amax((2, 3)) - weight.amin((2, 3))).max() < 1e-4
        if uniform:
            maps = dct2(dct2(torch.where(weight > 0, weight * values, 0)) * wiener, inverse=True)
        else:
            maps = dct2(dct2(whiten(values, variance, signal)) * gains * power, inverse=True)
        kept = (power * wiener * mean * gains).mean((2, 3), keepdim=True) / power.mean((1, 2))[:, None, None]
        return maps, kept * (weight / mean.clamp_min(_TINY)).clamp(0, 1)


def whiten(values: torch.Tensor, variance: torch.Tensor, signal: torch.Tensor) -> torch.Tensor:
    """C_yy⁻¹ y for values with spectrum `signal` (B, K, h, w) and noise of their own variance, inf where
    lost; 0 there.

    Conjugate gradients, every map by itself, preconditioned by the filter for the mean noise.
    """
    floor = 1e-5 * signal.mean((2, 3), keepdim=True)
    there = torch.isfinite(variance) & (floor > 0)
    noise = torch.where(there, variance, 0) + floor
    share = there.float().mean((2, 3), keepdim=True)
    mean = (noise * there).mean((2, 3), keepdim=True) / share.clamp_min(_TINY)
    filter_ = 1 / (signal * share + mean + _TINY)

    def apply(spectrum: torch.Tensor, maps: torch.Tensor) -> torch.Tensor:
        return torch.where(there, dct2(dct2(maps) * spectrum, inverse=True), 0)

    def dot(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        return (one * other).sum((2, 3), keepdim=True)

    residual = torch.where(there, values, 0)
    direction = z = apply(filter_, residual)
    found, size = torch.zeros_like(residual), dot(residual, z)
    least = 1e-9 * size
    for _ in range(_ITERATIONS):
        image = apply(signal, direction) + noise * direction
        length = torch.where(size > least, size / dot(direction, image).clamp_min(_TINY), 0)
        found, residual = found + length * direction, residual - length * image
        z = apply(filter_, residual)
        size, before = dot(residual, z), size
        direction = z + size / before.clamp_min(_TINY) * direction
    return found
