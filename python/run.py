"""Runs a module, or a Python file, with `gnuradio.hsc` from this source tree, without an installation:

    python3 python/run.py MODULE-OR-FILE [ARGUMENTS]

Without GNU Radio an empty package takes its place: all that needs none of its blocks works.
"""

import runpy
import sys
from pathlib import Path
from types import ModuleType

SOURCE = Path(__file__).resolve().parent


def attach() -> None:
    """Let `gnuradio.hsc` be the package beside this file. Call it before that is imported."""
    try:
        import gnuradio
    except ImportError:
        gnuradio = sys.modules["gnuradio"] = ModuleType("gnuradio")
        gnuradio.__path__ = []
    # a namespace, as where this package alone is installed, takes no further folder
    gnuradio.__path__ = [str(SOURCE), *gnuradio.__path__]


def main() -> None:
    """Run sys.argv[1] as Python itself would, with the arguments behind it."""
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    attach()
    sys.argv = sys.argv[1:]
    if Path(sys.argv[0]).is_file():
        runpy.run_path(sys.argv[0], run_name="__main__")
    else:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
