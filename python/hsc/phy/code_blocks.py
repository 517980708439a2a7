"""What an MCS makes of the blocks of a digital stream: code blocks of one LDPC codeword each, with a CRC.

A *block* is the unit that streams are counted in: some bytes in some symbols. With 802.11ad each is a code
block of its own. With 5G NR up to sixteen of them lie in one code block, as long codes need less SNR, and are
received or lost together.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import astuple, dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np

from . import crc, interleaver, ldpc
from .crc import CRC24A
from .mcs import Mcs
from .nr.code import BlockCode, block_code
from .nr.segmentation import LARGEST_BLOCK, SHORT, crc_of, graph_of

# Bits of the CRC of an 802.11ad block.
_WIGIG_CRC_BITS = 16
# Most channel uses of a code block of 5G NR: one fits a packet of the usual length. Its most payload bits, of
# either base graph: longest code block less its CRC.
_NR_SYMBOLS = 4096
_NR_BITS = {1: LARGEST_BLOCK[1] - CRC24A.length, 2: SHORT}
# Blocks in such a code block: at least so many, and of about so many bits, which a repair symbol has too.
_NR_BLOCKS, _NR_BLOCK_BITS = 8, 500
# Code blocks that a stream of 5G NR lies in, where each then has so many blocks at least: of a short stream
# not all is lost together. Eight of two blocks, as one alone would need half a decibel more; sixteen of as
# many as a full code block has at least.
_NR_COUNTS = ((8, 2), (16, _NR_BLOCKS))
# How far an MCS's threshold stays below an SNR that is known, where nothing else is asked [dB]; and with
# whole code blocks of 5G NR, which end to fail within less: with those of 8000 bits or more, and with others.
# Through OFDM, with offsets of carrier and clock, 2 of 1600 of the former were lost 0.3 dB above their
# thresholds, 2 of 400 of the latter 0.4 dB above theirs.
MARGIN_DB = 1.0
_NR_LONG_BITS, _NR_LONG_MARGIN_DB, _NR_MARGIN_DB = 8000, 0.3, 0.4
# What half the length costs [dB]: measured, 0.15 to 0.3 dB of threshold, and a slower fall of the losses.
_NR_HALVING_DB = 0.25


@dataclass(frozen=True)
class Account:
    """What the coded bits of a code block are: information, check bits of the CRC, spare bits, and the rest.

    Attributes:
        data, crc, padding, fec: bits.
    """

    data: int
    crc: int
    padding: int
    fec: int

    def __add__(self, other: Account) -> Account:
        return Account(*(mine + its for mine, its in zip(astuple(self), astuple(other), strict=True)))

    def __mul__(self, count: int) -> Account:
        return Account(*(count * mine for mine in astuple(self)))


class CodeBlocks(ABC):
    """The code blocks of one MCS.

    Attributes:
        block_bytes, block_symbols: of a block.
        most: blocks in a code block, at most.
        exact: whether the decoder is worth exact LLRs.
        iterations: of the decoder, at most, where nothing else is asked.
    """

    block_bytes: int
    block_symbols: int
    most: int
    exact = False
    iterations = 30

    def count(self, blocks: int) -> int:
        """Code blocks that so many blocks lie in: as few as possible."""
        return -(-blocks // self.most)

    def bounds(self, blocks: int, which: np.ndarray | int) -> np.ndarray | int:
        """The first blocks of these code blocks, of `count` of them as equally long as possible, long ones
        first.
        """
        length, longer = divmod(blocks, max(self.count(blocks), 1))
        return which * length + np.minimum(which, longer)

    def margin_db(self, blocks: int) -> float:
        """How far the threshold should stay below an SNR that is known, for so many blocks [dB]."""
        return MARGIN_DB

    @abstractmethod
    def account(self, blocks: int) -> Account:
        """Of a code block of so many blocks."""

    @abstractmethod
    def encode(self, payload: np.ndarray) -> np.ndarray:
        """Payload of code blocks of equal length, uint8 (B, blocks · block_bytes) → bits as they are sent,
        uint8 0/1 (B, n).
        """

    @abstractmethod
    def decode(self, llr: np.ndarray, iterations: int) -> tuple[np.ndarray, np.ndarray]:
        """LLRs, float32 (B, n) → payload, uint8 (B, bytes), and bool (B,): every check holds."""


class WigigBlocks(CodeBlocks):
    """802.11ad: information bits are the payload, zero bits up to the code's length (0 to 4 of them), and a
    CRC-16 of the payload in the last 16. The codeword is interleaved, so that the bits of one QAM symbol lie
    far apart in it.
    """

    most = 1

    def __init__(self, mcs: Mcs) -> None:
        self._code = ldpc.code(mcs.rate)
        self._order = interleaver.bit_permutation(ldpc.N, mcs.bits_per_symbol)
        self._back = interleaver.inverse(self._order)
        self.block_bytes = (self._code.k - _WIGIG_CRC_BITS) // 8
        self.block_symbols = ldpc.N // mcs.bits_per_symbol

    def account(self, blocks: int) -> Account:
        """As of `CodeBlocks`."""
        data, k = 8 * self.block_bytes, self._code.k
        return Account(data, _WIGIG_CRC_BITS, k - data - _WIGIG_CRC_BITS, ldpc.N - k)

    def encode(self, payload: np.ndarray) -> np.ndarray:
        """As of `CodeBlocks`."""
        bits = np.zeros((len(payload), self._code.k), dtype=np.uint8)
        bits[:, : payload.shape[1] * 8] = np.unpackbits(payload, axis=1)
        check = crc.crc16_rows(payload).astype(">u2").view(np.uint8).reshape(-1, 2)
        bits[:, -_WIGIG_CRC_BITS:] = np.unpackbits(check, axis=1)
        return self._code.encode(bits)[:, self._order]

    def decode(self, llr: np.ndarray, iterations: int) -> tuple[np.ndarray, np.ndarray]:
        """As of `CodeBlocks`."""
        bits, ok = self._code.decode(llr[:, self._back], iterations)
        payload = np.packbits(bits[:, : self.block_bytes * 8], axis=1)
        tail = bits[:, self.block_bytes * 8 :]
        check = np.packbits(tail[:, -_WIGIG_CRC_BITS:], axis=1).view(">u2").ravel()
        spare_zero = ~tail[:, :-_WIGIG_CRC_BITS].any(axis=1)
        return payload, ok & spare_zero & (check == crc.crc16_rows(payload))


class NrBlocks(CodeBlocks):
    """5G NR: a code block is a transport block of its own (3GPP TS 38.212, clauses 5.2 to 5.4), redundancy
    version 0. The bits of a symbol choose its real and its imaginary level in turns, the most reliable ones
    first (TS 38.211, clause 5.1), as the bit interleaver supposes.
    """

    exact = True  # a few tenths of a decibel with 16QAM and more, for a tenth of the decoder's time
    iterations = 50  # 0.05 to 0.1 dB against 30; what is decoded earlier takes no longer

    def __init__(self, mcs: Mcs) -> None:
        self._bits_per_symbol = mcs.bits_per_symbol
        order = np.arange(mcs.bits_per_symbol)
        self._in_turns = np.concatenate([order[::2], order[1::2]])
        bits_per_use = Fraction(mcs.rate) * mcs.bits_per_symbol
        most_bits = _longest(Fraction(mcs.rate), int(_NR_SYMBOLS * bits_per_use))
        self.most = max(_NR_BLOCKS, most_bits // _NR_BLOCK_BITS)
        self.block_bytes = most_bits // (8 * self.most)
        bits = 8 * self.block_bytes * self.most
        coded = Fraction(bits + crc_of(bits).length, self.most)
        self.block_symbols = -(-coded // bits_per_use)

    def count(self, blocks: int) -> int:
        """As of `CodeBlocks`; more of a short stream."""
        return max(super().count(blocks), *(min(most, blocks // least) for most, least in _NR_COUNTS))

    def margin_db(self, blocks: int) -> float:
        """As of `CodeBlocks`; less the longer the code blocks are."""
        longest = max(-(-blocks // max(self.count(blocks), 1)), 1)
        shorter = math.log2(self.most / longest)
        long = 8 * self.most * self.block_bytes >= _NR_LONG_BITS
        whole = _NR_LONG_MARGIN_DB if long else _NR_MARGIN_DB
        return whole + _NR_HALVING_DB * shorter

    def _code(self, n_bytes: int) -> BlockCode:
        symbols = n_bytes // self.block_bytes * self.block_symbols
        return block_code(8 * n_bytes, symbols * self._bits_per_symbol, self._bits_per_symbol)

    def account(self, blocks: int) -> Account:
        """As of `CodeBlocks`."""
        code = self._code(blocks * self.block_bytes)
        check = code.plan.used - code.payload
        return Account(code.payload, check, 0, code.sent - code.plan.used)

    def encode(self, payload: np.ndarray) -> np.ndarray:
        """As of `CodeBlocks`."""
        bits = self._code(payload.shape[1]).encode(np.unpackbits(payload, axis=1))
        symbols = bits.reshape(-1, self._bits_per_symbol)
        return symbols[:, self._in_turns].reshape(bits.shape)

    def decode(self, llr: np.ndarray, iterations: int) -> tuple[np.ndarray, np.ndarray]:
        """As of `CodeBlocks`."""
        blocks = llr.shape[1] // (self.block_symbols * self._bits_per_symbol)
        symbols = llr.reshape(-1, self._bits_per_symbol)
        in_order = symbols[:, np.argsort(self._in_turns)].reshape(llr.shape)
        bits, good = self._code(blocks * self.block_bytes).decode(in_order, iterations)
        return np.packbits(bits, axis=1), good


def _longest(rate: Fraction, most_bits: int) -> int:
    """Most payload bits of a code block of 5G NR where a packet holds so many. Where that is less than the
    longest of base graph 1, the longest of graph 2 needs 0.1 to 0.4 dB less SNR (measured).
    """
    fits = min(most_bits - CRC24A.length, _NR_BITS[1])
    shorter = min(fits, _NR_BITS[2])
    return shorter if fits < _NR_BITS[1] and graph_of(shorter, float(rate)) == 2 else fits


@lru_cache(maxsize=256)
def code_blocks(mcs: Mcs) -> CodeBlocks:
    """Those of an MCS."""
    return {"802.11ad": WigigBlocks, "nr": NrBlocks}[mcs.code](mcs)
