"""BResNet and SumNet (DS²C², figure 3, section II-C): the residual between an image and the base's x′ as C
binary symbols for every 8 × 8 pixels.

    x, x′ ─▶ [5 × 5 / 2, ResNet, GDN] × 3 ─▶ u ─▶ ±1 (channel) ─▶ [ResNet, IGDN, shuffle] × 3 ─▶ r̂
    x′, r̂ ─▶ SumNet: ResNet × 3 ─▶ x̂

The figure gives no sizes: these fit two cores without a GPU. Beside each half runs a short path, which is all
there is at the start. Half of the symbols are the signs of the residual's strongest principal components; the
other half tell whether those are larger than one would expect where x′ is as busy as it is. r̂ is their
least-squares estimate. `initialise` fits both. The encoder sees x − x′ and x′ in place of x and x′; the
decoder is told x′ and which symbols came.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import nn
from torch.nn import functional

from ... import weights
from .binarizer import binarise
from .gdn import Gdn

# Side of the pixels that C symbols stand for.
TOKEN = 8
# Sides of images are padded to multiples of it [pixels].
MULTIPLE = 32
# Channels at H/2, H/4 and H/8.
WIDTHS = (32, 64, 96)
# The same of what the decoder makes of x′.
_PRIOR_WIDTHS = (24, 48, 64)
# Channels of SumNet, which works at H/4.
_SUM_WIDTH, _SUM_STEP = 48, 4
# u of a component of one standard deviation, before tanh: larger makes the signs surer. Not tuned.
_START_GAIN = 2.0
# Standard deviations that a component is expected to have where the activity is 1: those with more get
# another symbol than those with less. Chosen by trial on Kodak images, x′ being the 24 lowest coefficients
# of a 16 × 16 DCT: 1.0 to 1.3 differ by 0.05 dB.
_EXPECTED = 1.3
# Difference of neighbouring pixels in [0, 1] that is an activity of 1: about 0.6 is usual in such an x′.
_ACTIVITY_UNIT = 0.05
# Sizes of what networks see and make, so that their numbers are about 1: pixels around mid-grey, and what x′
# lacks, in [0, 1]; and what the encoder adds before tanh.
_PIXEL, _ERROR, _CHANGE = 0.25, 0.05, 0.25
# Share of the mean power that is added to the diagonal of the least squares.
_RIDGE = 1e-3


class ResidualNetwork(nn.Module):
    """BResNet's encoder and decoder, and SumNet.

    Args:
        channels: C, binary symbols of 8 × 8 pixels, an even number: C / 64 bits per pixel.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.components = nn.Conv2d(3, channels // 2, TOKEN, TOKEN)
        self.encoder = _encoder(channels)
        self.estimate = nn.Conv2d(2 * channels, 3 * TOKEN**2, 3, padding=1)
        self.prior = nn.ModuleList(
            nn.Conv2d(inputs, outputs, 5, 2, 2)
            for inputs, outputs in zip((3, *_PRIOR_WIDTHS), _PRIOR_WIDTHS, strict=False)
        )
        self.decoder = _Decoder(channels)
        self.sum = _SumNet()

    def analyse(self, images: torch.Tensor, prior: torch.Tensor) -> torch.Tensor:
        """x and x′ (B, 3, H, W), sides multiples of 8 → r_i before the binarizer, (B, C, H/8, W/8) in
        (−1, 1).
        """
        residual = images - prior
        seen = torch.cat([residual / _ERROR, (prior - 0.5) / _PIXEL], 1)
        return torch.tanh(self._short(residual, prior) + _CHANGE * self.encoder(seen))

    def synthesise(self, symbols: torch.Tensor, known: torch.Tensor, prior: torch.Tensor) -> torch.Tensor:
        """The decoder.

        Args:
            symbols: −1, 1, or 0 where lost, (B, C, H/8, W/8).
            known: what came, (B, 1 or C, H/8, W/8) in [0, 1].
            prior: x′.

        Returns:
            r̂ (B, 3, H, W).
        """
        short = functional.pixel_shuffle(self.estimate(weighted(symbols, prior)), TOKEN)
        features, maps = (prior - 0.5) / _PIXEL, []
        for layer in self.prior:
            features = functional.relu(layer(features))
            maps.append(features)
        return _ERROR * (short + self.decoder(symbols, known.mean(1, keepdim=True), maps))

    def combine(self, prior: torch.Tensor, residual: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
        """SumNet: x′ and r̂ (B, 3, H, W), and `known` as of `synthesise` → x̂, not clamped."""
        seen = torch.cat([(prior - 0.5) / _PIXEL, residual / _ERROR], 1)
        return prior + residual + _ERROR * self.sum(seen, known.mean(1, keepdim=True))

    def receive(
        self, symbols: torch.Tensor, known: torch.Tensor, prior: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """x′ + r̂ and x̂, of the arguments of `synthesise`."""
        residual = self.synthesise(symbols, known, prior)
        return prior + residual, self.combine(prior, residual, known)

    def _short(self, residual: torch.Tensor, prior: torch.Tensor) -> torch.Tensor:
        """The encoder's short path, before tanh: two symbols for each component, its sign, and its sign
        again or the opposite where it is smaller than expected.
        """
        z = self.components(residual)
        return _START_GAIN * torch.cat([z, z * (z.abs() - _EXPECTED * activity(prior))], 1)

    @torch.no_grad()
    def initialise(self, images: torch.Tensor, prior: torch.Tensor) -> None:
        """Set the short paths from samples x and x′ (N, 3, S, S)."""
        residual = images - prior
        target = functional.pixel_unshuffle(residual, TOKEN)
        power, vectors = _principal(target, self.channels // 2)
        kernels = vectors.T.reshape(self.components.weight.shape)
        self.components.weight.copy_(kernels * power.clamp_min(1e-8).rsqrt()[:, None, None, None])
        self.components.bias.zero_()
        symbols = binarise(self._short(residual, prior), training=False)
        self.estimate.weight.copy_(_least_squares(weighted(symbols, prior), target / _ERROR))
        self.estimate.bias.zero_()


def weighted(symbols: torch.Tensor, prior: torch.Tensor) -> torch.Tensor:
    """Symbols, and symbols times the activity of x′ at their place, (B, 2C, h, w): where x′ is busy a
    component of the residual is large.
    """
    return torch.cat([symbols, symbols * activity(prior)], 1)


def activity(prior: torch.Tensor) -> torch.Tensor:
    """RMS difference of neighbouring pixels of x′'s luma around each token, 1 for `_ACTIVITY_UNIT`,
    (B, 1, H/8, W/8).
    """
    luma = prior.mean(1, keepdim=True)
    across = functional.pad(luma.diff(dim=-1), (0, 1)).square()
    down = functional.pad(luma.diff(dim=-2), (0, 0, 0, 1)).square()
    tokens = functional.avg_pool2d(across + down, TOKEN)
    around = functional.avg_pool2d(functional.pad(tokens, (1, 1, 1, 1), mode="replicate"), 3, 1)
    # The addend keeps the root's gradient finite.
    return (around + 1e-6).sqrt() / _ACTIVITY_UNIT


class _Residual(nn.Sequential):
    """The ResNet sub-block of figure 3, the identity at the start."""

    def __init__(self, width: int) -> None:
        super().__init__(
            nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), _silent(nn.Conv2d(width, width, 3, padding=1))
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + super().forward(x)


def _silent(layer: nn.Conv2d) -> nn.Conv2d:
    """A layer that gives zeros at the start."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def _encoder(channels: int) -> nn.Sequential:
    """[x − x′, x′] (B, 6, H, W) → (B, C, H/8, W/8)."""
    layers: list[nn.Module] = []
    for inputs, outputs in zip((6, *WIDTHS), WIDTHS, strict=False):
        layers += [nn.Conv2d(inputs, outputs, 5, 2, 2), _Residual(outputs), Gdn(outputs)]
    return nn.Sequential(*layers, _silent(nn.Conv2d(WIDTHS[-1], channels, 3, padding=1)))


class _Decoder(nn.Module):
    """Symbols (B, C, H/8, W/8), what came of them and feature maps of x′ → (B, 3, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(channels + 1, WIDTHS[2], 3, padding=1)
        self.told = nn.ModuleList(
            nn.Conv2d(inputs, outputs, 1) for inputs, outputs in zip(_PRIOR_WIDTHS, WIDTHS, strict=True)
        )
        self.blocks = nn.ModuleList(
            nn.Sequential(_Residual(width), Gdn(width, inverse=True)) for width in WIDTHS
        )
        outputs = (3, *WIDTHS[:-1])
        self.up = nn.ModuleList(
            nn.Conv2d(width, 4 * half, 3, padding=1) for width, half in zip(WIDTHS, outputs, strict=True)
        )
        _silent(self.up[0])

    def forward(self, symbols: torch.Tensor, known: torch.Tensor, maps: list[torch.Tensor]) -> torch.Tensor:
        x = self.enter(torch.cat([symbols, known], 1))
        for scale in (2, 1, 0):
            x = self.blocks[scale](x + self.told[scale](maps[scale]))
            x = functional.pixel_shuffle(self.up[scale](x), 2)
        return x


class _SumNet(nn.Module):
    """Three ResNet sub-blocks at H/4: x′ and r̂ (B, 6, H, W) and what came → what x̂ has beside x′ + r̂."""

    def __init__(self) -> None:
        super().__init__()
        pixels = 3 * _SUM_STEP**2
        self.enter = nn.Conv2d(2 * pixels + 1, _SUM_WIDTH, 3, padding=1)
        self.blocks = nn.Sequential(*(_Residual(_SUM_WIDTH) for _ in range(3)))
        self.leave = _silent(nn.Conv2d(_SUM_WIDTH, pixels, 3, padding=1))

    def forward(self, seen: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
        known = functional.interpolate(known, scale_factor=TOKEN // _SUM_STEP)
        x = self.enter(torch.cat([functional.pixel_unshuffle(seen, _SUM_STEP), known], 1))
        return functional.pixel_shuffle(self.leave(self.blocks(x)), _SUM_STEP)


def _principal(values: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Power (count,) and directions (K, count) of the strongest components of values (B, K, h, w)."""
    rows = values.transpose(0, 1).flatten(1).double()
    power, vectors = torch.linalg.eigh(rows @ rows.T / rows.shape[1])
    return power.flip(0)[:count].float(), vectors.flip(1)[:, :count].float()


def _least_squares(inputs: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Weight (K, M, 3, 3) of the convolution of inputs (B, M, h, w) that comes nearest to the target
    (B, K, h, w).
    """
    size = 9 * inputs.shape[1]
    moments = torch.zeros(size, size, dtype=torch.float64)
    products = torch.zeros(size, target.shape[1], dtype=torch.float64)
    for some, wanted in zip(inputs.split(16), target.split(16), strict=True):
        rows = functional.unfold(some, 3, padding=1).transpose(0, 1).flatten(1)
        moments += (rows @ rows.T).double()
        products += (rows @ wanted.transpose(0, 1).flatten(1).T).double()
    moments += _RIDGE * moments.diagonal().mean() * torch.eye(size, dtype=torch.float64)
    solved = torch.linalg.solve(moments, products).float()
    return solved.T.reshape(target.shape[1], inputs.shape[1], 3, 3)


@lru_cache(maxsize=2)
def load_network(name: str) -> ResidualNetwork:
    """A network with shipped weights, such as "ds2c2-residual-0.26". Raises HscError when they are missing or
    damaged.
    """
    state = weights.load(name)
    network = ResidualNetwork(2 * len(state["components.bias"]))
    network.load_state_dict(state)
    return network.eval().requires_grad_(False)
