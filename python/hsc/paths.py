"""Where the files lie that come with the package. Standard library only: the doctor uses it where nothing
else works.
"""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
WEIGHTS = PACKAGE / "weights"


def by_pip() -> bool:
    """Whether `pip install` brought the package: the core, which works without GNU Radio."""
    return any(PACKAGE.parents[1].glob("gr_hsc-*.dist-info"))


def by_debian() -> bool:
    """Whether Debian's package brought it, with the libraries that it brings along."""
    return (PACKAGE / "_vendored.py").is_file()


def examples_folder() -> Path | None:
    """The examples: in the source tree, or where CMake or pip installed them under the package's prefix; pip
    has the sample images alone. None when there are none.
    """
    candidates = [PACKAGE.parents[1] / "examples"] if PACKAGE.parent.name == "python" else []
    candidates += [parent / "share/gnuradio/examples/hsc" for parent in PACKAGE.parents]
    return next((path for path in candidates if (path / "images").is_dir()), None)
