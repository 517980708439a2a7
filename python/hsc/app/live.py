"""Flowgraphs that run until they end, somebody asks them to, or time is up: signals, one live line, an end
that is bounded in time.
"""

from __future__ import annotations

import importlib
import math
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, NoReturn, Protocol

from rich.console import Console
from rich.live import Live
from rich.text import Text

from ..errors import HscError
from ..files import printable
from .group import EXIT_INTERRUPTED

# Between two looks at whether a flowgraph has ended, and two drawings of its status [s].
POLL = 0.1
# Longest that what has arrived already may take to be decoded and written [s]: after a limit that was asked
# for, nothing of it shall be lost, even if a codec has to load its weights first; after a signal somebody
# waits, and with STOP the end comes within 2 s.
PATIENCE, DRAIN = 60.0, 0.8
# Longest that a flowgraph may take to end [s]; a radio's driver or a codec may be busy for longer.
STOP = 0.8
# Longest that a flowgraph which has nothing more to do may take to end by itself [s].
BY_ITSELF = 0.2
# After this the same reason is told again [s].
AGAIN = 60.0
# Reasons that are remembered at most.
_REASONS = 100
# Lines that wait to be printed at most.
_WAITING = 1000
# Longest that the last of them may take to be printed at the end [s].
_LAST_LINES = 1.0
# Between two drawings of the live line [s].
_REFRESH = 0.25
# Between two status lines where there is no terminal [s].
_PLAIN_EVERY = 5.0
_has_run = threading.Event()


@contextmanager
def gnuradio_needed(otherwise: str = "") -> Iterator[None]:
    """Around imports of GNU Radio and of blocks: an HscError of one line where it is not installed, which
    ends with what to do `otherwise`.
    """
    try:
        yield
    except ImportError as missing:  # of a module, or of a name from a package that holds this one alone
        name = f"{missing.name}."
        if not name.startswith(("gnuradio.", "pmt.")) or name.startswith("gnuradio.hsc."):
            raise
        raise HscError(
            f"GNU Radio is not installed: run ./gr-hsc of a checkout, which installs it{otherwise}"
        ) from None


def need_gnuradio() -> None:
    """Raises HscError of one line where GNU Radio is not installed."""
    with gnuradio_needed():
        importlib.import_module("gnuradio.gr")


class Display:
    """Lines of text, and below them on a terminal one that is drawn anew; elsewhere that one is printed now
    and then, when it has changed.

    A thread prints, so that nobody waits for a terminal that is paused or a pipe that is full: what finds
    _WAITING lines before it is left out, and counted.

    Args:
        console: where to write; stdout when None.
        every: least time between two status lines where there is no terminal [s].
    """

    def __init__(self, console: Console | None = None, every: float = _PLAIN_EVERY) -> None:
        self._console = console or Console(highlight=False, markup=False, soft_wrap=True)
        self._live = (
            Live(console=self._console, auto_refresh=False, transient=True)
            if self._console.is_terminal
            else None
        )
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._left_out, self._newest = 0, Text("")
        self._printer = threading.Thread(target=self._print, name="display", daemon=True)
        self._told: dict[str, float] = {}
        self._every, self._next = every, time.monotonic() + every
        self._last = ""

    def __enter__(self) -> Display:
        self._printer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.put(None)
        self._printer.join(_LAST_LINES)

    def _print(self) -> None:
        with self._live or nullcontext():
            while (text := self._next_line()) is not None:
                if text:
                    self._console.print(text)
                    self._console.file.flush()
                if self._live:
                    self._live.update(self._newest, refresh=True)
        if self._left_out:
            self._console.print(f"gr-hsc: {self._left_out} lines were not printed: nobody took them in time")

    def _next_line(self) -> str | None:
        """None at the end; empty when it is time to draw the live line anew."""
        try:
            return self._lines.get(timeout=_REFRESH if self._live else None)
        except queue.Empty:
            return ""

    def line(self, text: str) -> None:
        """Print one line. May be called from any thread."""
        if self._lines.qsize() < _WAITING:
            self._lines.put(printable(" ".join(text.split())))
        else:
            self._left_out += 1

    def complain(self, reason: str, subject: str = "") -> None:
        """Print what went wrong, once: the same reason is told again after AGAIN seconds at the earliest. May
        be called from any thread.
        """
        now = time.monotonic()
        if now < self._told.get(reason, 0):
            return
        if len(self._told) >= _REASONS:
            self._told.clear()
        self._told[reason] = now + AGAIN
        self.line(f"gr-hsc: {subject}{reason}")

    def status(self, text: str) -> None:
        """How things stand now."""
        if self._live:
            self._newest = Text(text, no_wrap=True, overflow="ellipsis")
        elif text != self._last and time.monotonic() >= self._next:
            self._last, self._next = text, time.monotonic() + self._every
            self.line(text)


class Flowgraph(Protocol):
    """What `run` needs of a `gr.top_block`."""

    def start(self) -> Any: ...

    def stop(self) -> Any: ...

    def wait(self) -> Any: ...


@contextmanager
def signals(handler: Callable[[], None]) -> Iterator[None]:
    """SIGINT, SIGTERM and SIGHUP call `handler` while this is entered. For the main thread."""
    # One who ignores SIGHUP, such as nohup, wants the program to outlive its terminal.
    numbers = [
        signal.SIGINT,
        signal.SIGTERM,
        *([signal.SIGHUP] if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN else []),
    ]
    before = {number: signal.signal(number, lambda *_: handler()) for number in numbers}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)


def interrupted() -> None:
    """End the process at once: what a signal does while a program is still loading, or when it comes a second
    time.
    """
    print("gr-hsc: interrupted", file=sys.stderr, flush=True)
    os._exit(EXIT_INTERRUPTED)


def run(
    flowgraph: Flowgraph,
    show: Callable[[], None],
    ended: threading.Event | None = None,
    seconds: float | None = None,
    drain: Callable[[], threading.Event] | None = None,
    pause: Callable[[float], bool] | None = None,
) -> None:
    """Start a flowgraph; stop it when it has ended by itself, `ended` is set, a signal comes, or `seconds`
    have passed.

    Args:
        flowgraph: not yet started.
        show: called ten times a second.
        ended: set by the flowgraph when it has nothing more to do.
        seconds: limit by the wall clock, None for none.
        drain: called before it is stopped: asks for what has arrived already, and gives the event that tells
            it is done.
        pause: lets the seconds between two calls of `show` pass, such as a window that has to live meanwhile;
            False when its user wants the end.

    A flowgraph that does not stop within STOP seconds, because a driver or a codec is busy, is left behind.

    Raises:
        HscError: it cannot be started.
    """
    _has_run.set()
    limit = math.inf if seconds is None else time.monotonic() + seconds
    ended = ended or threading.Event()
    over, asked = threading.Event(), threading.Event()

    def meanwhile(awaited: threading.Event) -> None:
        if pause is None:
            awaited.wait(POLL)
        elif not pause(POLL):
            asked.set()
        show()

    with signals(lambda: interrupted() if asked.is_set() else asked.set()):
        try:
            flowgraph.start()
        except RuntimeError as error:
            raise HscError(f"the flowgraph does not start: {error}") from error
        threading.Thread(target=_watch, args=(flowgraph, over), name="wait", daemon=True).start()
        try:
            while not (over.is_set() or ended.is_set() or asked.is_set() or time.monotonic() >= limit):
                meanwhile(ended)
            if drain is not None and not over.is_set():
                _drain(drain(), over, asked, meanwhile)
        finally:
            # GNU Radio interrupts the threads of blocks while `wait` joins them; boost's threads that end
            # just then are not safe against that, and the process dies.
            if not over.wait(BY_ITSELF if ended.is_set() else 0):
                threading.Thread(target=flowgraph.stop, name="stop", daemon=True).start()
            if not over.wait(STOP):
                print(
                    "gr-hsc: a radio's driver or a codec is still busy; ended without waiting for it",
                    file=sys.stderr,
                    flush=True,
                )


def _drain(
    done: threading.Event,
    over: threading.Event,
    asked: threading.Event,
    meanwhile: Callable[[threading.Event], None],
) -> None:
    """Wait until what has arrived is written."""
    begun = time.monotonic()
    while not (done.is_set() or over.is_set()):
        waited = time.monotonic() - begun
        if waited >= PATIENCE:
            print(
                f"gr-hsc: a codec was not done after {PATIENCE:.0f} s: what it had still to decode is lost",
                file=sys.stderr,
                flush=True,
            )
            return
        if asked.is_set() and waited >= DRAIN:
            return
        meanwhile(done)


def _watch(flowgraph: Flowgraph, over: threading.Event) -> None:
    flowgraph.wait()
    over.set()


def leave(status: int) -> NoReturn:
    """End the program, whose streams are flushed: one that has run a flowgraph without the interpreter's
    clean-up.

    That takes 0.7 s of a core for torch and GNU Radio, and never ends where a thread hangs in a driver.
    """
    if _has_run.is_set():
        os._exit(status)
    sys.exit(status)
