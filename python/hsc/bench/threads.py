"""CPU time of a flowgraph's threads, by the stage of the link that their blocks belong to."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

# Threads of a flowgraph carry the names of their blocks and a number, cut to 15 characters.
STAGES = {
    "encoder": ("Message Encode",),
    "transmitter": ("OFDM Transmitt",),
    "receiver": ("OFDM Receiver",),
    "decoder": ("Message Decode",),
    "radios": ("Radio S", "Listener", "throttle", "pub_sink", "ZMQbg", "multiply_const"),
}
REST = "channel and the rest"
_TICK = os.sysconf("SC_CLK_TCK")  # of the times in /proc [1/s]

ThreadTimes = Mapping[int, tuple[str, float]]


def thread_times(pid: int | str = "self") -> dict[int, tuple[str, float]]:
    """Thread id → name and CPU time [s] of a process's threads, from /proc."""
    times = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            stat = (task / "stat").read_text()
        except OSError:  # it has ended meanwhile
            continue
        name, fields = stat[stat.index("(") + 1 : stat.rindex(")")], stat[stat.rindex(")") + 2 :].split()
        times[int(task.name)] = name, (int(fields[11]) + int(fields[12])) / _TICK
    return times


def stage_of(name: str) -> str:
    """Which stage a thread of that name belongs to."""
    return next((stage for stage, begins in STAGES.items() if name.startswith(begins)), REST)


def stage_shares(before: ThreadTimes, after: ThreadTimes, seconds: float) -> dict[str, float]:
    """CPU time of each stage over wall time, between two results of `thread_times`."""
    shares = dict.fromkeys((*STAGES, REST), 0.0)
    for task, (name, cpu) in after.items():
        shares[stage_of(name)] += (cpu - before.get(task, (name, 0.0))[1]) / seconds
    return shares
