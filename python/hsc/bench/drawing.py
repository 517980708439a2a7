"""Drawings of the figures of the link itself, from their result files."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..evaluation.curves import Curves
from ..evaluation.drawing import COLOURS, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing


def ldpc(curves: Curves) -> Drawing:
    """Codeword and bit error rate against Eb/N0, where errors were seen."""
    figure, axes = panels(2)
    for colour, series in zip(COLOURS, curves.series, strict=False):
        for axis, rates in zip(axes, (series.y.values, series.also["ber"]), strict=True):
            seen = np.array(rates) > 0
            x, y = np.array(series.x.values)[seen], np.array(rates)[seen]
            axis.plot(x, y, "o-", color=colour, markersize=4, label=series.name)
    for axis, label in zip(axes, ("codeword error rate", "bit error rate"), strict=True):
        axis.set(xlabel="Eb/N0 [dB], BPSK", ylabel=label, yscale="log")
        axis.grid(alpha=0.3, which="both")
    axes[0].legend(fontsize=8)
    return figure


def air_interface(curves: Curves) -> Drawing:
    """Packets delivered and LDPC blocks lost against SNR."""
    figure, axes = panels(2)
    for series in curves.series:
        axis = axes[int(series.y.name == "blocks lost")]
        axis.plot(series.x.values, series.y.values, "o-", markersize=4, label=series.name)
    for axis, label in zip(axes, ("packets delivered [share]", "LDPC blocks lost [share]"), strict=True):
        axis.set(xlabel="SNR [dB]", ylabel=label)
        axis.grid(alpha=0.3, which="both")
        axis.legend(fontsize=8)
    return figure


def tracking(curves: Curves) -> Drawing:
    """Error against Doppler shift, and that of a receiver that knows the channel; a panel for each numerology
    and packet length.
    """
    names = list(dict.fromkeys(s.name.rsplit(",", 1)[0] for s in curves.series))
    figure, axes = panels(len(names), width=3.2, height=3.0, rows=2, shared=True)
    for axis, name in zip(axes, names, strict=False):
        found = [s for s in curves.series if s.name.startswith(f"{name},")]
        for colour, series in zip(COLOURS, found, strict=False):
            at, label = range(len(series.x.values)), series.name.rsplit(", ", 1)[1]
            axis.plot(at, series.y.values, "o-", color=colour, markersize=4, label=label)
            axis.plot(at, series.also["known_channel_db"], ":", color=colour)
        axis.set(xlabel="Doppler shift [Hz]", ylabel="error [dB]", title=name)
        axis.set_xticks(range(len(found[0].x.values)), [f"{x:g}" for x in found[0].x.values])
        axis.grid(alpha=0.3)
        axis.label_outer()
    axes[0].legend(fontsize=7, title="dotted: channel known", title_fontsize=7)
    return figure


def over_the_air(curves: Curves) -> Drawing:
    """Share of images that arrived, and their quality, against SNR."""
    figure, (shares, quality) = panels(2, width=3.4, height=3.0)
    for colour, series in zip(COLOURS, curves.series, strict=False):
        lines = (
            (shares, series.y.values, "delivered"),
            (shares, series.also["whole"], "no packet missing"),
            (quality, series.also["psnr_db"], "mean"),
            (quality, series.also["worst_psnr_db"], "worst image"),
        )
        for index, (axis, values, label) in enumerate(lines):
            line, size = (("o-", 5), ("s:", 4))[index % 2]
            axis.plot(
                series.x.values, values, line, color=colour, markersize=size, label=f"{series.name}, {label}"
            )
    shares.set(xlabel="SNR [dB]", ylabel="share of the images", ylim=(0, 1.05))
    quality.set(xlabel="SNR [dB]", ylabel="PSNR [dB]")
    for axis in (shares, quality):
        axis.grid(alpha=0.3)
        axis.legend(fontsize=7)
    return figure
