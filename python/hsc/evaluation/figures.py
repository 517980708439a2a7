"""Figures from the result files, and from nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..errors import HscError
from ..systems.hda import drawing
from .curves import Curves, Series
from .drawing import COLOURS, panels

_FLOOR = 1e-6  # an MSE of 0 is drawn here: the logarithmic axis has no zero
_CBR_PANELS = (("cbr", "CBR, payload only"), ("cbr_with_overhead", "CBR with every overhead"))


def draw(curves: Curves, folder: Path) -> Path:
    """Draw `folder`/<name>.png. Raises HscError for a result without a figure, or a folder that cannot be
    written.
    """
    return draw_as(curves.name, curves, folder / f"{curves.name}.png")


def draw_as(name: str, curves: Curves, path: Path) -> Path:
    """Draw a result to `path` in the manner of the figure `name`. Raises HscError as `draw` does."""
    import matplotlib

    matplotlib.use("Agg")
    if name not in _DRAWINGS:
        raise HscError(f"no figure for '{name}': choose one of {', '.join(_DRAWINGS)}")
    figure = _DRAWINGS[name](curves)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=110)
    except OSError as error:
        raise HscError(f"cannot write {path} ({error.strerror}): choose another folder with --out") from None
    return path


def _x(series: Series, column: str) -> list[float]:
    return series.x.values if column == series.x.name else series.also[column]


def _against_cbr(
    curves: Curves, shown: Callable[[Series], dict | None], y_label: str, logarithmic: bool = True
):  # noqa: ANN202
    """One panel for each kind of CBR; `shown` gives a series its line style, or None to leave it out."""
    figure, axes = panels(len(_CBR_PANELS))
    for axis, (column, label) in zip(axes, _CBR_PANELS, strict=True):
        for series in curves.series:
            if (style := shown(series)) is not None:
                y = np.maximum(series.y.values, _FLOOR) if logarithmic else series.y.values
                axis.plot(_x(series, column), y, label=series.name, **style)
        axis.set(
            xlabel=f"{label} (channel uses / C·H·W)",
            ylabel=y_label,
            xscale="log",
            yscale="log" if logarithmic else "linear",
        )
        axis.grid(alpha=0.3, which="both")
    axes[0].legend(fontsize=8)
    return figure


def _fig2(curves: Curves):  # noqa: ANN202
    def style(series: Series) -> dict:
        colour = COLOURS["vqvae" in series.name]
        line = {"SC": "o-", "paper": "s--"}.get(
            "SC" if series.name.startswith("SC") else series.name.rsplit(" ", 1)[1], "^-."
        )
        return {"color": colour, "linestyle": line[1:], "marker": line[0], "markersize": 4}

    return _against_cbr(curves, style, "MSE (0 drawn at 1e-6)")


def _fig3(curves: Curves):  # noqa: ANN202
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

    return _against_cbr(curves, style, "MSE (0 drawn at 1e-6)")


def _fig4(curves: Curves):  # noqa: ANN202
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


def _fig6(curves: Curves):  # noqa: ANN202
    def style(series: Series) -> dict:
        return {"color": COLOURS[series.name.endswith("residual")], "marker": "o", "markersize": 4}

    figure = _against_cbr(
        curves, style, "PSNR [dB] (full rank, without error, is above the edge)", logarithmic=False
    )
    for axis in figure.axes:
        axis.set_ylim(top=52)
    return figure


def _ldpc(curves: Curves):  # noqa: ANN202
    figure, axes = panels(2)
    for colour, series in zip(COLOURS, curves.series, strict=False):
        for axis, rates in zip(axes, (series.y.values, series.also["ber"]), strict=True):
            seen = np.array(rates) > 0
            axis.plot(
                np.array(series.x.values)[seen],
                np.array(rates)[seen],
                "o-",
                color=colour,
                markersize=4,
                label=series.name,
            )
    for axis, label in zip(axes, ("codeword error rate", "bit error rate"), strict=True):
        axis.set(xlabel="Eb/N0 [dB], BPSK", ylabel=label, yscale="log")
        axis.grid(alpha=0.3, which="both")
    axes[0].legend(fontsize=8)
    return figure


def _air_interface(curves: Curves):  # noqa: ANN202
    figure, axes = panels(2)
    for series in curves.series:
        axis = axes[int(series.y.name == "blocks lost")]
        axis.plot(series.x.values, series.y.values, "o-", markersize=4, label=series.name)
    for axis, label in zip(axes, ("packets delivered [share]", "LDPC blocks lost [share]"), strict=True):
        axis.set(xlabel="SNR [dB]", ylabel=label)
        axis.grid(alpha=0.3, which="both")
        axis.legend(fontsize=8)
    return figure


def _tracking(curves: Curves):  # noqa: ANN202
    """One panel for each numerology and packet length: error, and that of a receiver that knows the channel."""
    names = list(dict.fromkeys(s.name.rsplit(",", 1)[0] for s in curves.series))
    figure, axes = panels(len(names), width=3.2, height=3.0, rows=2, shared=True)
    for axis, name in zip(axes, names, strict=False):
        found = [s for s in curves.series if s.name.startswith(f"{name},")]
        for colour, series in zip(COLOURS, found, strict=False):
            at = range(len(series.x.values))
            axis.plot(
                at, series.y.values, "o-", color=colour, markersize=4, label=series.name.rsplit(", ", 1)[1]
            )
            axis.plot(at, series.also["known_channel_db"], ":", color=colour)
        axis.set(xlabel="Doppler shift [Hz]", ylabel="error [dB]", title=name)
        axis.set_xticks(range(len(found[0].x.values)), [f"{x:g}" for x in found[0].x.values])
        axis.grid(alpha=0.3)
        axis.label_outer()
    axes[0].legend(fontsize=7, title="dotted: channel known", title_fontsize=7)
    return figure


def _over_the_air(curves: Curves):  # noqa: ANN202
    figure, (shares, quality) = panels(2, width=3.4, height=3.0)
    for colour, series in zip(COLOURS, curves.series, strict=False):
        shares.plot(
            series.x.values,
            series.y.values,
            "o-",
            color=colour,
            markersize=5,
            label=f"{series.name}, delivered",
        )
        shares.plot(
            series.x.values,
            series.also["whole"],
            "s:",
            color=colour,
            markersize=4,
            label=f"{series.name}, no packet missing",
        )
        quality.plot(
            series.x.values,
            series.also["psnr_db"],
            "o-",
            color=colour,
            markersize=5,
            label=f"{series.name}, mean",
        )
        quality.plot(
            series.x.values,
            series.also["worst_psnr_db"],
            "s:",
            color=colour,
            markersize=4,
            label=f"{series.name}, worst image",
        )
    shares.set(xlabel="SNR [dB]", ylabel="share of the images", ylim=(0, 1.05))
    quality.set(xlabel="SNR [dB]", ylabel="PSNR [dB]")
    for axis in (shares, quality):
        axis.grid(alpha=0.3)
        axis.legend(fontsize=7)
    return figure


_DRAWINGS = {
    "hsc-fig2": _fig2,
    "hsc-fig3": _fig3,
    "hsc-fig4": _fig4,
    "hsc-fig6": _fig6,
    "ldpc": _ldpc,
    "air-interface": _air_interface,
    "tracking": _tracking,
    "over-the-air": _over_the_air,
    **drawing.DRAWINGS,
}
