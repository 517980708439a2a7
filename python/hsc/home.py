"""A home folder that can be written to. Standard library only: the doctor uses it where nothing else works.

GNU Radio writes preferences below $HOME when the first flowgraph starts, and an exception ends the program
where it cannot. GNU Radio Companion and matplotlib write there too.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

# GNU Radio makes one after the other (gnuradio-runtime/lib/vmcircbuf_prefs.cc).
_PREFERENCES = (".gnuradio", ".gnuradio/prefs")


@lru_cache(maxsize=1)
def use_writable_home() -> str:
    """Set $HOME to a folder for temporary files of this user, unless preferences can be kept at home.

    Gives one line of text: the home folder, or where preferences are kept instead and why.
    """
    home = os.path.expanduser("~")  # without $HOME, that of the user
    try:
        _make_preferences(home)
    except OSError as error:
        with suppress(OSError):  # nowhere at all: GNU Radio will say so
            os.environ["HOME"] = _temporary_home()
            kept = os.environ["HOME"]
            return f"{home} cannot be written to ({error.strerror}): preferences are kept in {kept}"
    os.environ["HOME"] = home
    return home


def _make_preferences(home: str) -> None:
    for name in _PREFERENCES:
        Path(home, name).mkdir(exist_ok=True)


def _temporary_home() -> str:
    """The same for all processes of a user. Raises OSError when there is no folder for temporary files."""
    home = Path(tempfile.gettempdir(), f"gr-hsc-{os.getuid()}")
    home.mkdir(mode=0o700, exist_ok=True)
    # one of another user would let him write into ours
    if home.is_symlink() or home.stat().st_uid != os.getuid():
        home = Path(tempfile.mkdtemp(prefix="gr-hsc-"))
    _make_preferences(str(home))
    return str(home)


if __name__ == "__main__":
    use_writable_home()
    print(os.environ["HOME"])
