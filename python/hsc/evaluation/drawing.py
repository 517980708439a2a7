"""What all figures share: colours and panels. Nothing here opens a window."""

from __future__ import annotations

COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf", "#8c564b", "#e377c2")


def panels(count: int, width: float = 6.0, height: float = 4.6, rows: int = 1, shared: bool = False):  # noqa: ANN201 - matplotlib is imported late
    """A figure of `count` panels of `width` x `height` inches in `rows` rows, and its axes in one list."""
    from matplotlib.figure import Figure

    columns = -(-count // rows)
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, sharey=shared, sharex=shared).ravel()
