"""Drawings of the HSC paper's figures, from their result files."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ...evaluation.curves import Curves, Series
from ...evaluation.drawing import COLOURS, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

_FLOOR = 1e-6  # an MSE of 0 is drawn here: the logarithmic axis has no zero
_MSE = "MSE (0 drawn at 1e-6)"
_CBR_PANELS = (("cbr", "CBR, payload only"), ("cbr_with_overhead", "CBR with every overhead"))


def _against_cbr(
    curves: Curves, style: Callable[[Series], dict], y_label: str, logarithmic: bool = True
) -> Drawing:
    """One panel for each kind of CBR; `style` gives a series its line."""
    figure, axes = panels(len(_CBR_PANELS))
    for axis, (column, label) in zip(axes, _CBR_PANELS, strict=True):
        for series in curves.series:
            x = series.x.values if column == series.x.name else series.also[column]
            y = np.maximum(series.y.values, _FLOOR) if logarithmic else series.y.values
            axis.plot(x, y, label=series.name, **style(series))
        axis.set(
            xlabel=f"{label} (channel uses / C·H·W)",
            ylabel=y_label,
            xscale="log",
            yscale="log" if logarithmic else "linear",
        )
        axis.grid(alpha=0.3, which="both")
    axes[0].legend(fontsize=8)
    return figure


def fig2(curves: Curves) -> Drawing:
    """MSE against CBR: a colour for each semantic codec, a line for SC and each coding of the CR."""

    def style(series: Series) -> dict:
        kind = "SC" if series.name.startswith("SC") else series.name.rsplit(" ", 1)[1]
        line = {"SC": "o-", "paper": "s--"}.get(kind, "^-.")
        colour = COLOURS["vqvae" in series.name]
        return {"color": colour, "linestyle": line[1:], "marker": line[0], "markersize": 4}

    return _against_cbr(curves, style, _MSE)


def fig3(curves: Curves) -> Drawing:
    """MSE against CBR: a colour for each M, the paper's coding of the CR dashed, SC black."""
    loads = list(dict.fromkeys(s.name.split(",")[1] for s in curves.series if s.name != "SC"))

    def style(series: Series) -> dict:
        if series.name == "SC":
            return {"color": "black", "marker": "o", "markerfacecolor": "white", "linewidth": 2, "zorder": 5}
        dashed = series.name.endswith("paper")
        return {
            "color": COLOURS[loads.index(series.name.split(",")[1])],
            "linestyle": "--" if dashed else "-",
            "marker": "s" if dashed else "^",
            "markersize": 3,
        }

    return _against_cbr(curves, style, _MSE)


def fig4(curves: Curves) -> Drawing:
    """MSE against mean SNR, a panel for each k, a colour for each tuning."""
    ranks = list(dict.fromkeys(s.name.split("k = ")[1] for s in curves.series))
    kinds = list(dict.fromkeys(s.name.split(",")[0] for s in curves.series))
    figure, axes = panels(len(ranks), width=2.9, height=3.2, rows=1 + (len(ranks) > 4), shared=True)
    for series in curves.series:
        kind, rank = series.name.split(", k = ")
        axis, colour = axes[ranks.index(rank)], COLOURS[kinds.index(kind)]
        axis.plot(series.x.values, series.y.values, color=colour, marker="o", markersize=4, label=kind)
        low, high = np.maximum(np.array(series.y.values) + np.outer([-1, 1], series.confidence), _FLOOR)
        axis.fill_between(series.x.values, low, high, color=colour, alpha=0.12, linewidth=0)
    for axis, rank in zip(axes, ranks, strict=False):
        axis.set(xlabel="mean SNR [dB]", ylabel="MSE", title=f"k = {rank}", yscale="log", ylim=(3e-4, 0.12))
        axis.grid(alpha=0.3, which="both")
        axis.label_outer()
    axes[min(1, len(ranks) - 1)].legend(fontsize=8, loc="lower left")
    return figure


def fig5(curves: Curves) -> Drawing:
    """MSE of one digit against k, recomposed and generated, a colour for each tuning."""
    figure, (axis,) = panels(1)
    for colour, series in zip(COLOURS, curves.series, strict=False):
        x, y = series.x.values, np.array(series.y.values)
        axis.plot(x, y, "o-", color=colour, markersize=4, label=f"{series.name}, recomposed")
        axis.fill_between(
            x, *(y + np.outer([-1, 1], series.confidence)), color=colour, alpha=0.12, linewidth=0
        )
        generated = series.also["generated_mse"]
        axis.plot(x, generated, "s:", color=colour, markersize=3, label=f"{series.name}, generated")
    axis.set(xlabel="rank k of the CR", ylabel="MSE", ylim=(0, None))
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    return figure


def fig6(curves: Curves) -> Drawing:
    """PSNR against CBR, a colour for each coding of the CR."""

    def style(series: Series) -> dict:
        return {"color": COLOURS[series.name.endswith("residual")], "marker": "o", "markersize": 4}

    label = "PSNR [dB] (full rank, without error, is above the edge)"
    figure = _against_cbr(curves, style, label, logarithmic=False)
    for axis in figure.axes:
        axis.set_ylim(top=52)
    return figure
