"""A link watched for long, what is measured: the account of packets, and memory against time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from ..errors import HscError

# Memory is compared with its value after so long [s], or half way in a shorter soak: caches are full then.
SETTLE = 300.0
# Memory is a median over so long [s].
WINDOW = 60.0
# Growth of memory that is a problem. Chosen by trial: an hour without a leak stays below a third of it.
LIMIT = 0.05
# Message ids, as the packet header counts them.
_IDS = 1 << 16


@dataclass(frozen=True)
class Soak:
    """What to do.

    Attributes:
        minutes: how long images are sent.
        sample_rate: [samples/s].
        codec: of the images.
        image: what is sent, over and over; None for an example.
        interval: least time between two images [s].
        drop: share of time in which the channel loses the signal.
    """

    minutes: float
    sample_rate: float = 1e6
    codec: str = "hsc"
    image: Path | None = None
    interval: float = 1.0
    drop: float = 0.0

    @property
    def messages(self) -> int:
        """Images to be sent."""
        return max(2, round(self.minutes * 60 / self.interval))


@dataclass(frozen=True)
class Memory:
    """Readings of memory. `times`: of the readings [s]; `series`: process → bytes at these times, 0 when it
    has ended.
    """

    times: list[float]
    series: dict[str, list[int]]

    def whole(self) -> Memory:
        """The readings at which every process was there: the last one may find a process that is ending."""
        there = [i for i in range(len(self.times)) if all(series[i] for series in self.series.values())]
        series = {name: [values[i] for i in there] for name, values in self.series.items()}
        return Memory([self.times[i] for i in there], series)


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
        """Packets sent that are neither received nor counted as lost; below zero where some count twice."""
        return self.packets_sent - self.packets_received - self.packets_lost - self.packets_of_lost


@dataclass(frozen=True)
class Finding:
    """What came of a soak.

    Attributes:
        settings: what was done.
        seconds: from the first image to the end of the transmitter.
        times: of the readings of memory [s].
        memory: process → bytes at these times.
        growth: process → share.
        account: of packets.
        gap: messages of which nothing came, by the gaps between the ids of others.
        problems: one line each.
    """

    settings: Soak
    seconds: float
    times: list[float]
    memory: dict[str, list[int]]
    growth: dict[str, float]
    account: Account
    gap: int
    problems: list[str]


def account(entries: Sequence[Mapping], messages_sent: int, packets_sent: int) -> Account:
    """Account of one image sent over and over, so that every message has the same number of packets.

    Args:
        entries: of received.jsonl: message_id, packets, packets_received.
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
    return sum((later - earlier) % _IDS - 1 for earlier, later in zip(ids, ids[1:], strict=False))


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


def judge(
    soak: Soak,
    seconds: float,
    memory: Memory,
    entries: Sequence[Mapping],
    sent: tuple[int, int],
    statuses: Mapping[str, int],
    last: str,
) -> Finding:
    """What was measured → what it says.

    Args:
        soak: what was done.
        seconds: how long.
        memory: of the processes.
        entries: of received.jsonl: message_id, packets, packets_received.
        sent: messages and packets, as the transmitter counted.
        statuses: process → exit status.
        last: line that the receiver printed at its end.

    Raises:
        HscError: nothing was received, or it was too short to say anything of memory.
    """
    memory = memory.whole()
    grown = {name: growth(memory.times, series) for name, series in memory.series.items()}
    books, gap = account(entries, *sent), gaps([entry["message_id"] for entry in entries])
    problems = [f"memory of {name} grew by {share:.1%}" for name, share in grown.items() if share > LIMIT]
    problems += [f"{name} ended with status {status}" for name, status in statuses.items() if status]
    if books.unaccounted:
        share = f"{books.unaccounted} packets of {books.packets_sent}"
        problems.append(f"{share} are unaccounted for; rx: {last}")
    return Finding(soak, seconds, memory.times, memory.series, grown, books, gap, problems)
