"""Messages that have left a receiver, so that their late packets are not taken for those of a new one."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from .header import Header

# A packet more samples than these from the last one of a message that has left is of another message with the
# same layout, of a transmitter that was restarted: four seconds at 1 MS/s.
MEMORY = 1 << 22
# So many are known, and no more.
_MOST = 16


@dataclass
class Departed:
    """The layouts of the last few messages that have left, and where in the sample stream each ended."""

    _ends: OrderedDict[Header, int] = field(default_factory=OrderedDict)

    def add(self, layout: Header, sample_index: int) -> None:
        """A message has left whose newest packet began at `sample_index`."""
        self._ends[layout] = sample_index
        if len(self._ends) > _MOST:
            self._ends.popitem(last=False)

    def holds(self, layout: Header, sample_index: int) -> bool:
        """Whether a packet is of a message that has left. Where it is of a later one with the same layout,
        the former is forgotten.
        """
        if layout not in self._ends:
            return False
        if abs(sample_index - self._ends[layout]) <= MEMORY:
            return True
        del self._ends[layout]
        return False

    def clear(self) -> None:
        """Nothing has left: the sample clock begins again."""
        self._ends.clear()
