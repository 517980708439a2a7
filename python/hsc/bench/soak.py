"""What a soak found: the account of packets, and memory against time. Pure; the processes are in app/soak.py."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from ..errors import HscError

SETTLE = 300.0  # memory is compared with its value after so long [s], or half way in a shorter soak
WINDOW = 60.0  # s
LIMIT = 0.05  # growth of memory


@dataclass(frozen=True)
class Account:
    """Where the packets went.

    Attributes:
        messages_sent, packets_sent: what the transmitter counted.
        messages_received: those of which a packet came.
        packets_received: of these messages.
        packets_lost: of these messages, as the receiver counted.
        messages_lost: those of which nothing came, by the gaps in their ids.
        packets_of_lost: of these.
    """

    messages_sent: int
    packets_sent: int
    messages_received: int
    packets_received: int
    packets_lost: int
    messages_lost: int
    packets_of_lost: int

    @property
    def unaccounted(self) -> int:
        """Packets sent that are neither received nor counted as lost; below zero for packets counted twice."""
        return self.packets_sent - self.packets_received - self.packets_lost - self.packets_of_lost


def account(entries: Sequence[Mapping], messages_sent: int, packets_sent: int) -> Account:
    """Account of one image sent over and over, so that every message has the same number of packets.

    Args:
        entries: lines of received.jsonl: message_id, packets, packets_received.
        messages_sent, packets_sent: as the transmitter counted.

    Raises:
        HscError: nothing was received.
    """
    known = [entry for entry in entries if entry["packets"]]
    if not known:
        raise HscError("soak: nothing was received")
    each = Counter(entry["packets"] for entry in known).most_common(1)[0][0]
    missing = max(0, messages_sent - len(known))
    return Account(
        messages_sent=messages_sent,
        packets_sent=packets_sent,
        messages_received=len(known),
        packets_received=sum(entry["packets_received"] for entry in known),
        packets_lost=sum(entry["packets"] - entry["packets_received"] for entry in known),
        messages_lost=missing,
        packets_of_lost=missing * each,
    )


def gaps(ids: Sequence[int]) -> int:
    """Message ids left out between the first and the last one of a sequence that counts up modulo 65536, each
    once.
    """
    return sum((later - earlier) % (1 << 16) - 1 for earlier, later in zip(ids, ids[1:], strict=False))


def growth(times: Sequence[float], memory: Sequence[float]) -> float:
    """Largest growth of memory over its value after SETTLE seconds, or half way when that is sooner.

    Values are medians over WINDOW seconds: a reading in the middle of a codec's work holds what it is about
    to give back.

    Raises HscError when there are fewer than three readings.
    """
    if len(times) < 3:
        raise HscError("soak: too short to say anything of memory, give more --minutes")
    settled = min(SETTLE, (times[0] + times[-1]) / 2)
    windows: dict[int, list[float]] = {}
    for at, value in zip(times, memory, strict=True):
        if at >= settled:
            windows.setdefault(int((at - settled) // WINDOW), []).append(value)
    first, *later = (median(values) for _, values in sorted(windows.items()))
    return max(later, default=first) / first - 1
