"""Names of the output files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import HscError
from ..files import label, stem


@dataclass(frozen=True)
class OutputPaths:
    """Where the received image and its comparison with the original are written."""

    received: Path
    compare: Path


def output_paths(sources: Iterable[Path], folder: Path) -> Iterator[OutputPaths]:
    """Output files for each input, in order: inputs of the same stem get `-2`, `-3`, … so that none
    overwrites another; a long stem is cut.

    Raises:
        HscError: an output would overwrite an input.
    """
    sources = list(sources)
    inputs = {os.path.realpath(p) for p in sources}
    taken: set[str] = set()
    for source in sources:
        own = next(s for s in _candidates(stem(source.stem)) if not taken & set(_names(s)))
        taken.update(_names(own))
        paths = OutputPaths(*(folder / name for name in (f"{own}.png", f"{own}_compare.png")))
        for path in (paths.received, paths.compare):
            if os.path.realpath(path) in inputs:
                raise HscError(
                    f"{label(path)} is an input and would be overwritten: choose another folder with --out"
                )
        yield paths


def _candidates(own: str) -> Iterator[str]:
    yield own
    number = 2
    while True:
        yield f"{own}-{number}"
        number += 1


def _names(own: str) -> tuple[str, str]:
    return f"{own}.png".casefold(), f"{own}_compare.png".casefold()
