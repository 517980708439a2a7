"""How much CR to send: the rank, and the quantiser step that suits it, for a rank, a target PSNR or a byte
budget.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from . import cr, cr_progressive
from .cr_progressive import Coded, coefficient_step
from .cr_source import Source
from .options import HscOptions

# Finest step code: 2^−10, a quarter of a grey level. Full rank then comes out exact after rounding to uint8.
FINEST_STEP = 20
# Coarsest step code: 2^−1, half the range of a pixel.
COARSEST_STEP = 2
# Share of the closed-form error that quantisation may add when the rank is given. Chosen by trial.
NOISE_SHARE = 0.05
# MSE of rounding to uint8.
ROUNDING_ERROR = 1 / 12 / 255**2
# Where a search for a byte budget begins: rows that tell how many bytes one takes, and a middling step code.
_FIRST_ROWS = 16
_FIRST_STEP = 6
# Largest entry of A X in units of its step that JPEG2000's 16 bits hold, with some room.
_LARGEST_LEVEL = 32_000


@dataclass(frozen=True)
class CodedRows:
    """A CR as it is sent, and what the receiver has to know of it.

    Attributes:
        data: the stream.
        rank: k.
        step: code of the quantiser's step.
    """

    data: bytes
    rank: int
    step: int


def code(source: Source, options: HscOptions, most: int | None) -> CodedRows:
    """The CR of the options' rank, or for their PSNR within `most` bytes, or of as many bytes."""
    if options.rank is not None:
        return _for_rank(source, options, options.rank)
    if options.psnr_db is not None:
        made = _for_psnr(source, options, options.psnr_db)
        if most is None or len(made.data) <= most:
            return made
    for_budget = paper_for_budget if options.cr == "paper" else progressive_for_budget
    return for_budget(source, most)


def _for_rank(source: Source, options: HscOptions, rank: int) -> CodedRows:
    step = step_for_rank(source.tails, rank, source.projected.shape[1])
    if options.cr != "paper":
        return _all(source.progressive(rank, step), step)
    step = min(step, finest_paper_step(source))
    return CodedRows(source.paper(rank, step, options.jpeg2000_ratio), rank, step)


def _for_psnr(source: Source, options: HscOptions, psnr_db: float) -> CodedRows:
    largest_error = source.projected.size * 10 ** (-psnr_db / 10)
    if len(source.differences) > 1:
        # Over a noisy channel nothing is exact that rounding could leave alone.
        largest_error -= min(source.projected.size * ROUNDING_ERROR, largest_error / 2)
    if largest_error <= source.floor:
        # It is out of reach: as near to it as over an ideal channel.
        largest_error += source.floor
    if options.cr != "paper":
        return progressive_for_error(source, largest_error)
    rank = cr.smallest_rank(source.errors * (1 + NOISE_SHARE), largest_error)
    return _for_rank(source, options, rank) if rank else CodedRows(b"", 0, 0)


def finest_paper_step(source: Source) -> int:
    """The finest step with which A X fits into JPEG2000's 16 bits: no entry exceeds the norm of a column of
    X.
    """
    largest = np.linalg.norm(source.projected, axis=0).max()
    return min(FINEST_STEP, int(2 * np.log2(_LARGEST_LEVEL / max(largest, 1e-9))))


def step_for_rank(tails: np.ndarray, rank: int, columns: int) -> int:
    """The coarsest step that adds at most NOISE_SHARE to the closed-form error at `rank`; FINEST_STEP at full
    rank.

    The noise is counted for a tenth of all rows at least: then one row more, which takes away 1/(n − k) of
    the error or more, never adds as much noise, and the MSE falls with the rank.
    """
    noisy = max(rank, len(tails) / 10) * columns
    for step in range(COARSEST_STEP, FINEST_STEP):
        if noisy * coefficient_step(step) ** 2 / 12 <= NOISE_SHARE * tails[rank]:
            return step
    return FINEST_STEP


@dataclass(frozen=True)
class _Tried:
    """What one step gives within a byte budget."""

    error: float
    rows: CodedRows


def progressive_for_budget(source: Source, n_bytes: int) -> CodedRows:
    """The CR with the least error within `n_bytes`: a descent over the step."""

    def best(step: int, first: int) -> _Tried:
        coded = _until(source, step, lambda found: found.sizes[-1] > n_bytes, first)
        count = int(np.searchsorted(coded.sizes, n_bytes, side="right"))
        error = float(coded.errors[count - 1]) if count else np.inf
        return _Tried(error, CodedRows(*coded.cut(count), step))

    probe = source.progressive(min(_FIRST_ROWS, len(source.rows)), _FIRST_STEP)
    found = best(_FIRST_STEP, int(1.05 * probe.ranks[-1] * n_bytes / probe.sizes[-1]) + 2)
    for direction in (2, -2):
        while COARSEST_STEP <= found.rows.step + direction <= FINEST_STEP:
            rank = found.rows.rank
            tried = best(found.rows.step + direction, rank + 1 if direction > 0 else rank * 5 // 4 + 1)
            if tried.error >= found.error:
                break
            found = tried
    return _filled(source, found.rows, n_bytes)


def _filled(source: Source, rows: CodedRows, n_bytes: int) -> CodedRows:
    """As many more rows as fit in a last chunk that is not full."""
    group = cr_progressive.rows_per_chunk(*source.projected.shape)
    for more in range(min(rows.rank + group - 1, len(source.rows)), rows.rank, -1):
        longer = _all(source.progressive(more, rows.step), rows.step)
        if len(longer.data) <= n_bytes:
            return longer
    return rows


def progressive_for_error(source: Source, largest_error: float) -> CodedRows:
    """The CR of the fewest bytes whose squared error over the image is at most `largest_error`; the finest
    there is where none is as good.
    """
    if source.errors[0] <= largest_error:
        return CodedRows(b"", 0, 0)
    best: CodedRows | None = None
    # Quantisation noise of this size everywhere would use the error up.
    even = largest_error / source.projected.size
    coarsest = int(np.clip(np.ceil(-np.log2(12 * even)), COARSEST_STEP, FINEST_STEP))
    first = cr.smallest_rank(source.tails, largest_error)
    for step in range(max(0, coarsest - 2), FINEST_STEP + 2):
        coded = _until(source, step, lambda found: found.errors[-1] <= largest_error, first)
        met = np.flatnonzero(coded.errors <= largest_error)
        if not len(met):
            continue
        if best is not None and coded.sizes[met[0]] >= len(best.data):
            break
        best = CodedRows(*coded.cut(int(met[0]) + 1), step)
        first = best.rank
    if best is None:
        return _all(source.progressive(len(source.rows), FINEST_STEP), FINEST_STEP)
    return _trimmed(source, best, largest_error)


def _trimmed(source: Source, rows: CodedRows, largest_error: float) -> CodedRows:
    """Without the last rows of the last chunk, as far as the error allows."""
    group = cr_progressive.rows_per_chunk(*source.projected.shape)
    for fewer in range(max(1, rows.rank - group + 1), rows.rank):
        coded = source.progressive(fewer, rows.step)
        if coded.errors[-1] <= largest_error:
            return _all(coded, rows.step)
    return rows


def paper_for_budget(source: Source, n_bytes: int) -> CodedRows:
    """The largest rank whose reversible payload fits in `n_bytes`, by bisection."""
    low, high = 0, len(source.rows) + 1
    best = CodedRows(b"", 0, FINEST_STEP)
    while high - low > 1:
        rank = (low + high) // 2
        wanted = step_for_rank(source.tails, rank, source.projected.shape[1])
        step = min(wanted, finest_paper_step(source))
        data = source.paper(rank, step, 1.0)
        if len(data) <= n_bytes:
            low, best = rank, CodedRows(data, rank, step)
        else:
            high = rank
    return best


def _until(source: Source, step: int, enough: Callable[[Coded], bool], first: int) -> Coded:
    """Code `first` rows, then more and more until `enough(coded)`, or all."""
    rank = min(max(first, 1), len(source.rows))
    while True:
        coded = source.progressive(rank, step)
        if rank == len(source.rows) or enough(coded):
            return coded
        rank = min(rank * 3 // 2 + 2, len(source.rows))


def _all(coded: Coded, step: int) -> CodedRows:
    return CodedRows(*coded.cut(len(coded.chunks)), step)
