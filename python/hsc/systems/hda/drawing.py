"""Drawings of the HDA-DeepSC evaluation: one colour for a system in all of them, the paper's numbers beside
ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...errors import HscError
from ...evaluation import curves as files
from ...evaluation.curves import Curves, Series
from ...evaluation.drawing import COLOURS, column, of_codecs, panels, qualities

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

PAPERS = Path(__file__).parent / "papers"  # the numbers that the paper prints, in the form of our results
# Beside the codecs' own colours, by beginning of a label.
OTHERS = {"separate JPEG2000": "#7f7f7f", "HEVC at capacity": "#000000"}


def paper(name: str) -> list[Series]:
    """The numbers that the paper prints for a figure or table; none when it prints none."""
    try:
        return files.load(name, PAPERS).series
    except HscError:
        return []


def curves(found: Curves, groups: Sequence[str] = ("",), logarithmic: bool = False) -> Drawing:
    """PSNR and MS-SSIM of ours and of the paper's; `groups` and `logarithmic` as in `drawing.qualities`."""
    return qualities(found, groups, logarithmic, {**of_codecs(), **OTHERS}, paper(found.name))


def bars(found: Curves, key: str, label: str) -> Drawing:
    """One bar for each series, its mean; the paper's are hatched."""
    series = [*found.series, *paper(found.name)]
    figure, (axis,) = panels(1, width=7.0, height=0.5 * len(series) + 1.4)
    for place, s in enumerate(series):
        value = float(np.mean(column(s, key) or [0.0]))
        ours = s.source == "measured"
        axis.barh(
            place, value, color=COLOURS[0] if ours else "white", edgecolor="black", hatch="" if ours else "//"
        )
        axis.text(value, place, f" {value:.3g}", va="center", fontsize=8)
    names = [s.name + ("" if s.source == "measured" else " (paper)") for s in series]
    axis.set_yticks(range(len(series)), names, fontsize=8)
    axis.invert_yaxis()
    axis.set_xlabel(label)
    axis.margins(x=0.12)
    return figure
