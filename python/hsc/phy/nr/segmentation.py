"""Base graph and lifting size of a transport block, and its code blocks (3GPP TS 38.212, clauses 5.2.2, 7.2.1
and 7.2.2).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...errors import HscError
from ..crc import CRC16, CRC24A, CRC24B, Crc
from .graphs import LARGEST_LIFTING, LIFTING_SIZES, base_graph

# Longest code block of each base graph [bits].
LARGEST_BLOCK = {1: 8448, 2: 3840}
# Longest transport block that has 16 check bits, and that any base graph may carry [bits].
SHORT = 3824


@dataclass(frozen=True)
class Segments:
    """How a transport block is cut.

    Attributes:
        graph: number of the base graph.
        payload: A, bits of the transport block without its CRC.
        crc: CRC of the transport block.
        blocks: C, code blocks; each has a CRC24B of its own where there are several.
        used: K', bits of each code block that are sent: information, check bits, zeros that fill up the last.
        lifting: Z.
    """

    graph: int
    payload: int
    crc: Crc
    blocks: int
    used: int
    lifting: int

    @property
    def k(self) -> int:
        """K, information bits of the code: K' and filler bits that are 0 and not sent."""
        return base_graph(self.graph).systematic * self.lifting


def graph_of(payload: int, rate: float) -> int:
    """The base graph of a transport block of `payload` bits (A) at a code rate R, clause 7.2.2."""
    return 2 if payload <= 292 or rate <= 0.25 or (payload <= SHORT and rate <= 0.67) else 1


def crc_of(payload: int) -> Crc:
    """The CRC of a transport block of `payload` bits, clause 7.2.1."""
    return CRC24A if payload > SHORT else CRC16


def segments(payload: int, graph: int) -> Segments:
    """Cut a transport block of `payload` bits, clause 5.2.2. Raises HscError for fewer than one bit."""
    if payload < 1:
        raise HscError(f"a transport block has at least one bit, not {payload}")
    crc = crc_of(payload)
    total, largest = payload + crc.length, LARGEST_BLOCK[graph]
    blocks = 1 if total <= largest else -(-total // (largest - CRC24B.length))
    used = -(-(total + (blocks > 1) * blocks * CRC24B.length) // blocks)
    columns = _columns(graph, total)
    lifting = next(size for size in LIFTING_SIZES if columns * size >= used)
    assert lifting <= LARGEST_LIFTING
    return Segments(graph, payload, crc, blocks, used, lifting)


def _columns(graph: int, total: int) -> int:
    """K_b: columns that hold information."""
    if graph == 1:
        return 22
    return 10 if total > 640 else 9 if total > 560 else 8 if total > 192 else 6


def cut(bits: np.ndarray, plan: Segments) -> np.ndarray:
    """Transport blocks, uint8 (B, A) → code blocks with all check bits, uint8 (B · C, K'), those of one
    transport block after each other.
    """
    whole = plan.crc.attached(bits)
    if plan.blocks == 1:
        return whole
    inner = plan.used - CRC24B.length
    # The sizes of transport blocks in TS 38.214 are cut without a rest; any other is filled up with zeros.
    whole = np.pad(whole, ((0, 0), (0, plan.blocks * inner - whole.shape[1])))
    return CRC24B.attached(whole.reshape(-1, inner))


def joined(blocks: np.ndarray, plan: Segments) -> tuple[np.ndarray, np.ndarray]:
    """Decoded code blocks, uint8 (B · C, K') → transport blocks, uint8 (B, A), and bool (B,): every check
    holds.
    """
    good = np.ones(len(blocks) // plan.blocks, bool)
    if plan.blocks > 1:
        good = CRC24B.holds(blocks).reshape(-1, plan.blocks).all(axis=1)
        blocks = blocks[:, : -CRC24B.length].reshape(len(good), -1)
    whole = blocks[:, : plan.payload + plan.crc.length]
    return whole[:, : plan.payload], good & plan.crc.holds(whole)
