"""The page of figures: each figure of a paper as we measured it, the paper's numbers beside ours.

Numbers come from the result files and from the papers' (systems/*/papers), what a figure shows from the table
in docs/results.md, which discusses them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from . import ROOT
from .markdown import escaped, table

PACKAGE = ROOT / "python" / "hsc"
RESULTS = PACKAGE / "evaluation" / "results"
IMAGES = ROOT / "docs" / "images"
PAPERS = {
    "hsc": ("HSC", "systems/hsc.md"),
    "hda": ("HDA-DeepSC", "systems/hda.md"),
    "lrisc": ("LRISC", "systems/lrisc.md"),
    "ds2c2": ("DS²C²", "systems/ds2c2.md"),
}
# A paper's series → ours of another name that it stands beside.
_CALLED = {
    ("hda-fig4", "hda_deepsc, DA 0.2"): "hda_deepsc, AMC",
    ("hda-fig6", "hda_deepsc, DA 0.2"): "hda_deepsc, AMC",
    ("hda-table1", "DDPM"): "DDPM, decoder not told of the noise",
    ("hda-table1", "DiffSDNet"): "DiffSDNet, decoder not told of the noise",
    ("hda-table4", "HDA-DeepSC (CPU)"): "hda_deepsc",
    ("hda-table4", "BPG (CPU)"): "HEVC intra",
}
# Findings of a paper → what is compared, and ours that stands beside it. hsc-fig4 holds the paper's itself.
_FINDINGS = {
    ("hsc-fig4", "paper: MSE lower by NCR [%]"): (
        "MSE lower than plain by NCR, mean over k > 0 [%]",
        "ncr against plain: MSE lower by, mean over k > 0 [%]",
    ),
    ("hda-fig3", "DiffSDNet over DnCNN [dB]"): (
        "DiffSDNet over DnCNN; ours at 0 dB, decoder not told of the noise [dB]",
        "DiffSDNet, decoder not told of the noise over DnCNN, decoder not told of the noise at 0 dB [dB]",
    ),
    ("hda-table3", "least difference of the two [dB]"): (
        "least difference with the key and without; ours of any one photograph [dB]",
        "least difference of one image [dB]",
    ),
}
_INTRO = """# Figures

The papers' figures and tables as this module measures them, and some of our own. Where a paper prints
numbers they stand beside ours; curves without numbers are not read off. [Results](results.md) says how
each is measured, and where a claim does not reproduce. Every picture and number comes from a JSON file
that the command named makes.
"""


def page() -> str:
    """The page, Markdown."""
    text = _INTRO
    for system, (title, document) in PAPERS.items():
        sections = [_section(name, shown) for name, shown in planned() if name.startswith(f"{system}-")]
        text += f"\n## {title}\n\nThe system: [{title}]({document}).\n" + "".join(sections)
    return text


def planned() -> list[tuple[str, str]]:
    """Name of every figure that there is or shall be, and what it shows, as docs/results.md lists them."""
    text = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    return re.findall(r"^\| `([a-z0-9-]+)` \| (.+?) \| [^|]+ \|$", text, re.M)


def _section(name: str, shown: str) -> str:
    ours, paper = _read(RESULTS / f"{name}.json"), papers().get(name)
    parts = [f"\n### {name}\n", f"{shown[0].upper()}{shown[1:]}.\n"]
    if ours is None:
        parts.append("Not measured yet.\n")
    else:
        parts += [f"{escaped(ours['description'])}\n", f"`{ours['command']}`\n"]
        pictures = (IMAGES / f"{name}{kind}.png" for kind in ("", "-pictures"))
        parts += [f"![{name}]({_place(picture)})\n" for picture in pictures if picture.is_file()]
    rows = list(_beside(name, paper, ours))
    if rows:
        parts.append(table(("", "paper", "ours"), rows))
    if paper is not None:
        parts.append(f"Paper: {escaped(paper['description'])}\n")
    return "\n".join(parts)


def _place(picture: Path) -> str:
    return picture.relative_to(ROOT / "docs").as_posix()


def papers() -> dict[str, dict]:
    """What the papers print, by the name of the figure, in the form of our results."""
    files = sorted(PACKAGE.glob("systems/*/papers/*.json"))
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in files}


def _read(path: Path) -> dict | None:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _beside(name: str, paper: Mapping | None, ours: Mapping | None) -> Iterator[tuple[str, str, str]]:
    """What, the paper's number, ours; a dash where we have none."""
    measured = {series["name"]: series for series in (ours or {"series": ()})["series"]}
    for series in (paper or {"series": ()})["series"]:
        own = measured.get(_CALLED.get((name, series["name"]), series["name"]))
        x = series["x"]
        digits = {further: _digits(values) for further, values in _columns(series).items()}
        for place, value, further in _points(series):
            mine = _value_at(own, place, further) if own else None
            where = "" if len(x["values"]) == 1 and x["name"] == "pixels" else f", {x['name']} {place:g}"
            what = f"{series['name']}{where}: {further or series['y']['name']} [{_unit(series, further)}]"
            numbers = (_fixed(each, digits[further]) for each in (value, mine))
            yield escaped(what.replace(" []", "")), *numbers
    for finding, theirs in ({} if paper is None else paper["findings"]).items():
        if (name, finding) not in _FINDINGS:
            yield escaped(finding), f"{theirs:g}", "–"
    for (figure, finding), (what, own) in _FINDINGS.items():
        if figure == name:
            theirs = (paper or ours)["findings"][finding]
            yield escaped(what), f"{theirs:g}", _fixed(ours["findings"][own], _digits([theirs]))


def _columns(series: Mapping) -> dict[str, list[float]]:
    """What a paper prints of a series, by the name of the further column, or "" for y itself."""
    return {"": series["y"]["values"], **series["also"]}


def _points(series: Mapping) -> Iterator[tuple[float, float, str]]:
    """(x, value, column) of everything that a paper prints of a series."""
    for index, place in enumerate(series["x"]["values"]):
        for further, values in _columns(series).items():
            yield place, values[index], further


def _value_at(series: Mapping, place: float, further: str) -> float | None:
    values = series["also"].get(further) if further else series["y"]["values"]
    found = [i for i, x in enumerate(series["x"]["values"]) if abs(x - place) <= 1e-4 * max(1.0, abs(place))]
    return values[found[0]] if values and found else None


def _unit(series: Mapping, further: str) -> str:
    if not further:
        return series["y"]["unit"]
    return "dB" if further.endswith("_db") else ""


def _digits(values: Sequence[float]) -> int:
    """How many digits behind the point numbers are printed with."""
    return max(len(f"{value:g}".partition(".")[2]) for value in values)


def _fixed(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
