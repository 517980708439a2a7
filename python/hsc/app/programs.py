"""GNU Radio's own programs, run by the Python that runs this one: GNU Radio Companion starts flowgraphs with
the Python that runs it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from typing import NoReturn

from ..errors import HscError

# Programs that open a window, and arguments with which they do not.
_WINDOWS = ("gnuradio-companion",)
_QUESTIONS = {"-h", "--help", "--version"}
# GTK, which GNU Radio Companion opens its window with; a display that is named may still not be there.
_TRY = """
import gi
gi.require_version("Gtk", "3.0")
from gi.repository import Gtk
exit(not Gtk.init_check()[0])
"""


def _displayed() -> bool:
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    tried = subprocess.run([sys.executable, "-c", _TRY], capture_output=True, check=False)
    return b"Traceback" in tried.stderr or tried.returncode == 0  # without GTK the program itself says so


def become(program: str, arguments: Sequence[str]) -> NoReturn:
    """Run `program` of GNU Radio, a Python script on PATH, in the place of this process.

    Raises HscError of one line where it is not installed, or has no display to open a window on.
    """
    path = shutil.which(program)
    if path is None:
        raise HscError(f"{program} is not on PATH: install GNU Radio with its flowgraph editor")
    if program in _WINDOWS and not _QUESTIONS.intersection(arguments) and not _displayed():
        raise HscError(f"{program} opens a window, and there is no display: run it on a desktop, or use grcc")
    os.execv(sys.executable, [sys.executable, path, *arguments])
