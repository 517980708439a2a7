"""Base matrices of the IEEE 802.11ad LDPC codes (IEEE Std 802.11ad-2012, clause 21.3.8): n = 672, Z = 42.

An entry s ≥ 0 is the Z × Z identity with its columns rotated right by s: row r has its one in column (r + s)
mod Z. −1 is the zero matrix. The last columns, one per row, are block lower triangular: that is what makes
encoding a back substitution.
"""

from __future__ import annotations

Z = 42
N = 672

_RATE_1_2 = """
40 -1 38 -1 13 -1  5 -1 18 -1 -1 -1 -1 -1 -1 -1
34 -1 35 -1 27 -1 -1 30  2  1 -1 -1 -1 -1 -1 -1
-1 36 -1 31 -1  7 -1 34 -1 10 41 -1 -1 -1 -1 -1
-1 27 -1 18 -1 12 20 -1 -1 -1 15  6 -1 -1 -1 -1
35 -1 41 -1 40 -1 39 -1 28 -1 -1  3 28 -1 -1 -1
29 -1  0 -1 -1 22 -1  4 -1 28 -1 27 -1 23 -1 -1
-1 31 -1 23 -1 21 -1 20 -1 -1 12 -1 -1  0 13 -1
-1 22 -1 34 31 -1 14 -1  4 -1 -1 -1 13 -1 22 24
"""

_RATE_5_8 = """
20 36 34 31 20  7 41 34 -1 10 41 -1 -1 -1 -1 -1
30 27 -1 18 -1 12 20 14  2 25 15  6 -1 -1 -1 -1
35 -1 41 -1 40 -1 39 -1 28 -1 -1  3 28 -1 -1 -1
29 -1  0 -1 -1 22 -1  4 -1 28 -1 27 24 23 -1 -1
-1 31 -1 23 -1 21 -1 20 -1  9 12 -1 -1  0 13 -1
-1 22 -1 34 31 -1 14 -1  4 -1 -1 -1 -1 -1 22 24
"""

_RATE_3_4 = """
35 19 41 22 40 41 39  6 28 18 17  3 28 -1 -1 -1
29 30  0  8 33 22 17  4 27 28 20 27 24 23 -1 -1
37 31 18 23 11 21  6 20 32  9 12 29 -1  0 13 -1
25 22  4 34 31  3 14 15  4 -1 14 18 13 13 22 24
"""

_RATE_13_16 = """
29 30  0  8 33 22 17  4 27 28 20 27 24 23 -1 -1
37 31 18 23 11 21  6 20 32  9 12 29 10  0 13 -1
25 22  4 34 31  3 14 15  4  2 14 18 13 13 22 24
"""


def _parse(text: str) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(int(entry) for entry in line.split()) for line in text.split("\n") if line)


BASE_MATRICES: dict[str, tuple[tuple[int, ...], ...]] = {
    "1/2": _parse(_RATE_1_2),
    "5/8": _parse(_RATE_5_8),
    "3/4": _parse(_RATE_3_4),
    "13/16": _parse(_RATE_13_16),
}
