"""What is known of a value of c before it is decoded, in integers: a mean, a scale, and from both the row of
its entropy table. The order of decoding, and the fit of all of it to training photographs.

c is decoded channel by channel. Of a channel, the channels before tell a mean and a scale for every cell:
two convolutions of 3 × 3 cells, one of c and one of |c|, with integer weights. The cells of a channel follow
in passes, each between those that are known already: a chessboard's white cells and then its black ones; of
the three means, every 8th cell and then those between, as interlaced images have it. What the cells around
departed from their means corrects mean and scale of the cells between them.

Sums of integers below 2^53 are exact in float64 whatever their order, so that a matrix product gives the same
on every machine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...errors import HscError

# One in the weights, means and scales.
ONE = 1 << 10
# Largest magnitude of c: a coarse mean at the finest step has less than 100.
LARGEST = 4095
# Means and scales beyond it count as that.
_LIMIT = LARGEST * ONE
# Cells of a neighbourhood.
AROUND = 9
# Distance of the cells of the first pass of a mean.
COARSEST = 8
# Passes of a channel: the coarsest lattice, then centres and edges of its squares, halved until the
# chessboard.
PASSES = 7
# Scales that have rows of their own: a third of an octave apart, from 1/128.
_SCALES = 42
_SCALE_BOUNDS = np.floor(ONE / 128 * 2 ** (np.arange(1, _SCALES) / 3)).astype(np.int64)
# A mean below 2 shifts nothing: 0 stays special, as the encoder prefers it. Bounds of the classes of |mean|.
_MEAN_BOUNDS = np.array([102, 256, 460, 717, 1024, 1434])
# Classes of what is left of a larger mean behind the whole number nearest to it.
_PHASES = 3
CLASSES = len(_MEAN_BOUNDS) + 1 + _PHASES
ROWS = _SCALES * CLASSES
# Features of the cells around. Of the mean: the departures of either pair, summed. Of the scale: the scale so
# far, magnitudes of either pair, differences inside the pairs and between them.
OWN_MEAN, OWN_SCALE = 2, 5


@dataclass(frozen=True)
class Contexts:
    """Integer weights of one fineness, in units of 1 / 1024.

    Attributes:
        mean, scale: int16 (C, C, 9): what channel k gets from around in channel j < k; 0 elsewhere.
        bias: int32 (C,), of the scale.
        own_mean: int16 (C, 7, 2), of the departures of the cells around, by pass.
        own_scale: int16 (C, 7, 5), of the scale so far, of magnitudes around, of their differences.
    """

    mean: np.ndarray
    scale: np.ndarray
    bias: np.ndarray
    own_mean: np.ndarray
    own_scale: np.ndarray

    @cached_property
    def floats(self) -> tuple[np.ndarray, np.ndarray]:
        """`mean` and `scale` as float64 (C, C, 9), exact."""
        return self.mean.astype(np.float64), self.scale.astype(np.float64)


@dataclass(frozen=True)
class Pass:
    """Cells of one pass, as rows and columns (n,), and the cells around each: two opposite pairs, (2, 2, n)
    rows and columns; none in the first pass.
    """

    number: int
    rows: np.ndarray
    columns: np.ndarray
    around: tuple[np.ndarray, np.ndarray] | None


# Offsets of the pairs around: diagonals for the centres of squares, left-right and up-down for their edges.
_DIAGONALS = (((-1, -1), (1, 1)), ((-1, 1), (1, -1)))
_CROSS = (((0, -1), (0, 1)), ((-1, 0), (1, 0)))


def passes(height: int, width: int, interlaced: bool) -> tuple[Pass, ...]:
    """Passes over the cells of a channel, none empty; two for a chessboard, seven for an interlaced one."""
    row, column = np.mgrid[:height, :width]
    if not interlaced:
        even = (row + column) % 2 == 0
        plan = [(0, even, None, 0), (PASSES - 1, ~even, _CROSS, 1)]
    else:
        plan = [(0, (row % COARSEST == 0) & (column % COARSEST == 0), None, 0)]
        for level in range(3):
            side, half = COARSEST >> level, COARSEST >> (level + 1)
            centre = (row % side == half) & (column % side == half)
            edge = (row % half == 0) & (column % half == 0) & ((row // half + column // half) % 2 == 1)
            plan += [(1 + 2 * level, centre, _DIAGONALS, half), (2 + 2 * level, edge, _CROSS, half)]
    found = []
    for number, mask, pairs, distance in plan:
        rows, columns = np.nonzero(mask)
        if len(rows):
            found.append(Pass(number, rows, columns, _around(rows, columns, pairs, distance, height, width)))
    return tuple(found)


def _around(
    rows: np.ndarray, columns: np.ndarray, pairs: tuple | None, distance: int, height: int, width: int
) -> tuple[np.ndarray, np.ndarray] | None:
    if pairs is None:
        return None
    offsets = distance * np.array(pairs)[..., None]
    return _reflected(rows + offsets[:, :, 0], rows, height), _reflected(
        columns + offsets[:, :, 1], columns, width
    )


def _reflected(at: np.ndarray, centre: np.ndarray, size: int) -> np.ndarray:
    """Places outside, reflected at their centre: as far on the other side; or the centre where that is
    outside too.
    """
    at = np.where((at < 0) | (at >= size), 2 * centre - at, at)
    return np.where((at < 0) | (at >= size), centre, at)


def neighbourhoods(maps: np.ndarray) -> np.ndarray:
    """(B, h, w) → (9, B, h, w), edges repeated."""
    height, width = maps.shape[-2:]
    padded = np.pad(maps, ((0, 0), (1, 1), (1, 1)), mode="edge")
    return np.stack([padded[:, i : i + height, j : j + width] for i in range(3) for j in range(3)])


@dataclass(frozen=True)
class Context:
    """What is known of the values of one pass of a channel.

    Attributes:
        channel: of c.
        at: the pass.
        row: int64 (B, n), entropy table of each value.
        shift, sign: int64 (B, n); a value v is coded as sign · (v − shift).
    """

    channel: int
    at: Pass
    row: np.ndarray
    shift: np.ndarray
    sign: np.ndarray

    def values(self, symbols: np.ndarray) -> np.ndarray:
        """Symbols (B, n) → values of c."""
        return self.shift + self.sign * symbols

    def symbols(self, values: np.ndarray) -> np.ndarray:
        """Inverse of `values`."""
        return self.sign * (values - self.shift)


# Values of a pass, int64 (B, n), given what is known of them: decoded, or chosen by the encoder.
Visit = Callable[[Context], np.ndarray]
# Departures of the cells around those of a pass, (2 pairs, 2, B, n); none in a first pass.
Own = np.ndarray | None
# As `Visit`, given the channel, the pass, mean and scale of the channel (B, h, w), departures around.
Step = Callable[[int, Pass, np.ndarray, np.ndarray, Own], np.ndarray]


def walk(contexts: Contexts, means: tuple[int, ...], shape: tuple[int, int, int], visit: Visit) -> np.ndarray:
    """c, int64 (B, C, h, w), by a visit to every pass of every channel. Raises HscError for values that no
    image has.

    Args:
        means: channels whose passes are interlaced.
        shape: (B, h, w).
    """

    def of_context(channel: int, at: Pass, mean: np.ndarray, scale: np.ndarray, own: Own) -> np.ndarray:
        found = visit(_context(contexts, channel, at, mean, scale, own))
        if np.abs(found).max() > LARGEST:
            raise HscError("the base layer holds values that no image has: it is damaged")
        return found

    return steps(contexts, means, shape, of_context)


def steps(contexts: Contexts, means: tuple[int, ...], shape: tuple[int, int, int], step: Step) -> np.ndarray:
    """As `walk`, with what a context is made of: channel, pass, mean and scale of the channel's cells
    (B, h, w) as the channels before tell them, and the departures around.
    """
    sums = Sums(contexts, shape)
    c = np.zeros((shape[0], len(contexts.bias), *shape[1:]), np.int64)
    kinds = {interlaced: passes(*shape[1:], interlaced) for interlaced in (False, True)}
    for channel in range(c.shape[1]):
        mean, scale = sums.of(channel)
        for at in kinds[channel in means]:
            own = around(c[:, channel] * ONE - mean, at)
            c[:, channel, at.rows, at.columns] = step(channel, at, mean, scale, own)
        sums.add(channel, c[:, channel])
    return c


class Sums:
    """Mean and scale of the channels to come, from those that are known."""

    def __init__(self, contexts: Contexts, shape: tuple[int, int, int]) -> None:
        self.contexts, self.shape = contexts, shape
        count = len(contexts.bias)
        self.mean = np.zeros((count, int(np.prod(shape))))
        self.scale = np.repeat(contexts.bias.astype(np.float64)[:, None], self.mean.shape[1], 1)

    def of(self, channel: int) -> tuple[np.ndarray, np.ndarray]:
        """Mean and scale of a channel, int64 (B, h, w)."""
        mean, scale = (each[channel].reshape(self.shape) for each in (self.mean, self.scale))
        return mean.clip(-_LIMIT, _LIMIT).astype(np.int64), scale.clip(1, _LIMIT).astype(np.int64)

    def add(self, channel: int, values: np.ndarray) -> None:
        """A channel (B, h, w) becomes known."""
        if not values.any():  # most of the high channels, and it saves half of the time
            return
        known = neighbourhoods(values.astype(np.float64)).reshape(AROUND, -1)
        mean, scale = (each[channel + 1 :, channel] for each in self.contexts.floats)
        self.mean[channel + 1 :] += mean @ known
        self.scale[channel + 1 :] += scale @ np.abs(known)


def around(departures: np.ndarray, at: Pass) -> np.ndarray | None:
    """Departures (B, h, w) → what the two pairs around each cell of a pass have, (2 pairs, 2, B, n)."""
    if at.around is None:
        return None
    return departures[:, at.around[0], at.around[1]].transpose(1, 2, 0, 3)


def features(own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Departures around → those of the mean (2, B, n) and of the scale (4, B, n)."""
    sums, differences = own.sum(1), np.abs(own[:, 0] - own[:, 1]).sum(0)
    return sums, np.stack([*np.abs(own).sum(1), differences, np.abs(sums[0] - sums[1])])


def corrected(weights: Contexts, channel: int, at: Pass, mean: np.ndarray, scale: np.ndarray, own):
    """Mean and scale of the cells of a pass, (B, n), after what the cells around tell."""
    mean, scale = (each[:, at.rows, at.columns] for each in (mean, scale))
    if own is not None:
        of_mean, of_scale = features(own)
        own_mean = weights.own_mean[channel, at.number].astype(np.int64)
        mean = mean + (np.tensordot(own_mean, of_mean, 1) >> 10)
        own_scale = weights.own_scale[channel, at.number].astype(np.int64)
        scale = (np.tensordot(own_scale, np.concatenate([scale[None], of_scale]), 1) >> 10).clip(1, _LIMIT)
    return mean, scale


def _context(weights: Contexts, channel: int, at: Pass, mean, scale, own) -> Context:
    mean, scale = corrected(weights, channel, at, mean, scale, own)
    size, sign = np.abs(mean), np.where(mean < 0, -1, 1)
    whole = np.where(size < 2 * ONE, 0, (size + ONE // 2) >> 10)
    left = size - whole * ONE
    phase = np.abs(left) * 2 * _PHASES // (ONE + 1)
    near = np.searchsorted(_MEAN_BOUNDS, left, side="right")
    kind = np.where(whole > 0, len(_MEAN_BOUNDS) + 1 + phase, near)
    row = np.searchsorted(_SCALE_BOUNDS, scale, side="right") * CLASSES + kind
    flip = np.where((whole > 0) & (left < 0), -sign, sign)
    return Context(channel, at, row, sign * whole, flip)
