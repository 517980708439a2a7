"""Processes of this package, for benches: lines read as they come, memory told, none left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from ..errors import HscError
from ..paths import PACKAGE

# Longest that a process may need until it is ready or has done what is waited for [s]. Chosen by trial: torch
# and GNU Radio load slowly on a machine that is busy.
PATIENCE = 120.0
# Longest from SIGINT to the end of a process [s].
_END = 30.0
# Lines that are kept of a process: those of an hour of `bench link`, which prints four a second, seven times.
_LINES = 100_000
# Between two looks at a condition when no line comes [s].
_POLL = 0.05
# It is this very copy of the package that runs, from the source tree or installed. PR_SET_PDEATHSIG (1) gives
# the process SIGTERM (15) when the bench has been killed. SIGINT ends it even where the bench was started in
# the background of a script, which ignores SIGINT, and so would its children.
_PROGRAM = (
    "import ctypes, signal, sys, gnuradio; ctypes.CDLL(None).prctl(1, 15); "
    "signal.signal(signal.SIGINT, signal.default_int_handler); "
    f"gnuradio.__path__ = [{str(PACKAGE.parent)!r}, *gnuradio.__path__]; "
)
_COMMAND = "from gnuradio.hsc.app.__main__ import program; program()"


class Line(NamedTuple):
    """A line that a process has printed, and when it came [s, time.monotonic]."""

    time: float
    text: str


class Process:
    """A Python process in which `gnuradio.hsc` is this copy. On leaving its context it is killed.

    Args:
        name: what errors call it.
        statement: what it runs; `sys` is imported.
        arguments: its sys.argv[1:].
        environment: variables besides those of this process.

    Attributes:
        name: as above.
        child: the process.
    """

    def __init__(self, name: str, statement: str, *arguments: object, **environment: str) -> None:
        self.name = name
        self.child = subprocess.Popen(
            [sys.executable, "-P", "-c", _PROGRAM + statement, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **environment},
        )
        self._lines: deque[Line] = deque(maxlen=_LINES)
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, name=f"lines of {name}", daemon=True)
        self._reader.start()

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def _read(self) -> None:
        for text in self.child.stdout:
            with self._changed:
                self._lines.append(Line(time.monotonic(), text.rstrip()))
                self._changed.notify_all()

    @property
    def lines(self) -> list[Line]:
        """What it has printed, the last _LINES lines."""
        with self._changed:
            return list(self._lines)

    @property
    def last(self) -> str:
        """Its last line."""
        lines = self.lines
        return lines[-1].text if lines else "it printed nothing"

    @property
    def running(self) -> bool:
        """It has not ended."""
        return self.child.poll() is None

    def memory(self) -> int:
        """Resident memory [bytes]; 0 when it has ended."""
        try:
            pages = int(Path(f"/proc/{self.child.pid}/statm").read_text().split()[1])
        except (OSError, IndexError):
            return 0
        return pages * os.sysconf("SC_PAGE_SIZE")

    def times(self, text: str, after: float = 0.0) -> list[float]:
        """When the lines came that hold `text`, those after `after` [s, time.monotonic]."""
        return [line.time for line in self.lines if line.time > after and text in line.text]

    def when(self, text: str, after: float = 0.0, count: int = 1, seconds: float = PATIENCE) -> float:
        """Time of line number `count` of those after `after` that hold `text`, waited for. Raises HscError
        when it does not come.
        """
        self.wait_for(lambda: len(self.times(text, after)) >= count, seconds, f"did not say '{text}'")
        return self.times(text, after)[count - 1]

    def wait_for(
        self, condition: Callable[[], object], seconds: float = PATIENCE, otherwise: str = "was not ready"
    ) -> None:
        """Until the condition holds. Raises HscError when the process ends before, or it takes too long:
        `otherwise` says of it what it has not done.
        """
        deadline = time.monotonic() + seconds
        with self._changed:
            while not condition():
                if not self._reader.is_alive():
                    raise HscError(f"'{self.name}' {otherwise}, it has ended: {self.last}")
                if time.monotonic() > deadline:
                    raise HscError(f"'{self.name}' {otherwise} within {seconds:g} s: {self.last}")
                self._changed.wait(_POLL)

    def tell(self, line: str) -> None:
        """Write a line to its standard input."""
        self.child.stdin.write(line + "\n")
        self.child.stdin.flush()

    def wait(self, seconds: float = 10 * PATIENCE) -> None:
        """Until it has ended by itself. Raises HscError when it failed, or takes too long."""
        if status := self._status(seconds, "did not end"):
            raise HscError(f"'{self.name}' failed with status {status}: {self.last}")

    def end(self) -> int:
        """Send SIGINT and wait; its exit status. Raises HscError when it does not end."""
        if self.running:
            self.child.send_signal(signal.SIGINT)
        return self._status(_END, "did not end after SIGINT")

    def kill(self) -> None:
        """End it at once."""
        self.child.kill()
        self.child.wait()
        self._reader.join(1.0)  # not for ever: a process of its own may hold the pipe

    def _status(self, seconds: float, otherwise: str) -> int:
        """Exit status, waited for; after that all lines are there."""
        try:
            status = self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            raise HscError(f"'{self.name}' {otherwise} within {seconds:g} s: {self.last}") from None
        self._reader.join(1.0)
        return status


@contextmanager
def commands(**environment: str) -> Iterator[Callable[..., Process]]:
    """A function that starts a gr-hsc command, `start("rx", "--radio", address)`; what still runs at the end
    is killed. `environment`: variables for all of them.
    """
    with ExitStack() as running:

        def start(name: str, *arguments: object) -> Process:
            return running.enter_context(Process(name, _COMMAND, name, *arguments, **environment))

        yield start
