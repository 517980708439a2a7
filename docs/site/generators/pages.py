"""Every page of the site, and where the files of the repository are on it."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from . import ROOT, api, block_pages, blocks, figures, gallery, notebook
from .links import moved
from .markdown import escaped, fenced

# What a page holds, by its path on the site: text, bytes, or the file that it is a copy of.
Pages = dict[str, str | bytes | Path]

_IMAGES = (".png", ".jpg", ".svg")
_LANGUAGES = {".py": "python", ".sh": "sh", ".toml": "toml", ".yml": "yaml", ".json": "json"}


def documents() -> dict[str, str]:
    """Markdown of the repository that is a page: path there → path on the site."""
    found = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md")}
    found |= {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs" / "systems").glob("*.md")}
    return {
        "README.md": "index.md",
        "CONTRIBUTING.md": "contributing.md",
        "CHANGELOG.md": "changelog.md",
        **{file: file.removeprefix("docs/") for file in sorted(found)},
    }


_NOTEBOOK = "examples/tutorial.ipynb"
# Generated pages that stand for files or folders.
_INSTEAD = {
    "examples": "flowgraphs.md",
    "examples/README.md": "flowgraphs.md",
    _NOTEBOOK: "tutorial.md",
    "grc": "blocks/index.md",
    "python/hsc": "api/index.rst",
}


class Places:
    """Where files of the repository are on the site. A file that is no page gets one when it is linked to."""

    def __init__(self) -> None:
        self._known = {**documents(), **_INSTEAD}
        self.linked: set[str] = set()

    def of(self, file: str) -> str:
        """Path on the site of a file or folder. Raises KeyError where there is no such file."""
        if file in self._known:
            return self._known[file]
        if not (ROOT / file).exists():
            raise KeyError(f"{file} is not in the repository")
        if file.startswith("docs/images/") and file.endswith(_IMAGES):
            return file.removeprefix("docs/")
        self.linked.add(file)
        return f"source/{file}.md"


def pages(packages: Collection[str] | None = None) -> Pages:
    """All pages by their path on the site; of the Python API some packages alone where they are named.

    Raises KeyError for a link to a file that there is not.
    """
    places = Places()
    found: Pages = {place: moved(_text(file), file, place, places.of) for file, place in documents().items()}
    found["index.md"] = f"{found['index.md']}\n{_text('docs/site/index.md')}"
    found |= notebook.pages(
        _text(_NOTEBOOK),
        _INSTEAD[_NOTEBOOK],
        lambda text: moved(text, _NOTEBOOK, _INSTEAD[_NOTEBOOK], places.of),
    )
    found |= block_pages.pages(blocks.read_all())
    found |= {"flowgraphs.md": gallery.page(), "figures.md": figures.page()}
    found |= api.pages(packages)
    found |= {places.of(file): _source(ROOT / file) for file in sorted(places.linked)}
    images = (path for path in sorted((ROOT / "docs" / "images").iterdir()) if path.suffix in _IMAGES)
    return found | {f"images/{path.name}": path for path in images}


def _text(file: str) -> str:
    return (ROOT / file).read_text(encoding="utf-8")


def _source(path: Path) -> str:
    """A file as it is, or the names of the files in a folder."""
    title = f"---\norphan: true\n---\n\n# {escaped(path.relative_to(ROOT).as_posix())}\n\n"
    if path.is_dir():
        return title + "".join(f"- `{each.name}`\n" for each in sorted(path.iterdir()))
    text = path.read_text(encoding="utf-8")
    return title + fenced(re.sub(r"\t", "    ", text), _LANGUAGES.get(path.suffix, "text"))
