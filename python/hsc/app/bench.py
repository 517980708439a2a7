"""What a bench found, for a terminal and as JSON."""

from __future__ import annotations

import importlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click
from rich import box
from rich.table import Table

from ..bench.rows import Row
from ..bench.soak import Finding
from . import live
from .report import print_table, write_text


def run(part: str) -> list[Row]:
    """Measure "ldpc", "ofdm" or "hsc". Raises HscError when GNU Radio is needed and missing."""
    with live.gnuradio_needed():
        return importlib.import_module(f"..bench.{part}", __package__).run()


def print_rows(rows: Sequence[Row], as_json: bool) -> None:
    """To stdout."""
    if as_json:
        click.echo(json.dumps([row.as_dict() for row in rows], indent=2, allow_nan=False))
    else:
        print_table(table(rows))


def table(rows: Sequence[Row]) -> Table:
    """Rows for a terminal."""
    result = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    result.add_column("what")
    for name in ("ours", "reference", "ratio"):
        result.add_column(name, justify="right", no_wrap=True)
    result.add_column("unit")
    result.add_column("reference is")
    for row in rows:
        figures = ("-" if x is None else f"{x:.4g}" for x in (row.ours, row.reference, row.ratio))
        result.add_row(row.name, *figures, row.unit, row.reference_name)
    return result


def report(finding: Finding, out: Path | None) -> bool:
    """Print what a soak found, and write it to a JSON file; True when nothing is wrong. Raises HscError when
    the file cannot be written.
    """
    books = finding.account
    lost = books.packets_lost + books.packets_of_lost
    click.echo(
        f"{books.messages_sent} messages, {books.packets_sent} packets sent in {finding.seconds:.0f} s\n"
        f"{books.packets_received} packets received, {lost} counted lost, {books.unaccounted} neither"
    )
    for name, share in finding.growth.items():
        click.echo(f"{name}: {finding.memory[name][-1] / 1e6:.0f} MB, grew by {share:.1%}")
    for problem in finding.problems:
        click.echo(f"gr-hsc: {problem}", err=True)
    if out is not None:
        found = {**asdict(finding), "unaccounted": books.unaccounted}
        write_text(out, json.dumps(found, default=str) + "\n")
    return not finding.problems
