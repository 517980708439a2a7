"""Measuring a plan for a person who waits: expected time, a bar, what was left out and what failed, and a
table.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import click
import numpy as np
from rich import box
from rich.table import Table
from rich.text import Text

from .. import files, metrics
from ..evaluation import drawing, sweep
from ..evaluation import plan as plans
from ..evaluation.curves import Curves
from ..evaluation.transmission import Point
from ..words import counted
from .report import print_table, progress_bar

_SHOWN_ERRORS = 5  # kinds of errors that are told: more fill a screen and say no more


@dataclass(frozen=True)
class Workers:
    """Where a sweep runs: `count` processes of this machine (None: one a core, 0: this process), or a Dask
    scheduler's address.
    """

    count: int | None = None
    scheduler: str | None = None

    def check(self) -> None:
        """Before any work. Raises HscError when no scheduler answers at the address."""
        if self.scheduler is not None:
            sweep.find_scheduler(self.scheduler)


def say(text: str) -> None:
    """A line on stderr for the person who waits."""
    click.echo(f"gr-hsc: {' '.join(text.split())}", err=True)


def measure(
    plan: plans.Plan,
    images: Mapping[str, np.ndarray],
    command: str,
    store: sweep.Store | None,
    workers: Workers,
    pictures: Collection[Point] = (),
) -> tuple[Curves, sweep.Outcome]:
    """Measure what `store` lacks of a plan, and make its result file."""
    outcome = measure_points(plan.name, plan.points, images, store, workers, pictures)
    return plans.curves_of(plan, outcome, command, say), outcome


def measure_points(
    name: str,
    points: Sequence[Point],
    images: Mapping[str, np.ndarray],
    store: sweep.Store | None,
    workers: Workers,
    pictures: Collection[Point] = (),
) -> sweep.Outcome:
    """Measure what `store` lacks of points. Those in which a program failed are counted, and told at the
    end.
    """
    _announce(name, points, store, workers)
    with progress_bar() as bar:
        task = bar.add_task(files.printable(name), total=None)
        outcome = sweep.run(
            points, images, store, workers.count, workers.scheduler,
            lambda done, total: bar.update(task, completed=done, total=total), pictures,
        )  # fmt: skip
    _tell_errors(outcome)
    return outcome


def _announce(name: str, points: Sequence[Point], store: sweep.Store | None, workers: Workers) -> None:
    lacking = [p for p in dict.fromkeys(points) if store is None or store.get(p) is None]
    text = (
        f"{files.printable(name)}: {counted(len(set(points)), 'point')}, {len(lacking)} to measure, "
        f"{counted(len(sweep.jobs_of(lacking)), 'encode')}"
    )
    expected = (
        None
        if store is None
        else sweep.expected_seconds(store, lacking, workers.count or os.cpu_count() or 1)
    )
    say(text + ("" if expected is None or not lacking else f", about {_duration(expected)}"))


def _duration(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 100
        else f"{seconds / 60:.0f} min"
        if seconds < 6000
        else f"{seconds / 3600:.1f} h"
    )


def _tell_errors(outcome: sweep.Outcome) -> None:
    if not outcome.errors:
        return
    say(f"{counted(len(outcome.errors), 'point')} failed; the next run tries them again:")
    kinds = Counter((point.sending.codec, text) for point, text in outcome.errors.items())
    for (codec, text), count in kinds.most_common(_SHOWN_ERRORS):
        say(f"  {count} x {codec}: {text}")


def table(curves: Curves, key: str = "psnr", label: str = "PSNR [dB]", digits: int = 2) -> Table:
    """Mean of a quality, a column of the curves, against x: one line for each curve that has it."""
    places = sorted({x for series in curves.series for x in series.x.values})
    caption = "Mean over the images; CBR of the payload and with every overhead, mean over the places"
    title = (
        f"{files.printable(curves.name)}: {label} against "
        f"{curves.series[0].x.unit if curves.series else 'nothing'}"
    )
    result = Table(
        title=Text(title, style="table.title"),
        caption=caption,
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    result.add_column("", no_wrap=True)
    for x in places:
        result.add_column(f"{x:.3g}", justify="right", no_wrap=True)
    for name in ("CBR", "overall"):
        result.add_column(name, justify="right", no_wrap=True)
    for series in curves.series:
        if (column := drawing.column(series, key)) is None:
            continue
        values = dict(zip(series.x.values, column, strict=True))
        costs = [
            f"{np.mean(series.also[cost]):.4f}" if cost in series.also else ""
            for cost in ("cbr", "cbr_with_overhead")
        ]
        shown = (f"{values[x]:.{digits}f}" if x in values else "" for x in places)
        result.add_row(series.name, *shown, *costs)
    return result


def show(curves: Curves) -> None:
    """Print tables of PSNR and of the perceptual distances to a person; a pipe gets the paths alone."""
    if not sys.stdout.isatty():
        return
    for axis in dict.fromkeys(series.x.name for series in curves.series):
        part = replace(curves, series=[series for series in curves.series if series.x.name == axis])
        print_table(table(part))
        for key, name in metrics.PERCEPTUAL.items():
            if any(drawing.column(series, key) is not None for series in part.series):
                print_table(table(part, key, f"{name}, less is better,", digits=3))
