"""The entropy model of the learned image codec: mean-scale hyperprior (Minnen, Ballé and Toderici, NeurIPS
2018) with checkerboard context (He et al., CVPR 2021) on uneven groups of channels (He et al., CVPR 2022),
and the coding with it.

    ẑ ─▶ hyper decoder ─────────┐
    ŷ known so far ─▶ context ──┴─▶ mean μ, scale σ of the next part of y ─▶ symbols s, ŷ = s + μ

All of this is integers (`lic_integer.py`): a mean is in 1/64 of a quantiser step, a scale in 1/64 of an
octave, so that ŷ is an integer too. Nothing that steers the coder depends on the machine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from ...coding.entropy import AnsCoder, EntropyTables
from .lic_integer import LIMIT, UNIT, IntegerConvolution, rounded

# Channels of y at 16 × 16 pixels a position.
LATENTS = 320
# Channels of the first group, the lowest frequencies. Few, as in He et al.
FIRST = 32
# Channels of z at 32 × 32 pixels a position.
HYPERS = 32
# Largest |ẑ|: the entropy tables hold no more without an escape.
LARGEST_HYPER = 40
# Largest symbol of y.
LARGEST_SYMBOL = LIMIT // UNIT
# How far a quantiser's threshold lies above the half, in steps. As in HDA-DeepSC.
DEAD_ZONE = 0.12
# Levels of the quantiser step: six octaves.
LEVELS = 48
# Levels of an octave.
OCTAVE = 8
# Level in the middle of those that are trained.
MIDDLE = 32
# log2 of σ [steps] in the first row of the entropy tables.
LOWEST_OCTAVE = -5
# Rows of the entropy tables for an octave of σ.
ROWS_PER_OCTAVE = 4
# Rows of the entropy tables: eleven octaves of σ.
ROWS = 44
# Beyond so many steps a latent counts as no larger in the context's measure of activity.
_ACTIVE = 4 * UNIT
# Standard deviation of the standard logistic density, π / √3.
_LOGISTIC = 1.8138
# So that bits stay finite. As in Ballé et al., ICLR 2018.
_LEAST_PROBABILITY = 1e-9
# Bytes of a word of the coder.
_WORD = 4
# Words of the coder's state, the last that it has read.
_STATE_WORDS = 2
# Channels of what ẑ tells, after each layer of the hyper decoder. Chosen for the CPU.
_HYPER = 96
# Channels of what the context tells. Chosen for the CPU.
_CONTEXT = 160
# Channels between the two layers that join them. Chosen for the CPU.
_JOINT = 256


@dataclass(frozen=True)
class Part:
    """What is coded at once: a group of channels, at the positions of one colour of the checkerboard.

    Attributes:
        first, end: channels.
        parity: of row + column.
    """

    first: int
    end: int
    parity: int

    def mask(self, height: int, width: int) -> torch.Tensor:
        """bool (LATENTS, height, width)."""
        colour = (torch.arange(height)[:, None] + torch.arange(width)) % 2 == self.parity
        channels = torch.arange(LATENTS)
        return ((channels >= self.first) & (channels < self.end))[:, None, None] & colour


# In the order of coding.
PARTS = (Part(0, FIRST, 0), Part(0, FIRST, 1), Part(FIRST, LATENTS, 0), Part(FIRST, LATENTS, 1))


class Prior(nn.Module):
    """p(ŷ | ẑ, what is known of ŷ), in integers."""

    def __init__(self) -> None:
        super().__init__()
        self.spread = nn.Sequential(
            IntegerConvolution(HYPERS, _HYPER, 3),
            IntegerConvolution(_HYPER, 4 * _HYPER),
            nn.PixelShuffle(2),
            IntegerConvolution(_HYPER, _HYPER, 3),
        )
        self.context = nn.Sequential(
            IntegerConvolution(2 * LATENTS, _CONTEXT), IntegerConvolution(_CONTEXT, _CONTEXT, 3)
        )
        self.joint = nn.Sequential(
            IntegerConvolution(_HYPER + _CONTEXT + 1, _JOINT),
            IntegerConvolution(_JOINT, 2 * LATENTS, rectified=False),
        )

    def features(self, z: torch.Tensor) -> torch.Tensor:
        """ẑ, integers (B, HYPERS, h/2, w/2) → what it tells at each position, (B, 96, h, w)."""
        return self.spread(z * UNIT)

    def predict(
        self, features: torch.Tensor, known: torch.Tensor, level: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean [1/64 step] and log2 of the scale [1/64 octave] of y, (B, LATENTS, h, w) each.

        Args:
            features: as `features` gives them.
            known: ŷ [1/64 step] (B, LATENTS, h, w) where it is known, else 0.
            level: of the quantiser step, (B,).
        """
        # Steps are coarser by so much [1/64 octave].
        coarser = ((level - MIDDLE) * (UNIT // OCTAVE)).to(known.dtype)[:, None, None, None]
        told = coarser.expand(-1, 1, *known.shape[2:])
        context = self.context(torch.cat([known, known.abs().clamp(max=_ACTIVE)], 1))
        mean, log_scale = self.joint(torch.cat([features, context, told], 1)).chunk(2, 1)
        return mean, log_scale - coarser


def table_rows(log_scale: torch.Tensor) -> torch.Tensor:
    """Rows of the entropy tables for scales [1/64 octave], int64."""
    per_row = UNIT // ROWS_PER_OCTAVE
    return ((log_scale - LOWEST_OCTAVE * UNIT + per_row // 2) / per_row).floor().clamp(0, ROWS - 1).long()


def quantise(y: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
    """Symbols of y [1/64 step] about its mean: integers, the gradient passes straight through."""
    off = (y - mean) / UNIT
    nearest = off.sign() * rounded(off.abs() - DEAD_ZONE).clamp(0, LARGEST_SYMBOL)
    return off + (nearest - off).detach() if torch.is_grad_enabled() else nearest


def dequantise(symbols: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
    """ŷ [1/64 step], integers."""
    return (symbols * UNIT + mean).clamp(-LIMIT, LIMIT)


@dataclass(frozen=True)
class Coder:
    """The entropy model as the coder wants it.

    Attributes:
        prior: in float64, where its sums are exact.
        latents: tables of the symbols of y by scale, ROWS rows.
        hypers: tables of ẑ, by octave of the quantiser step and channel.
    """

    prior: Prior
    latents: EntropyTables
    hypers: EntropyTables


@dataclass(frozen=True)
class Latents:
    """What a receiver has of y.

    Attributes:
        y: ŷ [1/64 step], float64 integers (LATENTS, h, w); its mean where nothing came.
        log_scale: log2 of its scale before it came [1/64 octave], same shape.
        symbols: same shape, 0 where nothing came.
        known: bool, same shape.
    """

    y: torch.Tensor
    log_scale: torch.Tensor
    symbols: torch.Tensor
    known: torch.Tensor


# Gives the symbols of a part, float64 (LATENTS, h, w), 0 outside of it, for its mask, the means of y and the
# rows of the entropy tables, of that shape too.
SymbolsOf = Callable[[Part, torch.Tensor, torch.Tensor, np.ndarray], torch.Tensor]


@torch.inference_mode()
def encode(coder: Coder, y: torch.Tensor, z: torch.Tensor, level: int) -> tuple[bytes, Latents]:
    """y in steps, (LATENTS, h, w), and z, (HYPERS, h/2, w/2), any floats → code, and what it tells."""
    z = rounded(z.double()).clamp(-LARGEST_HYPER, LARGEST_HYPER)
    y = (y.double() * UNIT).clamp(-LIMIT, LIMIT)
    segments = [(coder.hypers, z.flatten().long().numpy(), hyper_rows(z.shape, level))]

    def symbols_of(part: Part, mask: torch.Tensor, mean: torch.Tensor, rows: np.ndarray) -> torch.Tensor:
        symbols = quantise(y, mean)
        values = symbols.long().numpy()
        for at in _lines(part, *y.shape[1:]):
            segments.append((coder.latents, values[at].ravel(), rows[at].ravel()))
        return torch.where(mask, symbols, 0)

    found = _go(coder, z, level, symbols_of)
    stack = AnsCoder()
    for tables, values, rows in reversed(segments):
        tables.push(stack, values, rows)
    return stack.get_compressed()[::-1].astype("<u4").tobytes(), found


class Reader:
    """Takes values off a code until what it takes is no longer what was sent.

    Args:
        data: the code; bytes that were lost are zero.
        intact: bytes from the beginning that are not in doubt.

    Attributes:
        over: whether values are in doubt, from the segment on that was asked for last.
    """

    def __init__(self, data: bytes, intact: int) -> None:
        words = np.frombuffer(data[: len(data) // _WORD * _WORD], "<u4").astype(np.uint32)
        if words.size and not words[0]:
            words[0] = 1  # the coder takes no other word on top than one above 0
        self._stack = AnsCoder(words[::-1].copy()) if words.size else AnsCoder()
        self._words, self._intact = words.size, intact // _WORD
        self.over = self._in_doubt()

    def take(self, tables: EntropyTables, rows: np.ndarray) -> np.ndarray | None:
        """Values, int32 (n,), or None when they are in doubt."""
        if self.over:
            return None
        values = tables.pop(self._stack, rows)
        self.over = self._in_doubt()
        return None if self.over else values

    @property
    def empty(self) -> bool:
        """Whether nothing is left of the code."""
        return self._stack.is_empty()

    def _in_doubt(self) -> bool:
        """Whether the coder has read a word beyond the intact ones; its state is made of the last two."""
        read = self._words - max(self._stack.num_words() - _STATE_WORDS, 0)
        return read > self._intact


@torch.inference_mode()
def decode(coder: Coder, reader: Reader, size: tuple[int, int], level: int) -> Latents:
    """Code → what it tells of y, of `size` (h, w) positions. From where it is in doubt, ẑ is 0 and y its
    mean.
    """
    shape = (HYPERS, size[0] // 2, size[1] // 2)
    came = reader.take(coder.hypers, hyper_rows(shape, level))
    z = torch.zeros(shape, dtype=torch.float64)
    if came is not None:
        z += torch.from_numpy(came).reshape(shape).clamp(-LARGEST_HYPER, LARGEST_HYPER)
    known = torch.zeros((LATENTS, *size), dtype=torch.bool)

    def symbols_of(part: Part, mask: torch.Tensor, mean: torch.Tensor, rows: np.ndarray) -> torch.Tensor:
        symbols, there = np.zeros(rows.shape), known.numpy()
        for at in _lines(part, *size):
            values = reader.take(coder.latents, rows[at].ravel())
            if values is None:
                break
            symbols[at] = values.reshape(rows[at].shape)
            there[at] = True
        return torch.from_numpy(symbols)

    found = _go(coder, z, level, symbols_of)
    return Latents(found.y, found.log_scale, found.symbols, known)


def hyper_rows(shape: tuple[int, ...], level: int) -> np.ndarray:
    """Rows of the tables of ẑ (HYPERS, h/2, w/2), int64 (n,)."""
    return np.repeat(level // OCTAVE * HYPERS + np.arange(HYPERS), shape[1] * shape[2])


def _lines(part: Part, height: int, width: int) -> Iterator[tuple[slice, int, slice]]:
    """A part, line by line: index of its values in (LATENTS, height, width)."""
    for row in range(height):
        yield slice(part.first, part.end), row, slice((row + part.parity) % 2, width, 2)


def _go(coder: Coder, z: torch.Tensor, level: int, symbols_of: SymbolsOf) -> Latents:
    """All parts in turn, each with the prior that follows from those before."""
    features = coder.prior.features(z[None])
    y = torch.zeros((LATENTS, *features.shape[2:]), dtype=torch.float64)
    scales, symbols = torch.zeros_like(y), torch.zeros_like(y)
    for part in PARTS:
        mask = part.mask(*y.shape[1:])
        mean, log_scale = (of[0] for of in coder.prior.predict(features, y[None], torch.tensor([level])))
        own = symbols_of(part, mask, mean, table_rows(log_scale).numpy())
        y = torch.where(mask, dequantise(own, mean), y)
        scales = torch.where(mask, log_scale, scales)
        symbols = symbols + own
    return Latents(y, scales, symbols, torch.ones_like(y, dtype=torch.bool))


def bits_of(symbols: torch.Tensor, log_scale: torch.Tensor) -> torch.Tensor:
    """Bits of symbols, any floats, of logistic densities of these scales [1/64 octave]; in training."""
    octaves = (log_scale / UNIT).clamp(LOWEST_OCTAVE, LOWEST_OCTAVE + ROWS / ROWS_PER_OCTAVE)
    return logistic_bits(symbols, octaves)


def logistic_bits(values: torch.Tensor, octaves: torch.Tensor) -> torch.Tensor:
    """Bits of the unit interval about values under a logistic density of standard deviation 2^octaves."""
    slope = _LOGISTIC * torch.exp2(-octaves)
    far = values.abs()  # in the tail, where the difference is exact
    probability = torch.sigmoid(slope * (0.5 - far)) - torch.sigmoid(slope * (-0.5 - far))
    return -probability.clamp_min(_LEAST_PROBABILITY).log2()
