"""Figures of the HDA-DeepSC evaluation: our curves filled and drawn through, the paper's numbers as hollow
squares, dashed.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from ...errors import HscError
from ...evaluation import curves as files
from ...evaluation.curves import Curves, Series
from ...evaluation.drawing import COLOURS, panels

# The longest beginning of a label decides, so that a system has one colour in all figures.
_SYSTEMS = {
    "hda_deepsc": "#d62728",
    "hda_hevc": "#ff7f0e",
    "deepjscc": "#2ca02c",
    "deepjscc_q": "#8c564b",
    "hda_dct": "#9467bd",
    "softcast": "#17becf",
    "separate HEVC": "#1f77b4",
    "separate JPEG2000": "#7f7f7f",
    "hsc": "#e377c2",
    "HEVC at capacity": "#000000",
}
_LINES, _MARKERS = ("-", "--", ":", "-."), "o^vDx"
_QUALITIES = (("psnr", "PSNR [dB]"), ("ms_ssim_db", "MS-SSIM [dB], -10 log10(1 - MS-SSIM)"))


def paper(name: str) -> list[Series]:
    """The numbers that the paper prints for a figure or table; none when it prints none."""
    try:
        return files.load(name, files.PAPERS).series
    except HscError:
        return []


def draw_curves(curves: Curves, groups: Sequence[str] = ("",), logarithmic: bool = False):  # noqa: ANN201 - matplotlib is imported late
    """PSNR and, where it was measured, MS-SSIM against x. Each of `groups`, the endings of labels, has its
    own row of panels.
    """
    qualities = [q for q in _QUALITIES if any(_column(s, q[0]) is not None for s in curves.series)] or list(
        _QUALITIES[:1]
    )
    figure, axes = panels(len(groups) * len(qualities), width=6.6, height=5.0, rows=len(groups))
    styles = _styles(
        [s.name.removesuffix(group) for group in groups for s in curves.series if s.name.endswith(group)]
    )
    for row, group in enumerate(groups):
        ours = [s for s in curves.series if s.name.endswith(group)]
        for axis, (key, label) in zip(axes[row * len(qualities) :], qualities, strict=False):
            for series in ours:
                _plot(
                    axis,
                    series,
                    key,
                    series.name.removesuffix(group),
                    styles[series.name.removesuffix(group)],
                )
            for series in paper(curves.name) if group in ("", groups[0]) else ():
                _plot_paper(axis, series, key)
            x = (ours or curves.series or paper(curves.name))[0].x
            axis.set(xlabel=x.unit if x.unit != "" else x.name, ylabel=label, title=group.removeprefix(", "))
            if logarithmic:
                axis.set_xscale("log")
                axis.set_xticks(
                    x.values,
                    [str(Fraction(v).limit_denominator(48)) if v < 0.2 else f"{v:g}" for v in x.values],
                )
                axis.minorticks_off()
            axis.grid(alpha=0.3, which="both")
    axes[0].legend(fontsize=7, ncols=2 if len(curves.series) > 6 else 1)
    return figure


def _styles(labels: Sequence[str]) -> dict[str, dict[str, object]]:
    """Colour by system, line and marker by variant of the system."""
    seen: dict[str, int] = {}
    found: dict[str, dict[str, object]] = {}
    for label in dict.fromkeys(labels):
        system = max((s for s in _SYSTEMS if label.startswith(s)), key=len, default=None)
        if system is None:
            found[label] = {"color": COLOURS[len(found) % len(COLOURS)], "linestyle": "-", "marker": "o"}
            continue
        variant = seen.get(system, 0)
        seen[system] = variant + 1
        line, marker = _LINES[variant % len(_LINES)], _MARKERS[variant % len(_MARKERS)]
        found[label] = {"color": _SYSTEMS[system], "linestyle": line, "marker": marker}
    return found


def _column(series: Series, key: str) -> list[float] | None:
    return series.y.values if series.y.name == key else series.also.get(key)


def _plot(axis, series: Series, key: str, label: str, style: dict[str, object]) -> None:  # noqa: ANN001
    if (values := _column(series, key)) is None:
        return
    axis.plot(series.x.values, values, label=label, markersize=4, linewidth=1.5, **style)
    width = series.confidence if key == series.y.name else series.also.get(f"{key}_confidence")
    if width is not None and len(values) > 1:
        axis.fill_between(
            series.x.values,
            *(np.array(values) + np.outer([-1, 1], width)),
            color=style["color"],
            alpha=0.08,
            linewidth=0,
        )


def _plot_paper(axis, series: Series, key: str) -> None:  # noqa: ANN001
    if (values := _column(series, key)) is not None:
        hollow = {
            "marker": "s",
            "markersize": 7,
            "markerfacecolor": "none",
            "linestyle": "--",
            "color": "black",
            "linewidth": 1,
            "zorder": 5,
        }
        axis.plot(series.x.values, values, label=f"{series.name} (paper)", **hollow)


def draw_bars(curves: Curves, key: str, label: str):  # noqa: ANN201
    """One bar for each series, its mean; the paper's are hatched."""
    series = [*curves.series, *paper(curves.name)]
    figure, (axis,) = panels(1, width=7.0, height=0.5 * len(series) + 1.4)
    for place, s in enumerate(series):
        value = float(np.mean(_column(s, key) or [0.0]))
        ours = s.source == "measured"
        axis.barh(
            place, value, color=COLOURS[0] if ours else "white", edgecolor="black", hatch="" if ours else "//"
        )
        axis.text(value, place, f" {value:.3g}", va="center", fontsize=8)
    axis.set_yticks(
        range(len(series)),
        [s.name + ("" if s.source == "measured" else " (paper)") for s in series],
        fontsize=8,
    )
    axis.invert_yaxis()
    axis.set_xlabel(label)
    axis.margins(x=0.12)
    return figure


DRAWINGS = {
    **dict.fromkeys(("hda-fig3", "hda-fig4", "hda-table1", "hda-cliff", "hda-ofdm", "compare"), draw_curves),
    "hda-fig5": lambda curves: draw_curves(curves, (", rician", ", rayleigh")),
    **dict.fromkeys(
        ("hda-fig6", "hda-fig7", "hda-fig8", "hda-table3"),
        lambda curves: draw_curves(curves, logarithmic=True),
    ),
    "hda-table2": lambda curves: draw_bars(curves, "psnr", "PSNR [dB], semantic codec alone"),
    "hda-table4": lambda curves: draw_bars(
        curves, "ratio", "codec time / time of HEVC intra (the paper's: BPG), encode + decode"
    ),
}
