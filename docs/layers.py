"""Draws docs/images/layers.png from the imports in the source: packages by layer, arrows from who imports.

./gr-hsc python docs/layers.py
"""

import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import matplotlib

matplotlib.use("Agg")
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from support import ROOT
from support.layers import LAYERS, MODULES, imports, top

# What each box says. Layers are drawn from the top; the vocabulary is one box, a room of systems/ another.
TEXTS = {
    "app": "app\ncommands only",
    "bench": "bench\nbenchmarks, long runs",
    "blocks": "blocks\nPDUs, generic blocks",
    "evaluation": "evaluation\nplans, sweeps, drawing",
    "training": "training\nthe loop, export",
    "radio": "radio\naddresses, SigMF",
    "modem": "modem, symbol_link\nmessage to symbols",
    "codecs": "codecs\ncontract, registry",
    "coding": "coding\nsource and erasure codes",
    "nn": "nn\nshared layers",
    "images": "images\nfiles, data sets",
    "weights": "weights",
    "phy": "phy\nthe air interface",
    "vocabulary": "message, errors, metrics, paths, channel, files, …\nvocabulary",
}
COLOURS = ("#eceff1", "#e3f2fd", "#e8f5e9", "#fff8e1", "#fbe9e7", "#f3e5f5", "#e0f2f1", "#ede7f6", "#fce4ec")


def box_of(module: str) -> str:
    """The box that a module is drawn in."""
    package = top(module)
    if package == "systems":
        return "/".join(module.split(".")[:2])
    if package in LAYERS[0]:
        return "vocabulary"
    return "modem" if package == "symbol_link" else package


def rows() -> list[list[str]]:
    """Boxes of each layer, from the top."""
    found = [list(dict.fromkeys(box_of(name) for name in layer)) for layer in reversed(LAYERS)]
    rooms = sorted({box_of(name) for name in MODULES if name.count(".") and top(name) == "systems"})
    return [rooms if row == ["systems"] else row for row in found]


def arrows() -> Counter[tuple[str, str]]:
    """How many imports lead from one box to another."""
    pairs = ((box_of(name), box_of(target)) for name in MODULES for target in imports(name))
    return Counter((a, b) for a, b in pairs if a != b and b != "vocabulary" and "systems" not in (a, b))


def draw(path: Path) -> None:
    """Write the picture."""
    figure = Figure(figsize=(11, 10.5), layout="constrained")
    axes = figure.subplots()
    axes.set(xlim=(0, 11), ylim=(0, 10.4))
    axes.axis("off")
    places: dict[str, tuple[float, float, int]] = {}
    for depth, row in enumerate(rows()):
        width = min(2.35, 9.6 / len(row) - 0.25) if row != ["vocabulary"] else 5.5
        for i, name in enumerate(row):
            centre = 5.5 + (i - (len(row) - 1) / 2) * (width + 0.35), 9.8 - depth * 1.16
            places[name] = (*centre, depth)
            corner = centre[0] - width / 2, centre[1] - 0.3
            face = COLOURS[depth % len(COLOURS)]
            shape = FancyBboxPatch(
                corner, width, 0.6, boxstyle="round,pad=0.04", fc=face, ec="#455a64", zorder=3
            )
            axes.add_patch(shape)
            axes.text(*centre, TEXTS.get(name, name), ha="center", va="center", fontsize=8.5, zorder=4)
    for (source, target), count in arrows().items():
        (x0, y0, depth0), (x1, y1, depth1) = places[source], places[target]
        ends = ((x0, y0 - 0.34), (x1, y1 + 0.34)) if depth1 > depth0 else ((x0, y0 + 0.34), (x1, y1 - 0.34))
        if depth0 == depth1:
            ends = (x0, y0 - 0.34), (x1, y1 - 0.34)
        wrong = depth1 < depth0
        bend = 0.0 if depth1 - depth0 == 1 else 0.12 * (1 if x1 >= x0 else -1)
        style = {"color": "#d32f2f" if wrong else "#607d8b", "alpha": 1.0 if wrong else 0.45, "zorder": 2}
        line = min(0.5 + count / 12, 2.5)
        rad = 0.5 if depth0 == depth1 else bend
        curve = f"arc3,rad={rad}"
        axes.add_patch(
            FancyArrowPatch(
                *ends, arrowstyle="-|>", mutation_scale=8, lw=line, connectionstyle=curve, **style
            )
        )
    axes.text(
        0.1,
        0.05,
        "An arrow: imports; thicker: more of them. The vocabulary is imported by all, and not drawn.",
        fontsize=8,
        color="#455a64",
    )
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    draw(ROOT / "docs" / "images" / "layers.png")
