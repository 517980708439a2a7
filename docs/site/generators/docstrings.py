"""Docstrings as reStructuredText: they are plain text with `code` between backticks and Google's sections."""

from __future__ import annotations

import re
from collections.abc import Sequence

_CODE = re.compile(r"(``[^`]+``|`[^`]+`)")
_SECTION = re.compile(r"(Args|Attributes|Raises|Returns|Yields|Examples?|Notes?):$")
# Several attributes that are described together. Before a blank Sphinx would expect a type.
_NAMES = re.compile(r" {4}\w+(, \w+)+:")


def restructured(lines: Sequence[str]) -> list[str]:
    """The lines of a docstring, without its indentation, so that nothing in them is markup by accident.

    Sections are left to napoleon. Drawings and formulas, indented above any section, are shown as they are.
    """
    found: list[str] = []
    drawing, section = False, ""
    for line in lines:
        before = found[-1] if found else ""
        if begins := _SECTION.match(line):
            section = begins[1]
        indented = line.startswith("    ")
        if not section and indented and not before:
            if not drawing:
                found += ["::", ""]
            drawing = True
        drawing = drawing and (indented or not line)
        if not drawing and re.match(r" *- ", line) and before and not re.match(r" *- |  ", before):
            found.append("")
        if section == "Attributes" and _NAMES.match(line):
            line = line.replace(", ", ",", line.partition(":")[0].count(", "))
        found.append(line if drawing else _escaped(line))
    return found


def _escaped(line: str) -> str:
    parts = _CODE.split(line)
    return "".join(f"``{part.strip('`')}``" if _CODE.fullmatch(part) else _plain(part) for part in parts)


def _plain(text: str) -> str:
    # A trailing underscore would be a reference, as in x_; sections name *args and **options as they are.
    return re.sub(r"[*|\\]|_\b(?!\w)", r"\\\g<0>", text)
