"""Pages of the API reference, reStructuredText: a page for each package, its modules one below the other.

What stands on them autodoc takes from the docstrings.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from . import ROOT

PACKAGE = ROOT / "python" / "hsc"
FOLDER = "api"
NAME = "gnuradio.hsc"
# Packages by layer, from the bottom, as docs/architecture.md has them; "" are the modules beside them.
_ORDER = (
    *("", "phy", "coding", "nn", "images", "weights", "codecs", "refiner", "radio"),
    *("blocks", "evaluation", "training", "systems", "bench", "app"),
)
_VOCABULARY = "Vocabulary"
_INTRO = """
Everything below is in ``gnuradio.hsc``. Packages stand in the order of their layers, the lowest first.
What is not in ``blocks``, ``bench`` or ``app`` works without GNU Radio. Blocks are attributes of the
package itself, too: ``from gnuradio import hsc; hsc.ofdm_receiver()``.

.. toctree::
   :maxdepth: 1

"""


def modules() -> dict[str, list[str]]:
    """Dotted names inside the package by page: a package, or "" for what is in none; a system has a page."""
    found: dict[str, list[str]] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        if parts[-1] == "__main__" or parts == ("__init__",):
            continue
        is_package = parts[-1] == "__init__"
        name = parts[:-1] if is_package else parts
        depth = 2 if name[0] == "systems" else 1
        page = ".".join(name[:depth]) if is_package or len(name) > depth else ".".join(name[: depth - 1])
        found.setdefault(page, []).append(".".join(name))
    return dict(sorted(found.items(), key=lambda each: (_ORDER.index(each[0].partition(".")[0]), each[0])))


def pages(packages: Collection[str] | None = None) -> dict[str, str]:
    """Pages by their path on the site; of some packages alone where they are named."""
    chosen = {page: names for page, names in modules().items() if packages is None or page in packages}
    found = {f"{FOLDER}/{_file(page)}.rst": _page(page, names) for page, names in chosen.items()}
    text = _titled("Python API", "=") + _INTRO
    found[f"{FOLDER}/index.rst"] = text + "".join(f"   {_file(page)}\n" for page in chosen)
    return found


def _file(page: str) -> str:
    return page or _VOCABULARY.lower()


def _page(page: str, names: list[str]) -> str:
    parts = [_titled(page or _VOCABULARY, "=")]
    for name in names:
        if name != page:
            parts.append(_titled(name.removeprefix(f"{page}."), "-"))
        parts.append(f"``{_source(name)}``\n\n.. automodule:: {NAME}.{name}\n\n")
    return "".join(parts)


def _titled(text: str, line: str) -> str:
    return f"{text}\n{line * len(text)}\n\n"


def _source(name: str) -> str:
    """File of a module, from the top of the repository."""
    path = PACKAGE / name.replace(".", "/")
    file: Path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return file.relative_to(ROOT).as_posix()
