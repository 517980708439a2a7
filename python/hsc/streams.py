"""The standard streams of a command: whatever becomes of them, the work goes on and its files are written.

A stream that is closed is opened on /dev/null, so that no other file gets its number. One that can no
longer be written, because its reader has gone (`rx … | head -1`) or its disk is full, is turned to
/dev/null: that is said once on stderr, nothing more is printed, and the command goes on to its end.
What an encoding lacks is printed as "?"; a byte of a file name that is no text, as it is.
Standard library only: the doctor uses it where nothing else works.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import select
import sys
from collections.abc import Callable
from typing import TextIO

# Name of our error handler in `codecs`.
_ENCODE = "surrogateescape or replace"


class Streams:
    """Makes sys.stdin, sys.stdout and sys.stderr last as long as the process.

    To be made once, before anything is printed.
    """

    def __init__(self) -> None:
        for descriptor in (0, 1, 2):
            try:
                os.fstat(descriptor)
            except OSError:
                # gets this number, the lowest that is free
                os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
        if sys.stdin is None:
            sys.stdin = open(0, closefd=False)  # noqa: SIM115  for as long as the process lives
        self._stderr = sys.stderr = _text(_Lasting(2, lambda reason: None), sys.stderr, "backslashreplace")
        codecs.register_error(_ENCODE, _encode)
        self._stdout = sys.stdout = _text(_Lasting(1, self._tell), sys.stdout, _ENCODE)

    def _tell(self, reason: str) -> None:
        self._stderr.write(f"gr-hsc: standard output: {reason}; going on without printing\n")
        self._stderr.flush()

    def close(self, status: int) -> int:
        """Write out what is buffered. The exit status for `status`: 1 instead of 0 where output was lost.

        What a reader that has gone did not want is not lost.
        """
        lost = False
        for stream in (self._stdout, self._stderr):
            stream.flush()
            error = stream.buffer.raw.error
            lost = lost or (error is not None and error.errno != errno.EPIPE)
        return status or int(lost)


class _Lasting(io.FileIO):
    """A descriptor whose writing never fails.

    Attributes:
        error: why it was turned to /dev/null, None while it was not.
    """

    def __init__(self, descriptor: int, tell: Callable[[str], None]) -> None:
        super().__init__(descriptor, "wb", closefd=False)
        self.error: OSError | None = None
        self._tell = tell

    def write(self, data: bytes | memoryview) -> int:
        """Number of bytes that are done with. Waits where the descriptor is one that does not block."""
        try:
            while (written := super().write(data)) is None:
                select.select([], [self], [])
            return written
        except OSError as error:
            self._turn_away(error)
            return len(data)

    def _turn_away(self, error: OSError) -> None:
        self.error = error
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)
        self._tell("nobody reads it any more" if error.errno == errno.EPIPE else error.strerror)


def _encode(error: UnicodeError) -> tuple[str | bytes, int]:
    """An error handler of `codecs`, for characters that cannot be encoded."""
    try:
        return codecs.lookup_error("surrogateescape")(error)
    except UnicodeError:
        return codecs.lookup_error("replace")(error)


def _text(raw: _Lasting, former: TextIO | None, errors: str) -> TextIO:
    encoding = former.encoding if former else "utf-8"
    by_line = former is None or former.line_buffering or former.write_through
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding, errors, line_buffering=by_line)
