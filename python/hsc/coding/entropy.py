"""Entropy coding of integers with static tables: asymmetric numeral systems (Duda 2013), package
constriction.

Tables are integers out of 2^24, so that two machines cannot disagree about a symbol however they compute
floating point. Values of one table stand together in the code, tables in ascending order; behind them stand
the escaped values, 16 bits each. The coder is a stack: what is decoded first was encoded last.
"""

from __future__ import annotations

from functools import cached_property

import constriction
import numpy as np

from ..errors import HscError

AnsCoder = constriction.stream.stack.AnsCoder
Categorical = constriction.stream.model.Categorical
# Bits of a probability; constriction's own.
PRECISION = 24
TOTAL = 1 << PRECISION
# Bits of an escaped value.
ESCAPE_BITS = 16
# Most values in a code.
MOST_VALUES = 1 << 24
# Least value that can be coded.
_LOWEST = -(1 << (ESCAPE_BITS - 1))
# Bytes of the coder's words.
WORD = 4
# Distribution of the escaped values.
_RAW = constriction.stream.model.Uniform(1 << ESCAPE_BITS)


class EntropyTables:
    """Static tables. Row t gives the probabilities, out of 2^24, of the values offset[t], offset[t] + 1, …
    and last of the escape.

    Args:
        probabilities: integers (T, S), S ≥ 2, each at least 1, every row with sum 2^24.
        offset: integers (T,), the first value of each row.

    Raises:
        HscError: tables that are none.
    """

    def __init__(self, probabilities: np.ndarray, offset: np.ndarray) -> None:
        self.probabilities = np.asarray(probabilities).astype(np.int64)
        self.offset = np.asarray(offset).astype(np.int64)
        shape = self.probabilities.shape
        if len(shape) != 2 or shape[1] < 2 or self.offset.shape != shape[:1]:
            raise HscError(
                f"entropy tables have shapes (T, S) and (T,), S at least 2, "
                f"not {shape} and {self.offset.shape}"
            )
        if (self.probabilities < 1).any() or (self.probabilities.sum(1) != TOTAL).any():
            raise HscError(
                f"rows of entropy tables are integers above 0 with sum 2^{PRECISION}: "
                "scale them, each at least 1"
            )

    @property
    def escape(self) -> int:
        """Symbol of the values that a row does not hold."""
        return self.probabilities.shape[1] - 1

    def encode(self, values: np.ndarray, table: np.ndarray) -> bytes:
        """Values → code.

        Args:
            values: integers (n,), -32768…32767.
            table: row of each value, integers (n,).

        Raises:
            HscError: a value out of range.
        """
        coder = AnsCoder()
        self.push(coder, values, table)
        return packed(coder)

    def decode(self, data: bytes, table: np.ndarray) -> np.ndarray:
        """Inverse of `encode`: int32 (n,). Raises HscError for bytes that are no code of n such values."""
        coder = opened(data)
        found = self.pop(coder, table)
        check_end(coder)
        return found

    def push(self, coder: AnsCoder, values: np.ndarray, table: np.ndarray) -> None:
        """Put values on a coder's stack. What is pushed last is popped first, so values whose tables depend
        on others are pushed before those. Arguments and errors as `encode` has them.
        """
        order, ends, rows = self._grouped(table)
        symbols = self._symbols(values, table)[order]
        values = np.asarray(values).astype(np.int64)[order]
        escaped = values[symbols == self.escape]
        if len(escaped) and (escaped.min() < _LOWEST or escaped.max() >= -_LOWEST):
            raise HscError(
                f"values from {escaped.min()} to {escaped.max()} are beyond {ESCAPE_BITS} bits: "
                "use a coarser quantiser step"
            )
        if len(escaped):
            coder.encode_reverse((escaped - _LOWEST).astype(np.int32), _RAW)
        for row, first, end in zip(rows[::-1], ends[-2::-1], ends[:0:-1], strict=True):
            coder.encode_reverse(symbols[first:end], self._models[row])

    def pop(self, coder: AnsCoder, table: np.ndarray) -> np.ndarray:
        """Inverse of `push`: int32 (n,). An empty stack gives values too: `check_end` finds out."""
        order, ends, rows = self._grouped(table)
        symbols = np.empty(len(order), np.int32)
        for row, first, end in zip(rows, ends[:-1], ends[1:], strict=True):
            symbols[first:end] = coder.decode(self._models[row], int(end - first))
        values = symbols + self.offset[np.asarray(table)[order]]
        escaped = np.flatnonzero(symbols == self.escape)
        if len(escaped):
            values[escaped] = coder.decode(_RAW, len(escaped)).astype(np.int64) + _LOWEST
        found = np.empty(len(order), np.int32)
        found[order] = values
        return found

    def bits(self, values: np.ndarray, table: np.ndarray) -> float:
        """Ideal length of the code [bit]."""
        return float(self.costs(values, table).sum())

    def costs(self, values: np.ndarray, table: np.ndarray) -> np.ndarray:
        """Ideal length of the code of each value [bit]; arrays of any shapes that fit together."""
        return self._costs[np.asarray(table), self._symbols(values, table)]

    @cached_property
    def _costs(self) -> np.ndarray:
        costs = PRECISION - np.log2(self.probabilities)
        costs[:, -1] += ESCAPE_BITS
        return costs

    @cached_property
    def _models(self) -> list[Categorical]:
        # constriction gives every symbol 1 and shares the rest by floor(weight · rest / sum): weights with
        # that sum stay as they are.
        return [Categorical(row, perfect=False) for row in (self.probabilities - 1).astype(np.float64)]

    def _symbols(self, values: np.ndarray, table: np.ndarray) -> np.ndarray:
        symbols = np.asarray(values).astype(np.int64) - self.offset[np.asarray(table)]
        inside = (symbols >= 0) & (symbols < self.escape)
        return np.where(inside, symbols, self.escape).astype(np.int32)

    def _grouped(self, table: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Order that puts equal rows together, bounds and row of each group. Raises HscError for a row there
        is not.
        """
        table = np.asarray(table)
        if table.ndim != 1 or table.size > MOST_VALUES:
            raise HscError(
                f"tables are given as one row number a value, at most {MOST_VALUES}, "
                f"not as shape {table.shape}"
            )
        if table.size and not 0 <= int(table.min()) <= int(table.max()) < len(self.offset):
            raise HscError(
                f"entropy tables {table.min()} to {table.max()} are asked for: "
                f"there are 0 to {len(self.offset) - 1}"
            )
        # A stable sort of 16 bits is a radix sort, several times as fast.
        order = np.argsort(table.astype(np.min_scalar_type(len(self.offset))), kind="stable")
        ordered = table[order]
        begins = np.flatnonzero(np.diff(ordered, prepend=-1))
        return order, np.append(begins, table.size), ordered[begins]


def packed(coder: AnsCoder) -> bytes:
    """The stack of a coder as bytes."""
    # The last word is never 0, so its leading zero bytes can be left out.
    return coder.get_compressed().astype("<u4").tobytes().rstrip(b"\0")


def opened(data: bytes) -> AnsCoder:
    """Inverse of `packed`. Raises HscError for bytes that are no stack."""
    if not data:
        return AnsCoder()
    words = -(-len(data) // WORD)
    found = np.frombuffer(data.ljust(words * WORD, b"\0"), "<u4").astype(np.uint32)
    if not found[-1]:
        raise HscError("entropy coded values end in a zero word: the chunk is damaged")
    return AnsCoder(found)


def check_end(coder: AnsCoder) -> None:
    """Raises HscError unless all values were popped: whoever coded them began with an empty stack."""
    if not coder.is_empty():
        raise HscError(
            "entropy coded values do not end where they should: "
            "the chunk is damaged, or coded with other tables"
        )
