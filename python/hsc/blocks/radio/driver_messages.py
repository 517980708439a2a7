"""What drivers write to the standard error stream, counted: the only place where gr-soapy and UHD tell of a
lost sample.

gr-soapy writes `sO` for an overflow and `sU` for an underflow, UHD `O` and `U` (also `D`, `L`, `S`), without
an end of line, and neither has a counter (gr-soapy/lib/source_impl.cc, sink_impl.cc; UHD manual, "General
application notes"). While a radio runs, the file descriptor is a pipe; whatever is not such a mark goes on to
where it went before.
"""

from __future__ import annotations

import os
import re
import threading
from collections import Counter
from contextlib import suppress

# What each mark tells.
_KINDS = {b"O": "overruns", b"D": "overruns", b"U": "underruns", b"L": "underruns", b"S": "underruns"}
# Marks of gr-soapy, between other text too: two writes may come as one chunk.
_SOAPY = re.compile(rb"(?<![A-Za-z])(?:s[OU])+(?![A-Za-z])")
# Marks of UHD, too short to be told from text: only where a chunk is nothing else.
_UHD = re.compile(rb"[OUDLS]+")
_STDERR = 2


class DriverMessages:
    """Counts marks while it is held. Attributes: counts: `overruns`, `underruns`, since the process began."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._lock, self._holders = threading.Lock(), 0

    def hold(self) -> None:
        """Begin to count; as many `release` calls end it."""
        with self._lock:
            self._holders += 1
            if self._holders == 1:
                self._divert()

    def release(self) -> None:
        """Give the stream back when nobody holds it any more."""
        with self._lock:
            self._holders -= 1
            if self._holders == 0:
                self._restore()

    def _divert(self) -> None:
        self._original = os.dup(_STDERR)
        reading, writing = os.pipe()
        os.dup2(writing, _STDERR)
        os.close(writing)
        self._thread = threading.Thread(
            target=self._forward, args=(reading, self._original), name="driver messages", daemon=True
        )
        self._thread.start()

    def _restore(self) -> None:
        # Closes the pipe's last writing end, unless a child process has inherited it: then the thread stays,
        # and so does its copy.
        os.dup2(self._original, _STDERR)
        self._thread.join(0.5)

    def _forward(self, reading: int, original: int) -> None:
        with os.fdopen(reading, "rb", buffering=0) as stream:
            while chunk := stream.read(1 << 16):
                rest = self.take(chunk)
                # where nobody reads it any more, what drivers write must be taken from the pipe all the same
                with suppress(OSError):
                    while rest:
                        rest = rest[os.write(original, rest) :]
        os.close(original)

    def take(self, chunk: bytes) -> bytes:
        """Count the marks of a chunk of the stream; returns what has to be passed on."""
        if _UHD.fullmatch(chunk):
            self._add(chunk)
            return b""
        for marks in _SOAPY.findall(chunk):
            self._add(marks[1::2])
        return _SOAPY.sub(b"", chunk)

    def _add(self, letters: bytes) -> None:
        self.counts.update(_KINDS[letters[i : i + 1]] for i in range(len(letters)))


DRIVERS = DriverMessages()
