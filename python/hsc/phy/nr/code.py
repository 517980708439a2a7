"""Encoder and decoder of 5G NR LDPC code blocks, many at once (3GPP TS 38.212, clauses 5.3.2 and 5.4.2).

The code words lie along the contiguous axis, eight to a byte while they are encoded.
"""

from __future__ import annotations

from functools import cached_property, lru_cache

import numpy as np

from ...errors import HscError
from ..ldpc_decoder import LayeredDecoder, ThreeLeast
from . import rate_matching, segmentation
from .graphs import CORE, base_graph
from .segmentation import Segments

# Checks of every code. Chosen by trial: 30 iterations lose about as few blocks as belief propagation.
RULE = ThreeLeast(nat=4, channel_limit=24, message_limit=31)
# What the LLRs of a word that was not decoded are multiplied by for further tries, of half as many iterations
# each. A bit that the channel turned round with confidence stays so where LLRs are cut to 8 bits: far above
# its threshold QPSK-0.34 lost one block in 3 000, each by one bit to three, with 0.6 none (measured); one of
# 256NUC-0.74, in some ten thousand, was left, which 0.5 decodes.
_CAUTION = (0.6, 0.5)


class BlockCode:
    """Transport blocks of `payload` bits sent in `sent` bits each. Use `block_code`, which keeps some.

    Attributes:
        payload: A [bits]. sent: G, bits on the air of a transport block, all its code blocks together.
        plan: how it is cut.
        bits_per_symbol: of the modulation.
    """

    def __init__(self, payload: int, sent: int, bits_per_symbol: int, redundancy_version: int = 0):
        self.payload, self.sent, self.bits_per_symbol = payload, sent, bits_per_symbol
        self.plan = segmentation.segments(payload, segmentation.graph_of(payload, payload / sent))
        if sent % (bits_per_symbol * self.plan.blocks):
            raise HscError(
                f"{sent} bits are not {self.plan.blocks} code blocks of symbols of {bits_per_symbol} bits"
            )
        each = sent // self.plan.blocks
        self._order = rate_matching.selected(self.plan, each, bits_per_symbol, redundancy_version)
        # No row of the graph beyond the last column that is sent takes part.
        graph = base_graph(self.plan.graph)
        last = int(self._order.max()) // self.plan.lifting
        self._rows = max(CORE, last + 1 - graph.systematic)
        self._base = graph.lifted(self.plan.lifting, self._rows)

    @property
    def rate(self) -> float:
        """Payload bits for each bit sent."""
        return self.payload / self.sent

    def encode(self, bits: np.ndarray) -> np.ndarray:
        """Transport blocks, uint8 0/1 (B, payload) → bits on the air, uint8 (B, sent)."""
        bits = np.asarray(bits, dtype=np.uint8)
        if bits.ndim != 2 or bits.shape[1] != self.payload:
            raise HscError(f"this code takes rows of {self.payload} bits, not an array of shape {bits.shape}")
        words = code_words(segmentation.cut(bits, self.plan), self.plan, self._base)
        return words[self._order].T.reshape(len(bits), self.sent)

    def decode(self, llr: np.ndarray, iterations: int = 20) -> tuple[np.ndarray, np.ndarray]:
        """LLRs, float (B, sent), > 0 for bit 0 → transport blocks, uint8 (B, payload), and bool (B,): every
        check of a CRC holds, and the LLRs were not all 0. NaN counts as 0.
        """
        llr = np.asarray(llr)
        if llr.ndim != 2 or llr.shape[1] != self.sent:
            raise HscError(f"this code takes rows of {self.sent} LLRs, not an array of shape {llr.shape}")
        blocks = llr.reshape(len(llr) * self.plan.blocks, -1)
        words = self._combined(blocks)
        found, ok = self._decoder.decode(words, iterations)
        bits, good = segmentation.joined(found[:, : self.plan.used], self.plan)
        for caution in _CAUTION:
            # Where the payload is right, parity bits may be as they like.
            again = ~ok & ~np.repeat(good, self.plan.blocks)
            if again.any():
                found[again], ok[again] = self._decoder.decode(caution * words[again], iterations // 2)
                bits, good = segmentation.joined(found[:, : self.plan.used], self.plan)
        return bits, good & llr.any(axis=1)

    @cached_property
    def _decoder(self) -> LayeredDecoder:
        z = self.plan.lifting
        return LayeredDecoder(self._base, z, RULE, certain=slice(self.plan.used, self.plan.k))

    def _combined(self, llr: np.ndarray) -> np.ndarray:
        """LLRs of code blocks (B, E) → of whole words (B, n): 0 where none was sent, sums of repetitions."""
        n = self._base.shape[1] * self.plan.lifting
        whole = np.zeros((len(llr), n), np.float32)
        places, first = np.unique(self._order, return_index=True)
        whole[:, places] = llr[:, first]
        if len(places) < len(self._order):
            again = np.delete(np.arange(len(self._order)), first)
            np.add.at(whole, (slice(None), self._order[again]), llr[:, again])
        return whole


@lru_cache(maxsize=64)
def block_code(payload: int, sent: int, bits_per_symbol: int, redundancy_version: int = 0) -> BlockCode:
    """The code of these sizes. Raises HscError for sizes that do not go together."""
    return BlockCode(payload, sent, bits_per_symbol, redundancy_version)


def code_words(blocks: np.ndarray, plan: Segments, base: np.ndarray) -> np.ndarray:
    """Code blocks, uint8 (B, K'), → whole words with filler bits and punctured columns, uint8 (n, B), of the
    columns that `base` has.
    """
    z, systematic = plan.lifting, plan.k // plan.lifting
    packed = np.packbits(blocks.T, axis=1)  # eight words to a byte
    words = np.zeros((base.shape[1], z, packed.shape[1]), np.uint8)
    words.reshape(-1, packed.shape[1])[: plan.used] = packed

    def check(row: int, columns: np.ndarray) -> np.ndarray:
        """Sum of the bits of these columns in each of the row's Z checks: check r has bit (r + P) mod Z."""
        total = np.zeros_like(words[0])
        for column in columns:
            total ^= np.roll(words[column], -base[row, column], axis=0)
        return total

    # In the sum of the four core rows two of the three entries of the first parity column cancel.
    total = np.zeros_like(words[0])
    for row in range(CORE):
        total ^= check(row, np.flatnonzero(base[row, :systematic] >= 0))
    shifts = base[:CORE, systematic][base[:CORE, systematic] >= 0]
    odd = next(shift for shift in shifts if np.count_nonzero(shifts == shift) % 2)
    words[systematic] = np.roll(total, odd, axis=0)
    # Each further column is the last unknown of one row: of core rows 0 to 2, then of all behind the core.
    solved = systematic + 1
    for row in (*range(CORE - 1), *range(CORE, len(base))):
        parity = solved + row - (row >= CORE)
        words[parity] = check(row, np.flatnonzero(base[row, :parity] >= 0))
    return np.unpackbits(words.reshape(-1, packed.shape[1]), axis=1, count=len(blocks))
