"""The detail of an image, z, entropy coded in dispersed chunks of one LDPC block each: ours, not the paper's.

    x − x′ ─▶ 16 × 16 DCT ─▶ z ─▶ quantiser ─▶ symbols ─▶ chunks, dispersed ─▶ (channel) ─▶ ẑ, v
                  c (integers) ─▶ scale of every coefficient ─▶ p(symbol) ─┘

The base tells how strong every coefficient of the detail probably is: a weighted sum of what c has in its
cell and in those around, one set of weights to a coefficient. From that sum alone, in integers, follows the
table of a symbol's probabilities. No symbol is the context of another: those of a chunk lie far apart, by the
lattice of `interleaver.block_of`, and a lost chunk costs every place of the image a little.

A chunk is as long as an LDPC block. All symbols have one step; how readily they become 0 is for every chunk
to choose, so that it fills its block.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from ...coding.budget import TooFew
from ...coding.entropy import EntropyTables
from ...errors import HscError
from ...nn.transform import COLOUR, dct_matrix, zigzag
from . import interleaver

# Side of a cell [pixels]: a block of the DCT, and a place of c.
CELL = 16
# Coefficients of luma and of the two colour differences that can be sent, lowest frequencies first.
KEPT = (256, 64, 64)
CHANNELS = sum(KEPT)
# Steps of the quantiser: Δ = 2^(step / 8) / 255, where pixels have values of 0 … 1.
STEPS = 96
# Scales and steps in an octave.
PER_OCTAVE = 8
# Tables of symbol probabilities of luma and of colour, by scale in steps, a quarter of an octave to each. A
# symbol of row 0, its scale under 1/64 of a step, is not sent: it is 0.
ROWS = 48
_PER_ROW = PER_OCTAVE // 4
ROW_OF_ONE = 24
# Symbols beyond it are escaped.
LARGEST = 15
# Unit of the weights and of the sums: 2^-12/255.
ONE = 1 << 12
# Largest weight: sums of a thousand features stay far below 2^53.
LARGEST_WEIGHT = 1 << 24
# Magnitudes of c above it count as it.
_MOST = 1 << 12
# Largest number of a scale: 2^(223 / 8) units, 2^16 times full scale.
SCALES = 224
# Weight of a bit in squared steps: 6 dB a bit at high rate, 2 ln 2 / 12 = 0.116.
LAGRANGIAN = 0.12
# Magnitudes whose mean and variance are tabled: 0, 1, 2, and all above.
MAGNITUDES = 4
# Halvings of the interval in which the weight of a bit of a chunk is found.
_HALVINGS = 12
# Largest weight of a bit, in squared steps: only symbols that cost nothing are left.
_HEAVIEST = 64.0
# Spare bits of a chunk: the coder ends with a whole byte, and pays for the shape of its words.
_SPARE_BITS = 6
# Thresholds between scales, k / 8 octaves of the unit, in integers.
_BOUNDS = np.floor(2 ** ((np.arange(1, SCALES) - 0.5) / PER_OCTAVE)).astype(np.int64)


@dataclass(frozen=True)
class Model:
    """p(symbol | scale), and what a symbol says of z, as both ends have it.

    Attributes:
        tables: probabilities of symbols, 2 · ROWS rows: luma, colour.
        mean: float (2 · ROWS, MAGNITUDES): what is added to the magnitude of a symbol [steps].
        variance: float (2 · ROWS, MAGNITUDES), of z given its symbol [steps²].
        prior: float (2 · ROWS,), of z when its symbol is lost [steps²].
    """

    tables: EntropyTables
    mean: np.ndarray
    variance: np.ndarray
    prior: np.ndarray


@dataclass(frozen=True)
class Coded:
    """Chunks one after another, and the number of their quantiser's step."""

    data: bytes
    step: int


@dataclass(frozen=True)
class Detail:
    """What a receiver has of z: ẑ and the variance of its error, float32 (CHANNELS, h, w) each."""

    z: np.ndarray
    variance: np.ndarray


# ---- the transform


@lru_cache(maxsize=1)
@torch.inference_mode(False)
def _order() -> tuple[torch.Tensor, ...]:
    """Places of the kept coefficients of each plane among the 256 of a cell."""
    places = torch.from_numpy(zigzag(CELL) @ np.array([CELL, 1]))
    return tuple(places[:kept] for kept in KEPT)


@lru_cache(maxsize=1)
@torch.inference_mode(False)
def _matrices() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(COLOUR).float(), torch.from_numpy(dct_matrix(CELL)).float()


def analyse(images: torch.Tensor) -> torch.Tensor:
    """Differences of images (B, 3, H, W), sides multiples of 16 → z (B, CHANNELS, H/16, W/16)."""
    colour, dct = _matrices()
    batch, _, height, width = images.shape
    cells = torch.einsum("pc,bchw->bphw", colour, images)
    cells = cells.reshape(batch, 3, height // CELL, CELL, width // CELL, CELL).transpose(3, 4)
    waves = (dct @ cells @ dct.T).flatten(-2)
    kept = [waves[:, plane, ..., order] for plane, order in enumerate(_order())]
    return torch.cat(kept, -1).permute(0, 3, 1, 2)


def synthesise(z: torch.Tensor) -> torch.Tensor:
    """Inverse of `analyse`."""
    colour, dct = _matrices()
    cells = dct.T @ planes_of(z) @ dct
    batch, _, height, width = cells.shape[:4]
    cells = cells.transpose(3, 4).reshape(batch, 3, height * CELL, width * CELL)
    return torch.einsum("pc,bphw->bchw", colour, cells)


def planes_of(z: torch.Tensor) -> torch.Tensor:
    """z (B, CHANNELS, h, w) as matrices of frequencies, (B, 3, h, w, 16, 16), 0 where none is kept."""
    batch, _, height, width = z.shape
    found = z.new_zeros(batch, 3, height, width, CELL * CELL)
    for plane, (part, order) in enumerate(zip(z.split(KEPT, 1), _order(), strict=True)):
        found[:, plane, ..., order] = part.permute(0, 2, 3, 1)
    return found.unflatten(-1, (CELL, CELL))


# ---- probabilities, from the base alone


def features(c: np.ndarray, means: tuple[int, ...]) -> np.ndarray:
    """What c, integers (C, h, w), tells of the strength of the detail, int64 (F, h, w): magnitudes in the
    cell and their sums in the four around; how the means of the planes, channels `means`, differ from those
    above and below and from those at the sides; and 1.
    """
    c = np.clip(np.asarray(c).astype(np.int64), -_MOST, _MOST)

    def beside(maps: np.ndarray) -> tuple[np.ndarray, ...]:
        padded = np.pad(maps, ((0, 0), (1, 1), (1, 1)), mode="edge")
        middle = slice(1, -1)
        return padded[:, :-2, middle], padded[:, 2:, middle], padded[:, middle, :-2], padded[:, middle, 2:]

    own = c[list(means)]
    above, below, left, right = (abs(own - each) for each in beside(own))
    return np.concatenate([abs(c), sum(beside(abs(c))), above + below, left + right, np.ones_like(c[:1])])


def scales(weight: np.ndarray, c: np.ndarray, means: tuple[int, ...]) -> np.ndarray:
    """Numbers of the scale of every coefficient, int64 (CHANNELS, h, w), 0 … 223: eighths of an octave.

    `weight`: integers (CHANNELS, F), those of c's fineness. Exact: sums of integers below 2^53 are, in
    float64 and in any order.
    """
    found = features(c, means)
    total = weight.astype(np.float64) @ found.reshape(len(found), -1).astype(np.float64)
    return np.searchsorted(_BOUNDS, total.astype(np.int64)).reshape(-1, *found.shape[1:])


def _one() -> int:
    """Number of the scale 1/255, of which step 0 has one."""
    return int(np.searchsorted(_BOUNDS, ONE))


def table_rows(scale: np.ndarray, step: int) -> np.ndarray:
    """Scales (CHANNELS, …) → row of the tables of every symbol, the same shape, in integers. Rows 0
    and `ROWS` are of symbols that are not sent.
    """
    row = _luma_rows(scale, step)
    row[KEPT[0] :] += ROWS
    return row


def _luma_rows(scale: np.ndarray, step: int) -> np.ndarray:
    return np.clip((scale - _one() - step) // _PER_ROW + ROW_OF_ONE, 0, ROWS - 1)


def absent(rows: np.ndarray) -> np.ndarray:
    """Which symbols are not sent, bool, by row of their table."""
    return rows % ROWS == 0


def step_size(step: int) -> float:
    """Δ, where pixels have values of 0 … 1."""
    return 2 ** (step / PER_OCTAVE) / 255


# ---- the quantiser


@dataclass(frozen=True)
class _Image:
    """What of an image's symbols does not depend on the step.

    Attributes:
        magnitude: float32 (n,), |z|.
        kind: int64 (n,), number of the scale, and `SCALES` more for colour.
        chunk: int64 (n,).
        census: int64 (N, 2 · SCALES), symbols of each kind in each chunk.
    """

    magnitude: np.ndarray
    kind: np.ndarray
    chunk: np.ndarray
    census: np.ndarray

    @classmethod
    def of(cls, z: np.ndarray, scale: np.ndarray, chunk: np.ndarray, chunks: int) -> _Image:
        """z and its scales, (CHANNELS, …), and the chunk of each, (n,)."""
        kind = scale.reshape(CHANNELS, -1).copy()
        kind[KEPT[0] :] += SCALES
        kind = kind.ravel()
        census = np.bincount(chunk * (2 * SCALES) + kind, minlength=chunks * 2 * SCALES)
        return cls(np.abs(z).ravel().astype(np.float32), kind, chunk, census.reshape(chunks, -1))


@lru_cache(maxsize=STEPS)
def _rows_of_kinds(step: int) -> np.ndarray:
    """Row of the tables of each kind, int64 (2 · SCALES,)."""
    one = _luma_rows(np.arange(SCALES), step)
    return np.concatenate([one, one + ROWS])


@dataclass(frozen=True)
class _Choices:
    """What the symbols of an image can be with a step, and what each choice costs.

    Attributes:
        place: int64 (n,), of the symbols that may be other than 0, among all.
        chunk: int64 (n,), of each.
        magnitude, bits, error: (3, n), of three choices, 0, one below the nearest, and the nearest: how
            large, how expensive, how wrong [steps²].
        idle: float (N,), bits of each chunk's other symbols.
    """

    place: np.ndarray
    chunk: np.ndarray
    magnitude: np.ndarray
    bits: np.ndarray
    error: np.ndarray
    idle: np.ndarray

    @classmethod
    def of(cls, image: _Image, step: int, model: Model) -> _Choices:
        """Those of an image with a step."""
        rows, costs = _rows_of_kinds(step), _costs(model.tables)
        scaled = image.magnitude / np.float32(step_size(step))
        place = np.flatnonzero((scaled > 0.5) & ~absent(rows)[image.kind])
        own, chunk, scaled = rows[image.kind[place]], image.chunk[place], scaled[place]
        nearest = np.rint(scaled).astype(np.int64)
        magnitude = np.stack([np.zeros_like(nearest), np.maximum(nearest - 1, 0), nearest])
        value = magnitude + model.mean[own, np.minimum(magnitude, MAGNITUDES - 1)]
        error = (np.where(magnitude > 0, value, 0) - scaled) ** 2
        zero = np.where(absent(rows), 0, costs[rows, 0])
        idle = image.census @ zero - np.bincount(chunk, zero[image.kind[place]], len(image.census))
        return cls(place, chunk, magnitude, costs[own, np.minimum(magnitude, LARGEST + 1)], error, idle)

    def best(self, weight: np.ndarray) -> np.ndarray:
        """Index of each symbol's choice, (n,), when bits weigh so much in each chunk, (N,)."""
        none, less, nearest = self.error + weight[self.chunk] * self.bits
        # As argmin over three of them, in a third of its time.
        return np.where(nearest < np.minimum(none, less), 2, less < none)

    def lengths(self, chosen: np.ndarray) -> np.ndarray:
        """Bits of every chunk, float (N,)."""
        bits = np.take_along_axis(self.bits, chosen[None], 0)[0]
        return self.idle + np.bincount(self.chunk, bits, len(self.idle))

    def symbols(self, chosen: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Symbols of all of z (n,), int64."""
        found = np.zeros(len(z), np.int64)
        found[self.place] = np.take_along_axis(self.magnitude, chosen[None], 0)[0]
        return np.where(z < 0, -found, found)

    def fitting(self, room: np.ndarray) -> np.ndarray:
        """Least weight of a bit with which each chunk fits into its bits, float (N,), by bisection."""
        low, high = np.zeros(len(room)), np.full(len(room), _HEAVIEST)
        low[self.lengths(self.best(low)) <= room] = -1
        for _ in range(_HALVINGS):
            # Geometric, above a floor: a bit weighs from a hundredth of a squared step on.
            middle = np.sqrt(np.maximum(low, 1e-2) * high)
            fits = self.lengths(self.best(middle)) <= room
            low, high = np.where(fits, low, middle), np.where(fits, middle, high)
        return np.where(low < 0, 0.0, high)


@lru_cache(maxsize=4)
def _costs(tables: EntropyTables) -> np.ndarray:
    """Bits of every magnitude, (2 · ROWS, LARGEST + 2), sign included, the last one's escaped."""
    bits = 24 - np.log2(tables.probabilities)
    positive = bits[:, LARGEST : 2 * LARGEST + 1]
    return np.concatenate([positive, bits[:, -1:] + 16], 1)


def quantise(z: np.ndarray, scale: np.ndarray, step: int, model: Model) -> np.ndarray:
    """z and its scales, (CHANNELS, …) → symbols int64, same shape, each with the least squared error and
    LAGRANGIAN times its bits: the quantiser without chunks.
    """
    choices = _Choices.of(_Image.of(z, scale, np.zeros(z.size, np.int64), 1), step, model)
    return choices.symbols(choices.best(np.array([LAGRANGIAN])), z.ravel()).reshape(z.shape)


def estimate(
    symbols: np.ndarray, lost: np.ndarray, rows: np.ndarray, step: int, model: Model
) -> tuple[np.ndarray, np.ndarray]:
    """Symbols, which of them are lost (or not sent), and their rows, the same shape each → ẑ and the
    variance of its error, float64: the conditional mean, which is 0 for a lost one.
    """
    delta, size = step_size(step), np.minimum(np.abs(symbols), MAGNITUDES - 1)
    value = symbols + np.sign(symbols) * model.mean[rows, size]
    variance = np.where(lost, model.prior[rows], model.variance[rows, size])
    return np.where(lost, 0, value) * delta, variance * delta**2


# ---- chunks


def encode(z: np.ndarray, scale: np.ndarray, blocks: int, block_bytes: int, model: Model) -> Coded:
    """Detail → chunks that fill so many blocks.

    Args:
        z: float (CHANNELS, h, w).
        scale: of its coefficients, `scales`.
        blocks, block_bytes: LDPC blocks, and bytes in each.
        model: p(z | c).

    Returns:
        Exactly blocks · block_bytes bytes, with the finest step that lets a bit weigh LAGRANGIAN squared
        steps over all chunks together; with a coarser one where a chunk does not hold even its zeros.

    Raises:
        budget.TooFew: no blocks, or so few that they do not hold even zeros at the coarsest step.
    """
    if blocks < 1:
        raise TooFew("no block is left for the detail of an image", 1)
    chunk = interleaver.block_of(*z.shape, blocks).ravel()
    image = _Image.of(z, scale, chunk, blocks)
    for step in range(_finest_step(image, blocks * (8.0 * block_bytes - _SPARE_BITS), model), STEPS):
        parts = _chunks(image, z.ravel(), step, block_bytes, model)
        if parts is not None:
            return Coded(b"".join(part.ljust(block_bytes, b"\0") for part in parts), step)
    few = f"{blocks} blocks of {block_bytes} bytes do not hold the detail of an image"
    raise TooFew(few, blocks * block_bytes + 1)


def _chunks(image: _Image, z: np.ndarray, step: int, block_bytes: int, model: Model) -> list[bytes] | None:
    """Chunks of z (n,), none longer than `block_bytes`; None where one does not hold even its zeros."""
    blocks = len(image.census)
    room = np.full(blocks, 8.0 * block_bytes - _SPARE_BITS)
    choices, rows = _Choices.of(image, step, model), _rows_of_kinds(step)[image.kind]
    members = _members(image.chunk, rows, blocks)
    parts, waiting = [b""] * blocks, np.arange(blocks)
    while len(waiting):
        if (choices.idle > room).any():
            return None
        symbols = choices.symbols(choices.best(choices.fitting(room)), z)
        for each in waiting:
            own = members[each]
            parts[each] = model.tables.encode(symbols[own], rows[own])
        waiting = np.array([each for each in waiting if len(parts[each]) > block_bytes], np.int64)
        room[waiting] -= 8
    return parts


def _members(chunk: np.ndarray, rows: np.ndarray, blocks: int) -> list[np.ndarray]:
    """Symbols that are sent in each chunk, in their order."""
    sent = np.flatnonzero(~absent(rows))
    own = chunk[sent]
    order = sent[np.argsort(own, kind="stable")]
    return np.split(order, np.cumsum(np.bincount(own, minlength=blocks))[:-1])


def _finest_step(image: _Image, room: float, model: Model) -> int:
    """Finest step with which all symbols fit into all chunks together, by bisection."""
    weight = np.full(len(image.census), LAGRANGIAN)
    low, high = 0, STEPS - 1
    while low < high:
        step = (low + high) // 2
        choices = _Choices.of(image, step, model)
        if choices.lengths(choices.best(weight)).sum() <= room:
            high = step
        else:
            low = step + 1
    return low


def decode(
    data: bytes, received: np.ndarray, scale: np.ndarray, step: int, block_bytes: int, model: Model
) -> Detail:
    """Chunks → detail. What is lost is 0, with the variance that the base tells.

    Args:
        data: whole chunks.
        received: bool (bytes,), which of them came.
        scale: of the coefficients, int64 (CHANNELS, h, w).
        step: of the quantiser, 0 … 95.
        block_bytes: bytes of a chunk.
        model: p(z | c).

    Raises:
        HscError: a step that there is not, or bytes that are no chunks.
    """
    if not 0 <= step < STEPS or block_bytes < 1 or len(data) % block_bytes or len(received) != len(data):
        raise HscError("not a detail of DS²C²: transmitter and receiver differ, update both")
    blocks = len(data) // block_bytes
    rows = table_rows(scale, step)
    whole = np.asarray(received).reshape(blocks, block_bytes).all(1)
    symbols, lost = np.zeros(rows.size, np.int64), np.ones(rows.size, bool)
    members = (
        _members(interleaver.block_of(*scale.shape, blocks).ravel(), rows.ravel(), blocks) if blocks else []
    )
    for each in np.flatnonzero(whole):
        own = members[each]
        code = data[each * block_bytes : (each + 1) * block_bytes].rstrip(b"\0")
        try:
            symbols[own] = model.tables.decode(code, rows.ravel()[own])
        except HscError:
            continue  # as good as lost: what a transmitter sends always decodes
        lost[own] = False
    shape = rows.shape
    z, variance = estimate(symbols.reshape(shape), lost.reshape(shape), rows, step, model)
    return Detail(z.astype(np.float32), variance.astype(np.float32))
