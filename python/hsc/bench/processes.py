"""Processes of this package, for benches: started from wherever it lies, their lines read as they come, their
memory told.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from ..errors import HscError
from ..paths import PACKAGE

_LINES = 100_000
_POLL = 0.05  # s
# PR_SET_PDEATHSIG: SIGTERM when the bench has been killed
_WITH_PARENT = "import ctypes; ctypes.CDLL(None).prctl(1, 15)"


class Process:
    """A Python process that runs `statement` with `arguments` as sys.argv[1:].

    Attributes:
        lines: what it has printed, the last _LINES lines.
        pid: of the process.
    """

    def __init__(self, name: str, statement: str, *arguments: str) -> None:
        # As a package of its own, not below gnuradio: so it is this very copy that runs, installed or not.
        program = f"{_WITH_PARENT}; import sys; sys.path.append({str(PACKAGE.parent)!r}); {statement}"
        self._child = subprocess.Popen(
            [sys.executable, "-c", program, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.name, self.pid, self.lines = name, self._child.pid, deque(maxlen=_LINES)
        self._reader = threading.Thread(target=self._read, name=f"lines of {name}", daemon=True)
        self._reader.start()

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self._child.kill()
        self._child.wait()
        self._reader.join(1.0)

    @classmethod
    def command(cls, name: str, *arguments: str) -> Process:
        """A command of gr-hsc."""
        return cls(name, "from hsc.app.__main__ import program; program()", name, *arguments)

    def _read(self) -> None:
        for line in self._child.stdout:
            self.lines.append(line.rstrip("\n"))

    @property
    def running(self) -> bool:
        """It has not ended."""
        return self._child.poll() is None

    def rss(self) -> int:
        """Resident memory [bytes]; 0 when it has ended."""
        try:
            return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except (OSError, IndexError):
            return 0

    def wait_for(self, condition: Callable[[], object], seconds: float) -> None:
        """Until the condition holds. Raises HscError when the process ends before, or it takes too long."""
        deadline = time.monotonic() + seconds
        while not condition():
            if not self.running or time.monotonic() > deadline:
                what = "ended" if not self.running else f"was not ready within {seconds:.0f} s"
                raise HscError(
                    f"bench: '{self.name}' {what}: {self.lines[-1] if self.lines else 'it printed nothing'}"
                )
            time.sleep(_POLL)

    def tell(self, line: str) -> None:
        """Write a line to its standard input."""
        self._child.stdin.write(line + "\n")
        self._child.stdin.flush()

    def end(self, seconds: float = 30.0) -> int:
        """Send SIGINT and wait; its exit status. Raises HscError when it does not end."""
        if self.running:
            self._child.send_signal(signal.SIGINT)
        try:
            status = self._child.wait(seconds)
        except subprocess.TimeoutExpired:
            raise HscError(f"bench: '{self.name}' did not end within {seconds:.0f} s of SIGINT") from None
        self._reader.join(5.0)
        return status
