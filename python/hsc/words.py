"""Words for lines that people read."""

from __future__ import annotations


def counted(count: int, name: str) -> str:
    """ "1 packet", "2 packets"."""
    return f"{count} {name}" if count == 1 else f"{count} {name}s"
