"""How much CR to send: the rank, and the quantiser step that suits it, for a rank, a target PSNR or a byte
budget.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from . import cr, cr_paper, cr_progressive
from .cr_progressive import Coded, coefficient_step

FINEST_STEP = 20  # 2^-10, a quarter of a grey level: full rank comes out exact after rounding to uint8
COARSEST_STEP = 2
NOISE_SHARE = 0.05  # of the closed-form error, what quantisation may add when the rank is given
_FIRST_ROWS = 16


@dataclass(frozen=True)
class Source:
    """One image as the CR coders need it.

    Attributes:
        differences: D = X − G, float64 (n, W·C), for each G that counts: the transmitter's, or those that the
            channel may make of it.
        projected: what A is applied to: X, or X − G.
        of_residual: it is X − G.
        rows, eigenvalues: of the error matrix.
        channels: C.
    """

    differences: tuple[np.ndarray, ...]
    projected: np.ndarray
    of_residual: bool
    rows: np.ndarray
    eigenvalues: np.ndarray
    channels: int

    @property
    def tails(self) -> np.ndarray:
        """Σ_{i>k} λ_i over all channels, for k = 0…n: eq. (19)."""
        return cr.closed_form_errors(self.eigenvalues) * self.channels

    @property
    def errors(self) -> np.ndarray:
        """Squared error over the image with k = 0…n rows that are exact, for a G that both sides have or A X:
        (n + 1,).
        """
        rows = np.ascontiguousarray(
            self.rows
        )  # numpy multiplies a reversed view without BLAS, fifty times as slowly
        covered = [np.cumsum(np.square(rows @ one).sum(1)) for one in self.differences]
        whole = [np.square(one).sum() for one in self.differences]
        left = [np.concatenate([[error], error - taken]) for error, taken in zip(whole, covered, strict=True)]
        return cr_progressive.sure(np.array(left)).clip(0)

    @property
    def floor(self) -> float:
        """Squared error over the image that no CR takes away: what the channel does to the G that X − G was
        made with.
        """
        if not self.of_residual:
            return 0.0
        return float(
            cr_progressive.sure(np.array([np.square(one - self.projected).sum() for one in self.differences]))
        )

    def progressive(self, rank: int, step_code: int) -> Coded:
        """The progressive coding of `rank` rows."""
        return cr_progressive.encode(
            self.differences,
            self.projected,
            self.of_residual,
            self.rows[:rank],
            self.eigenvalues,
            self.channels,
            step_code,
        )

    def paper(self, rank: int, step_code: int, ratio: float) -> bytes:
        """The paper's coding of `rank` rows."""
        return b"".join(cr_paper.encode(self.projected, self.rows[:rank], coefficient_step(step_code), ratio))


def source(
    image: np.ndarray, generated: Sequence[np.ndarray], of_residual: bool, counted: Sequence[np.ndarray] = ()
) -> Source:
    """Prepare an image (H, W, C) in [0, 1] with its generated image, or with several that the channel may
    make of it.

    The error matrix is the mean over them. `of_residual`: project X − G instead of X; G is the first then.
    `counted`: generated images that errors are told for, the first of the others when there are none.
    """
    matrix = cr.as_matrix(image)
    differences = tuple(matrix - cr.as_matrix(one) for one in counted or generated[:1])
    eigenvalues, rows = cr.eigen_rows(sum(cr.error_matrix(image, one) for one in generated) / len(generated))
    projected = matrix - cr.as_matrix(generated[0]) if of_residual else matrix
    return Source(differences, projected, of_residual, rows, eigenvalues, image.shape[-1])


def finest_paper_step(prepared: Source) -> int:
    """The finest step with which A X fits into JPEG2000's 16 bits: no entry exceeds the norm of a column of
    X.
    """
    largest = np.linalg.norm(prepared.projected, axis=0).max()
    return min(FINEST_STEP, int(2 * np.log2(32_000 / max(largest, 1e-9))))


def step_for_rank(tails: np.ndarray, rank: int, columns: int) -> int:
    """The coarsest step that adds at most NOISE_SHARE to the closed-form error at `rank`; FINEST_STEP at full
    rank.

    The noise is counted for a tenth of all rows at least: then one row more, which takes away 1/(n − k) of
    the error or more, never adds as much noise, and the MSE falls with the rank.
    """
    noisy = max(rank, len(tails) / 10) * columns
    for code in range(COARSEST_STEP, FINEST_STEP):
        if noisy * coefficient_step(code) ** 2 / 12 <= NOISE_SHARE * tails[rank]:
            return code
    return FINEST_STEP


def progressive_for_budget(prepared: Source, n_bytes: int) -> tuple[bytes, int, int]:
    """Stream, rank and step code with the least error within `n_bytes`: a descent over the step."""

    def best(code: int, first: int) -> tuple[float, bytes, int, int]:
        coded = _until(prepared, code, lambda found: found.sizes[-1] > n_bytes, first)
        count = int(np.searchsorted(coded.sizes, n_bytes, side="right"))
        error = coded.errors[count - 1] if count else np.inf
        return (float(error), *coded.cut(count), code)

    probe = prepared.progressive(min(_FIRST_ROWS, len(prepared.rows)), 6)
    found = best(6, int(1.05 * probe.ranks[-1] * n_bytes / probe.sizes[-1]) + 2)
    for direction in (2, -2):
        while COARSEST_STEP <= found[3] + direction <= FINEST_STEP:
            tried = best(found[3] + direction, found[2] + 1 if direction > 0 else found[2] * 5 // 4 + 1)
            if tried[0] >= found[0]:
                break
            found = tried
    _, data, rank, code = found
    return (*_filled(prepared, data, rank, code, n_bytes), code)


def _filled(prepared: Source, data: bytes, rank: int, code: int, n_bytes: int) -> tuple[bytes, int]:
    """As many more rows as fit in a last chunk that is not full."""
    group = cr_progressive.rows_per_chunk(*prepared.projected.shape)
    for more in range(min(rank + group - 1, len(prepared.rows)), rank, -1):
        longer, _ = _all(prepared.progressive(more, code))
        if len(longer) <= n_bytes:
            return longer, more
    return data, rank


def progressive_for_error(prepared: Source, largest_error: float) -> tuple[bytes, int, int]:
    """Stream, rank and step code with the fewest bytes whose squared error over the image is at most
    `largest_error`.
    """
    if prepared.errors[0] <= largest_error:
        return b"", 0, 0
    best: tuple[bytes, int, int] | None = None
    even = (
        largest_error / prepared.projected.size
    )  # quantisation noise of this size everywhere would use the error up
    coarsest = int(np.clip(np.ceil(-np.log2(12 * even)), COARSEST_STEP, FINEST_STEP))
    first = cr.smallest_rank(prepared.tails, largest_error)
    for code in range(max(0, coarsest - 2), FINEST_STEP + 2):
        coded = _until(prepared, code, lambda found: found.errors[-1] <= largest_error, first)
        met = np.flatnonzero(coded.errors <= largest_error)
        if not len(met):
            continue
        if best is not None and coded.sizes[met[0]] >= len(best[0]):
            break
        best = (*coded.cut(int(met[0]) + 1), code)
        first = best[1]
    if best is None:
        return (*_all(prepared.progressive(len(prepared.rows), FINEST_STEP)), FINEST_STEP)
    return (*_trimmed(prepared, *best, largest_error), best[2])


def _trimmed(prepared: Source, data: bytes, rank: int, code: int, largest_error: float) -> tuple[bytes, int]:
    """Without the last rows of the last chunk, as far as the error allows."""
    group = cr_progressive.rows_per_chunk(*prepared.projected.shape)
    for fewer in range(max(1, rank - group + 1), rank):
        coded = prepared.progressive(fewer, code)
        if coded.errors[-1] <= largest_error:
            return _all(coded)
    return data, rank


def paper_for_budget(prepared: Source, n_bytes: int) -> tuple[bytes, int, int]:
    """The largest rank whose reversible payload fits in `n_bytes`, by bisection: stream, rank, step code."""
    low, high = 0, len(prepared.rows) + 1
    best: tuple[bytes, int, int] = (b"", 0, FINEST_STEP)
    while high - low > 1:
        rank = (low + high) // 2
        code = min(
            step_for_rank(prepared.tails, rank, prepared.projected.shape[1]), finest_paper_step(prepared)
        )
        data = prepared.paper(rank, code, 1.0)
        if len(data) <= n_bytes:
            low, best = rank, (data, rank, code)
        else:
            high = rank
    return best


def _until(prepared: Source, code: int, enough: Callable[[Coded], bool], first: int) -> Coded:
    """Code `first` rows, then more and more until `enough(coded)`, or all."""
    rank = min(max(first, 1), len(prepared.rows))
    while True:
        coded = prepared.progressive(rank, code)
        if rank == len(prepared.rows) or enough(coded):
            return coded
        rank = min(rank * 3 // 2 + 2, len(prepared.rows))


def _all(coded: Coded) -> tuple[bytes, int]:
    return coded.cut(len(coded.chunks))
