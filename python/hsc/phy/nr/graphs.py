"""Base graphs and lifting sizes of the 5G NR LDPC code (3GPP TS 38.212, clause 5.3.2)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from ...errors import HscError

# Table 5.3.2-1: lifting sizes are a · 2^j for these a, one set of shifts for each, as far as the largest.
_FACTORS = (2, 3, 5, 7, 9, 11, 13, 15)
LARGEST_LIFTING = 384
# Lifting size → its set of shifts.
LIFTING_SETS = {
    factor << power: number
    for number, factor in enumerate(_FACTORS)
    for power in range(8)
    if factor << power <= LARGEST_LIFTING
}
LIFTING_SIZES = tuple(sorted(LIFTING_SETS))
# Systematic columns that are never sent: they lie in most checks.
PUNCTURED = 2
# Parity columns that are solved for together; each further one has a check of its own.
CORE = 4


@dataclass(frozen=True)
class BaseGraph:
    """A base graph before lifting.

    Attributes:
        number: 1 or 2.
        systematic: columns of information bits: 22 or 10.
        shifts: int16 (8, rows, columns), V of each set of lifting sizes; −1 where there is no entry.
    """

    number: int
    systematic: int
    shifts: np.ndarray

    @property
    def columns(self) -> int:
        """68 or 52."""
        return self.shifts.shape[2]

    def lifted(self, lifting: int, rows: int | None = None) -> np.ndarray:
        """Base matrix for a lifting size Z, int64 (rows, systematic + rows): −1 for zero, else the rotation
        P = V mod Z to the right. `rows` keeps the first rows and the columns that they have.
        """
        if lifting not in LIFTING_SETS:
            raise HscError(f"no 5G NR lifting size {lifting}: they are a · 2^j up to {LARGEST_LIFTING}")
        shifts = self.shifts[LIFTING_SETS[lifting]].astype(np.int64)
        rows = len(shifts) if rows is None else rows
        kept = shifts[:rows, : self.systematic + rows]
        return np.where(kept < 0, -1, kept % lifting)


@lru_cache(maxsize=2)
def base_graph(number: int) -> BaseGraph:
    """Base graph 1 or 2. Raises HscError for another number."""
    if number not in (1, 2):
        raise HscError(f"5G NR has the base graphs 1 and 2, not {number}")
    lines = (Path(__file__).parent / "base_graphs.txt").read_text(encoding="ascii").splitlines()
    text = "\n".join(line for line in lines if not line.startswith("#")).split("\n=\n")[number - 1]
    rows = [_entries(line) for line in text.splitlines()]
    columns = max(column for row in rows for column, _ in row) + 1
    shifts = np.full((len(_FACTORS), len(rows), columns), -1, np.int16)
    for index, row in enumerate(rows):
        for column, values in row:
            shifts[:, index, column] = values
    shifts.flags.writeable = False
    return BaseGraph(number, columns - len(rows), shifts)


def _entries(line: str) -> list[tuple[int, list[int]]]:
    """A line of the file → column and shifts of each entry."""
    pairs = (entry.split(":") for entry in line.split())
    return [(int(column), [int(shift) for shift in shifts.split(",")]) for column, shifts in pairs]
