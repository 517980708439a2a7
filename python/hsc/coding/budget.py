"""What a link's budget and SNR allow: channel uses, the MCS, bytes. `within` holds every codec to its budget.

A codec makes a message for a number of channel uses and raises `TooFew` when they do not hold it; the least
CBR that does is found here, by making the message, and a message is measured before it leaves.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import ROUND_CEILING, Context

from ..errors import HscError
from ..message import Link, Message
from ..phy import analog, digital
from ..phy import mcs as mcs_table
from ..phy.code_blocks import MARGIN_DB
from . import erasure
from .protection import Protection

# CBR of an image where nothing else is asked for [channel uses / (C·H·W)]; usual in the field.
DEFAULT_CBR = 1 / 6
# Largest CBR. One pixel takes up to 10^4 channel uses: whole LDPC blocks, at the most robust MCS, with repair
# symbols.
LARGEST_CBR = 1e5
# SNR below which more than half of the packet headers are lost [dB]: an MCS that bears less is of no use.
HEADERS_DB = -2.5
# Four digits, rounded up: a CBR that is told must hold the image.
_UPWARDS = Context(prec=4, rounding=ROUND_CEILING)


class TooFew(HscError):
    """What is to be sent does not fit.

    Attributes:
        reason: what does not fit into how much.
        needed: the least that it may fit into: channel uses where a codec raises this, bytes where a source
            coder does.
    """

    def __init__(
        self, reason: str, needed: int, advice: str = "raise the CBR or the SNR, or send a smaller image"
    ) -> None:
        super().__init__(f"{reason}: {advice}")
        self.reason, self.needed = reason, needed


def within(
    link: Link, shape: tuple[int, int, int], make: Callable[[int], Message], usual: float = DEFAULT_CBR
) -> Message:
    """The message of an image (H, W, C) within the link's CBR; where it has none, within the usual one or the
    least that holds the image.

    Args:
        link, shape: say how many channel uses of payload there are.
        make: makes the message for so many channel uses at most. Raises TooFew when they do not hold it.
        usual: CBR where the link has none.

    Raises:
        HscError: the message does not fit. It names the least CBR with which `make` was seen to fit.
    """
    try:
        return _made(make, channel_uses(link, shape, usual))
    except TooFew as few:
        cbr, message = _least(make, few.needed, shape)
        if link.cbr is None:
            return message
        raise HscError(f"{few.reason}: raise the CBR to at least {cbr:g}") from None


def _least(make: Callable[[int], Message], needed: int, shape: tuple[int, int, int]) -> tuple[float, Message]:
    """The least CBR, to four digits, from `needed` channel uses on, and the message that it gives."""
    while True:
        cbr = least_cbr(needed, shape)
        if cbr > LARGEST_CBR:
            raise HscError("no CBR holds an image as small as this one: send a larger one")
        uses = channel_uses(Link(cbr=cbr), shape)
        try:
            return cbr, _made(make, uses)
        except TooFew as few:
            needed = max(few.needed, uses + 1)


def _made(make: Callable[[int], Message], uses: int) -> Message:
    if uses < 1:
        raise TooFew(f"the budget is {uses} channel uses", 1)
    message = make(uses)
    if (taken := spent(message)) > uses:
        raise TooFew(f"the message takes {taken} channel uses and the budget is {uses}", taken)
    return message


def spent(message: Message) -> int:
    """Complex channel uses of a message's payload: analog symbols and whole LDPC blocks."""
    values = 0 if message.analog is None else message.analog.size
    return analog.symbol_count(values) + sum(
        digital.symbol_count(len(stream.data), stream.mcs) for stream in message.digital
    )


def protected_uses(n_bytes: int, protection: Protection) -> int:
    """Channel uses of so many bytes of a digital stream with their RaptorQ repair symbols, one to an LDPC
    block. Raises HscError as `erasure.protected_bytes`.
    """
    size = digital.payload_bytes_per_block(protection.mcs)
    return digital.symbol_count(erasure.protected_bytes(n_bytes, protection, size), protection.mcs)


def least_cbr(uses: int, shape: tuple[int, int, int]) -> float:
    """The least CBR of four digits that gives an image (H, W, C) so many channel uses."""
    return float(_UPWARDS.divide(uses, shape[0] * shape[1] * shape[2]))


def channel_uses(link: Link, shape: tuple[int, int, int], usual: float = DEFAULT_CBR) -> int:
    """Complex channel uses of payload that the link's CBR, else the usual one, gives an image (H, W, C).
    HscError for a CBR of 0.
    """
    cbr = usual if link.cbr is None else link.cbr
    if not 0 < cbr <= LARGEST_CBR:
        raise HscError(
            f"the CBR is {cbr:g}: give a number above 0 and at most {LARGEST_CBR:g}, such as 0.1667"
        )
    return int(cbr * shape[0] * shape[1] * shape[2] * (1 + 1e-9))


def mcs(link: Link, margin_db: float | None = None, uses: float = 0.0) -> str:
    """The link's MCS; else the one of its code that carries most at its SNR less a margin [dB], of those that
    its reports and fades allow; else, the SNR being unknown, the robust one.

    Args:
        link: says what is known.
        margin_db: None for the one that the code needs.
        uses: channel uses that the stream will take, roughly: 5G NR needs less margin for a long one.
    """
    if margin_db is not None:
        return _chosen(link, margin_db).name
    careful = _chosen(link, MARGIN_DB)
    if mcs_table.code_of(link.mcs) != careful.code:
        return careful.name  # the SNR is below all that the code has
    return _chosen(link, digital.margin_db(uses, careful)).name


def _chosen(link: Link, margin_db: float) -> mcs_table.Mcs:
    return _allowed(mcs_table.chosen(link.mcs, link.snr_db, margin_db), link)


def _allowed(found: mcs_table.Mcs, link: Link) -> mcs_table.Mcs:
    """An MCS where the link names it or its reports and fades allow it; else the fastest of its code that
    they allow, or of 5G NR where its code has none.
    """
    most_db = _most_threshold_db(link)
    if link.mcs in mcs_table.TABLE or found.threshold_db <= most_db:
        return found
    within = mcs_table.best_for(most_db, 0.0, found.code)
    return within if within.threshold_db <= most_db else mcs_table.best_for(most_db, 0.0, "nr")


def _most_threshold_db(link: Link) -> float:
    """Largest threshold [dB] that a link's reports and fades allow; inf where neither is known."""
    reported = math.inf if link.most_threshold_db is None else link.most_threshold_db
    if link.snr_db is None or not link.fade_margin_db:
        return reported
    return min(reported, max(link.snr_db - link.fade_margin_db, HEADERS_DB))


def robust_mcs(link: Link) -> str:
    """The link's MCS, for what must get through at any SNR; where it has none, or a code alone, the robust
    one, or the fastest that its reports and fades allow where that is not.
    """
    return _allowed(mcs_table.chosen(link.mcs, None, 0.0), link).name


def bytes_in(uses: int, mcs_name: str) -> int:
    """Bytes that whole LDPC blocks carry in so many channel uses."""
    blocks = max(uses, 0) // digital.symbols_per_block(mcs_name)
    size = digital.payload_bytes_per_block(mcs_name)
    return min(blocks, (digital.LARGEST_STREAM - 1) // size) * size
