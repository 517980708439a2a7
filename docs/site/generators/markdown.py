"""Small pieces of Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

_MARKUP = re.compile(r"[\\*_<\[\]|{}$~#]")
_FENCE = re.compile(r" {0,3}(`{3,}|:{3,})")


def escaped(text: str) -> str:
    """Plain text as Markdown that shows it: nothing in it is markup, but `code` between backticks."""
    parts = re.split(r"(`[^`]+`)", text)
    return "".join(
        part if part.startswith("`") else re.sub(r"([\\*_<\[\]|{}$~#])", r"\\\1", part) for part in parts
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are Markdown already, but for lines between them and `|` in code."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(_cell(cell) for cell in line) + " |\n" for line in lines)


def _cell(text: str) -> str:
    return re.sub(r"(?<!\\)\|", r"\\|", " ".join(text.split()))


def fenced(code: str, language: str) -> str:
    """Code between fences that are longer than any within it."""
    longest = max((len(found) for found in re.findall(r"`{3,}", code)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{code.rstrip()}\n{fence}\n"


def prose(text: str) -> Iterator[tuple[str, bool]]:
    """Lines of a page with their ends, and whether each is prose: not in a fence, nor one."""
    fence = ""
    for line in text.splitlines(keepends=True):
        found = _FENCE.match(line)
        if fence:
            yield line, False
            if found and line.strip() == found[1] and found[1].startswith(fence):
                fence = ""
        else:
            fence = found[1] if found else ""
            yield line, not fence
