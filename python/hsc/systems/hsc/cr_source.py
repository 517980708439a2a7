"""One image as the coders of the CR need it: what it differs in from G, and the rows of A, eq. (20)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from . import cr, cr_paper, cr_progressive


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

    @classmethod
    def of(
        cls,
        image: np.ndarray,
        generated: Sequence[np.ndarray],
        of_residual: bool,
        counted: Sequence[np.ndarray] = (),
    ) -> Source:
        """Of an image in [0, 1] and its generated image, or several that the channel may make of it.

        Args:
            image: X, (H, W, C).
            generated: G, each (H, W, C). The error matrix is the mean over them.
            of_residual: project X − G instead of X; G is the first then.
            counted: generated images that errors are told for; none for the first of the others.
        """
        matrix = cr.as_matrix(image)
        differences = tuple(matrix - cr.as_matrix(one) for one in counted or generated[:1])
        error = sum(cr.error_matrix(image, one) for one in generated) / len(generated)  # (14)
        eigenvalues, rows = cr.eigen_rows(error)  # (20)
        projected = matrix - cr.as_matrix(generated[0]) if of_residual else matrix
        return cls(differences, projected, of_residual, rows, eigenvalues, image.shape[-1])

    @property
    def tails(self) -> np.ndarray:
        """Σ_{i>k} λ_i over all channels, for k = 0…n: eq. (19). (n + 1,)."""
        return cr.closed_form_errors(self.eigenvalues) * self.channels

    @property
    def errors(self) -> np.ndarray:
        """Squared error over the image with k = 0…n rows that are exact, for a G that both sides have or A X:
        (n + 1,).
        """
        # numpy multiplies a reversed view without BLAS, fifty times as slowly.
        rows = np.ascontiguousarray(self.rows)
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
        left = np.array([np.square(one - self.projected).sum() for one in self.differences])
        return float(cr_progressive.sure(left))

    def progressive(self, rank: int, step_code: int) -> cr_progressive.Coded:
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
        step = cr_progressive.coefficient_step(step_code)
        return b"".join(cr_paper.encode(self.projected, self.rows[:rank], step, ratio))
