"""Names of the output files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import HscError


@dataclass(frozen=True)
class OutputPaths:
    """Where the received image and its comparison with the original are written."""

    received: Path
    compare: Path


def output_paths(sources: Iterable[Path], folder: Path) -> Iterator[OutputPaths]:
    """Output files for each input, in order: inputs of the same stem get `-2`, `-3`, … so that none overwrites another.

    Raises:
        HscError: an output would overwrite an input.
    """
    sources = list(sources)
    inputs = {p.resolve() for p in sources}
    taken: set[str] = set()
    for source in sources:
        stem = next(s for s in _candidates(source.stem) if not taken & set(_names(s)))
        taken.update(_names(stem))
        paths = OutputPaths(*(folder / name for name in (f"{stem}.png", f"{stem}_compare.png")))
        for path in (paths.received, paths.compare):
            if path.resolve() in inputs:
                raise HscError(f"{path} is an input and would be overwritten: choose another folder with --out")
        yield paths


def _candidates(stem: str) -> Iterator[str]:
    yield stem
    number = 2
    while True:
        yield f"{stem}-{number}"
        number += 1


def _names(stem: str) -> tuple[str, str]:
    return f"{stem}.png".casefold(), f"{stem}_compare.png".casefold()
