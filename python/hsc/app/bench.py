"""`bench`: measurements against a named alternative in the same run, as a list of rows."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from rich import box
from rich.table import Table

from ..errors import HscError

Row = dict[str, object]


def run(part: str) -> list[Row]:
    """Measure "ldpc", "ofdm" or "hsc": rows of {name, unit, ours, reference, reference_name, ratio}.

    Raises HscError when GNU Radio is needed and missing.
    """
    try:
        return importlib.import_module(f"..evaluation.bench_{part}", __package__).run()
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("gnuradio", "pmt"):
            raise
        raise HscError(
            "GNU Radio is not installed: apt-get install gnuradio, and start gr-hsc by ./gr-hsc"
        ) from None


def table(rows: Sequence[Row]) -> Table:
    """Rows for a terminal."""
    result = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    result.add_column("what")
    for name in ("ours", "reference", "ratio"):
        result.add_column(name, justify="right", no_wrap=True)
    result.add_column("unit")
    result.add_column("reference is")
    for row in rows:
        figures = (f"{row[key]:.4g}" for key in ("ours", "reference", "ratio"))
        result.add_row(str(row["name"]), *figures, str(row["unit"]), str(row["reference_name"]))
    return result
