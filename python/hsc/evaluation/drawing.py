"""Drawing results, from result files and nothing else: colours, panels, quality against anything. No window
opens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .. import files, metrics
from ..codecs import registry
from ..errors import HscError
from .curves import Curves, Series
from .quality import LABELS, SHARES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf", "#8c564b", "#e377c2")
_DPI = 110  # pixels per inch of the PNG files, so that a panel of 6 inches is as wide as a column of text
_LINES, _MARKERS = ("-", "--", ":", "-."), "o^vDx"
# Panels of a row where groups have no rows of their own, so that a picture fits a page.
_PANELS = 3


def of_codecs() -> dict[str, str]:
    """Colours that codecs have in all figures, by name."""
    return {entry.name: entry.colour for entry in registry.entries() if entry.colour}


def save(drawing: Drawing, path: Path) -> Path:
    """Write a PNG file. Raises HscError when it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        drawing.savefig(path, dpi=_DPI)
    except OSError as error:
        raise HscError(
            f"cannot write {files.label(path)} ({error.strerror}): choose another folder with --out"
        ) from None
    return path


def panels(
    count: int, width: float = 6.0, height: float = 4.6, rows: int = 1, shared: bool = False
) -> tuple[Drawing, Sequence[Axes]]:
    """A figure of `count` panels of `width` x `height` inches in `rows` rows, and its axes in one list."""
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.use("Agg")
    columns = -(-count // rows)
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, sharey=shared, sharex=shared).ravel()


def column(series: Series, key: str) -> list[float] | None:
    """y of a series where that is its name, else the further column `key`; None when it has none."""
    return series.y.values if series.y.name == key else series.also.get(key)


def qualities(
    curves: Curves,
    groups: Sequence[str] = ("",),
    logarithmic: bool = False,
    colours: Mapping[str, str] | None = None,
    paper: Sequence[Series] = (),
    shown: Sequence[str] = ("psnr", "ms_ssim_db", *metrics.PERCEPTUAL),
    legend_below: bool = False,
    title: str = "",
) -> Drawing:
    """Qualities against x, a panel each.

    Args:
        curves: ours, filled and drawn through.
        groups: endings of labels; each has its own row of panels.
        logarithmic: x axis.
        colours: by beginning of a label; the longest decides. Others get the colours in turns.
        paper: numbers that the paper prints, drawn as hollow squares, dashed, in the first row.
        shown: columns, of `quality.LABELS`; what was not measured is left out.
        legend_below: the panels, where curves fill them, in place of inside the first.
        title: of the whole.
    """
    shown = [key for key in shown if any(column(s, key) is not None for s in curves.series)] or shown[:1]
    rows = len(groups) if len(groups) > 1 else -(-len(shown) // _PANELS)
    figure, axes = panels(len(groups) * len(shown), width=6.6, height=5.0, rows=rows)
    styles = _styles(
        [s.name.removesuffix(group) for group in groups for s in curves.series if s.name.endswith(group)],
        colours or {},
    )
    for row, group in enumerate(groups):
        ours = [s for s in curves.series if s.name.endswith(group)]
        printed = paper if row == 0 else ()
        for axis, key in zip(axes[row * len(shown) :], shown, strict=False):
            if ours and not any(column(series, key) is not None for series in ours):
                axis.set_axis_off()
                continue
            for series in ours:
                name = series.name.removesuffix(group)
                _plot(axis, series, key, name, styles[name])
            for series in printed:
                _plot_paper(axis, series, key)
            x = (ours or curves.series or paper)[0].x
            axis.set(
                xlabel=x.unit if x.unit != "" else x.name, ylabel=LABELS[key], title=group.removeprefix(", ")
            )
            if logarithmic:
                _logarithmic(axis, x.values)
            axis.grid(alpha=0.3, which="both")
    for empty in axes[len(groups) * len(shown) :]:
        empty.set_axis_off()
    if any(map(_lost, curves.series)):
        axes[0].plot([], [], "kx", label="no image: counted as mid-grey")
    if title:
        figure.suptitle(title)
    if legend_below:
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, fontsize=7, ncols=2, loc="outside lower center")
    else:
        axes[0].legend(fontsize=7, ncols=2 if len(curves.series) > 6 else 1)
    return figure


def _logarithmic(axis: Axes, values: Sequence[float]) -> None:
    """A logarithmic x axis with a tick at each value, small ones as fractions."""
    axis.set_xscale("log")
    axis.set_xticks(values, [str(Fraction(v).limit_denominator(48)) if v < 0.2 else f"{v:g}" for v in values])
    axis.minorticks_off()


def _styles(labels: Sequence[str], colours: Mapping[str, str]) -> dict[str, dict[str, object]]:
    """Colour by the beginning of a label, line and marker by how many labels before had that colour."""
    seen: dict[str, int] = {}
    found: dict[str, dict[str, object]] = {}
    for label in dict.fromkeys(labels):
        beginning = max((b for b in colours if label.startswith(b)), key=len, default=None)
        colour = COLOURS[len(found) % len(COLOURS)] if beginning is None else colours[beginning]
        variant = seen.get(colour, 0)
        seen[colour] = variant + 1
        line, marker = _LINES[variant % len(_LINES)], _MARKERS[variant % len(_MARKERS)]
        found[label] = {"color": colour, "linestyle": line, "marker": marker}
    return found


def _plot(axis: Axes, series: Series, key: str, label: str, style: dict[str, object]) -> None:
    if (values := column(series, key)) is None:
        return
    axis.plot(series.x.values, values, label=label, markersize=4, linewidth=1.5, **style)
    for i in _lost(series):
        axis.plot(series.x.values[i], values[i], marker="x", markersize=9, color=style["color"])
    width = series.confidence if key == series.y.name else series.also.get(f"{key}_confidence")
    if width is not None and len(values) > 1:
        band = np.array(values) + np.outer([-1, 1], width)
        low, high = band.clip(0, 1) if key in SHARES else band
        axis.fill_between(series.x.values, low, high, color=style["color"], alpha=0.08, linewidth=0)


def _lost(series: Series) -> list[int]:
    """Places of a series where no image came at all."""
    return [i for i, failed in enumerate(series.also.get("failed", ())) if failed == 1]


def _plot_paper(axis: Axes, series: Series, key: str) -> None:
    if (values := column(series, key)) is not None:
        axis.plot(
            series.x.values, values, label=f"{series.name} (paper)", marker="s", markersize=7,
            markerfacecolor="none", linestyle="--", color="black", linewidth=1, zorder=5,
        )  # fmt: skip
