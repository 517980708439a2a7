"""How many repair symbols a digital stream gets: as many as make up for the loss of what is lost as one.

A symbol has the payload of one block. Not blocks are lost but code blocks, which hold up to sixteen of them
with 5G NR, and packets, which hold several code blocks. The receiver is not told how many there are: what is
behind the data is repair symbols.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import bdtr

from ..errors import HscError
from ..message import Link
from ..phy import mcs as mcs_table
from ..phy.adaptation import loss_of
from ..phy.code_blocks import CodeBlocks, code_blocks
from ..phy.packets import DEFAULT_PACKET_SYMBOLS

# Largest share of repair symbols.
LARGEST_SHARE = 0.9
# Share where nothing is known of losses: packets are seldom lost on a link that works.
USUAL_SHARE = 0.1
# How often more packets may be lost than the repair symbols make up for, where the loss is known: at most, as
# `adaptation.repair_share` rounds losses up; mostly it is one time in a hundred.
_FAILURES = 0.02
# Largest share of the packets whose loss is made up for where it is known: of hardly any loss, how much more
# for each packet lost, and at most. More would cost more than it brings a stream that is the whole message
# and lies in two or three packets: some 3 dB for half of the bytes, where a lost image costs some 17 dB. So
# two packets are made to bear the loss of one when 11 % are lost, three when 5 % are.
_DEAREST, _DEAREST_PER_LOSS, _HALF = 0.22, 2.5, 0.5
# Repair symbols that take so little of the message's channel uses are always worth it.
_CHEAP = 0.05
# Streams that are planned again and again while a codec searches for what fits.
_REMEMBERED = 4096


def check_share(share: float | None) -> None:
    """Raises HscError for an option that is no share of repair symbols; None is left out."""
    if share is not None and not 0 <= share <= LARGEST_SHARE:
        raise HscError(f"the repair share is {share}: give 0 (none) to {LARGEST_SHARE}")


@dataclass(frozen=True)
class Protection:
    """What the repair symbols of a stream are for.

    Attributes:
        share: repair symbols over all symbols, at least, 0…0.9; and of the packets that hold some of them,
            how many may be lost: one from half a packet on. 0: no repair symbols at all.
        loss: probability that a packet is lost; 0 where it is not known, or none is.
        wanted: whether the share was asked for. Else a stream that lies in one code block of 5G NR gets no
            repair symbols: they would lie in the same one.
        mcs: of the stream; None: each symbol is lost by itself.
        uses: channel uses of the whole message. Its packets are taken to have the usual length.

    Raises:
        HscError: a share out of range.
    """

    share: float
    loss: float = 0.0
    wanted: bool = True
    mcs: str | None = None
    uses: int = 0

    def __post_init__(self) -> None:
        check_share(self.share)

    @classmethod
    def of(cls, own: float | None, link: Link, mcs: str, uses: int, usual: float = USUAL_SHARE) -> Protection:
        """That of a stream at an MCS in a message of so many channel uses: the share is the codec's own
        option, else what the link calls for, else the usual one.
        """
        if own is not None:
            return cls(own, 0.0, True, mcs, uses)
        if link.repair_share is not None:
            loss = loss_of(link.repair_share)
            return cls(link.repair_share, loss, loss > 0, mcs, uses)
        return cls(usual, 0.0, False, mcs, uses)

    def repair_symbols(self, source: int) -> int:
        """Repair symbols of so many source symbols.

        Their share of all is at least `share`, and they make up for any one code block. Of the packets they
        make up for `share` where the loss is not known; where it is, for as many as are lost in all but one
        of fifty messages, or as are worth it (`_DEAREST`): for none of two or three at a small loss.
        """
        return _repair_symbols(self, source)

    @property
    def form(self) -> CodeBlocks:
        """The code blocks of the MCS."""
        return code_blocks(mcs_table.by_name(self.mcs))

    @property
    def packets(self) -> int:
        """Of the message."""
        return max(1, -(-self.uses // DEFAULT_PACKET_SYMBOLS))

    def parts(self, symbols: int) -> np.ndarray:
        """Symbols in each packet that holds some of so many, int (n,), most first."""
        count = self.form.count(symbols)
        ends = self.form.bounds(symbols, count * np.arange(self.packets + 1) // self.packets)
        return np.sort(np.diff(ends))[::-1][: min(count, self.packets)]

    def longest(self, symbols: int) -> int:
        """Symbols of the longest code block of so many."""
        return -(-symbols // self.form.count(symbols))

    def lost(self, parts: np.ndarray) -> int:
        """How many of the packets that hold so many symbols, most first, the repair symbols make up for. Not
        for all of the message's; all that a short stream lies in asks for more symbols, in more packets.
        """
        packets = len(parts)
        if not self.loss:
            nearly = self.share * packets
            return min(max(int(nearly + 1e-9), int(nearly >= 0.5)), packets - 1)
        cheap = _CHEAP * self.uses / self.form.block_symbols
        worth = int(min(_DEAREST + _DEAREST_PER_LOSS * self.loss, _HALF) * packets)
        worth = max(worth, np.count_nonzero(np.cumsum(parts) <= cheap))
        return min(_lost(packets, 0, 1, self.loss), worth, packets - (packets == self.packets))


@lru_cache(maxsize=_REMEMBERED)
def _repair_symbols(wanted: Protection, source: int) -> int:
    least = _of_share(source, wanted.share)
    if not least or wanted.mcs is None:
        return least
    if not wanted.wanted and wanted.form.most > 1 and wanted.form.count(source) == 1:
        return 0
    # The receiver looks at no more symbols than these.
    most = max(_of_share(source, LARGEST_SHARE), least)
    found, needed = least, _needed(wanted, source + least)
    while found < min(needed, most):
        # Half of the way: with more of them code blocks may become shorter.
        found += max(1, (needed - found) // 2)
        needed = _needed(wanted, source + found)
    return min(found, most)


def _needed(wanted: Protection, symbols: int) -> int:
    """How many of so many symbols are lost with the longest code block, and with the packets that are made
    up for. Where some packets hold more code blocks than others not all that are lost are the longest.
    """
    parts, longest = wanted.parts(symbols), wanted.longest(symbols)
    lost = int(parts[: wanted.lost(parts)].sum())
    if wanted.loss:
        blocks, longer = divmod(wanted.form.count(symbols), len(parts))
        lost = min(lost, longest * _lost(len(parts) - longer, longer, blocks, wanted.loss))
    return max(longest, lost)


def _of_share(source: int, share: float) -> int:
    """Repair symbols R of K source symbols, so that R / (K + R) is at least the share."""
    return math.ceil(round(share * source / (1 - share), 9))


@lru_cache(maxsize=_REMEMBERED)
def _lost(packets: int, longer: int, blocks: int, loss: float) -> int:
    """How many code blocks are lost at most, but in one message of fifty, with packets that hold so many of
    them, and with `longer` that hold one more.
    """
    some, more = _binomial(packets, loss), _binomial(longer, loss)
    count = np.add.outer(blocks * np.arange(packets + 1), (blocks + 1) * np.arange(longer + 1))
    chance = np.bincount(count.ravel(), np.outer(some, more).ravel())
    return int(np.argmax(np.cumsum(chance) >= 1 - _FAILURES))


def _binomial(count: int, chance: float) -> np.ndarray:
    """Probabilities of 0…count successes, float (count + 1,)."""
    return np.diff(bdtr(np.arange(count + 1.0), count, chance), prepend=0.0)
