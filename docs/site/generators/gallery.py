"""The gallery: every flowgraph of examples/ with its screenshots, what it shows and how to run it.

The words are those of examples/README.md and of the flowgraphs themselves.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from . import ROOT
from .markdown import escaped, fenced

FOLDER = ROOT / "examples"
IMAGES = ROOT / "docs" / "images"
_INTRO = """# Flowgraphs

The examples that open in GNU Radio Companion: each flowgraph, and its window while it runs. The command opens
it, the button with the triangle runs it. [Installation](installation.md) says what they need; no radio,
unless the text names one. There are two examples in Python besides:
[hsc_headless.py](source/examples/hsc_headless.py.md), the link without a window, and
[the notebook](tutorial.md), which needs no GNU Radio.
"""


@dataclass(frozen=True)
class Flowgraph:
    """A flowgraph.

    Attributes:
        name: of its file, without .grc.
        title, description: as the flowgraph has them.
        shows: Markdown, what examples/README.md says of it.
        pictures: (file in docs/images, what it is).
    """

    name: str
    title: str
    description: str
    shows: str
    pictures: tuple[tuple[str, str], ...]


def flowgraphs() -> list[Flowgraph]:
    """All, in the order of examples/README.md. Raises KeyError where it says nothing of one."""
    said = _said()
    order = list(said)
    found = [_flowgraph(path, said) for path in FOLDER.glob("*.grc")]
    return sorted(found, key=lambda each: order.index(f"{each.name}.grc"))


def _said() -> dict[str, str]:
    """What the table of examples/README.md says, by file."""
    rows = re.findall(r"^\| (`.+?) \| (.+) \|$", (FOLDER / "README.md").read_text(encoding="utf-8"), re.M)
    return {file: text for files, text in rows for file in re.findall(r"`([^`]+)`", files)}


def _flowgraph(path: Path, said: dict[str, str]) -> Flowgraph:
    options = yaml.safe_load(path.read_text(encoding="utf-8"))["options"]["parameters"]
    kinds = (
        (f"grc_{path.stem}.png", "in GNU Radio Companion"),
        (f"{path.stem}_gui.jpg", "while it runs"),
    )
    return Flowgraph(
        path.stem,
        options["title"],
        " ".join(options["description"].split()),
        said[path.name],
        tuple((name, what) for name, what in kinds if (IMAGES / name).is_file()),
    )


def page() -> str:
    """The page, Markdown."""
    return _INTRO + "".join(map(_section, flowgraphs()))


def _section(graph: Flowgraph) -> str:
    pictures = (f"![{graph.name}.grc {what}](images/{file})\n" for file, what in graph.pictures)
    return "\n".join(
        [
            f"\n## {graph.title}\n",
            f"{escaped(graph.description)}. `{graph.name}.grc`: {graph.shows}.\n",
            fenced(f"./gr-hsc companion examples/{graph.name}.grc", "sh"),
            *pictures,
        ]
    )
