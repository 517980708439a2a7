"""GNU Radio's own programs, run by the Python that runs this one: GNU Radio Companion starts flowgraphs with
the Python that runs it.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from typing import NoReturn

from ..errors import HscError


def become(program: str, arguments: Sequence[str]) -> NoReturn:
    """Run `program` of GNU Radio, a Python script on PATH, in the place of this process.

    Raises HscError of one line where it is not installed.
    """
    path = shutil.which(program)
    if path is None:
        raise HscError(f"{program} is not on PATH: install GNU Radio with its flowgraph editor")
    os.execv(sys.executable, [sys.executable, path, *arguments])
