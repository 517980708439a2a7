"""`codecs [NAME]`: what systems are there, and the options, recipes and figures of one of their codecs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

import click
from rich import box
from rich.table import Table
from rich.text import Text

from .. import weights
from ..codecs import registry
from ..codecs.contract import Codec
from ..codecs.options import Described, Ends, described
from ..codecs.system import System, load
from .report import print_table

Entry = dict[str, object]
_ENDS = {Ends.TRANSMITTER: "transmitter", Ends.RECEIVER: "receiver", Ends.BOTH: "both"}


def listing() -> list[Entry]:
    """All codecs in the order of their numbers. One that cannot be loaded is left out, and a fault of the
    registry.
    """
    return [_summary(name, kind) for name, kind in registry.codec_classes().items()]


def details(name: str) -> Entry:
    """A codec with its options, and its system's recipes and figures. Raises HscError for an unknown name, or
    a codec that cannot be loaded.
    """
    kind, system = registry.codec_class(name), registry.system_of(name)
    return {
        **_summary(name, kind),
        "options": [_option(each, kind.Options, system) for each in described(kind.Options).values()],
        "recipes": _names(system.recipes),
        "figures": _names(system.figures),
    }


def _summary(name: str, kind: type[Codec]) -> Entry:
    system = registry.system_of(name)
    there = weights.names(system.weights)
    return {
        "codec": name,
        "number": registry.number(name),
        "system": system.name,
        "title": system.title,
        "page": system.page,
        "weights": {
            wanted: any(fnmatchcase(each, wanted) for each in there) for wanted in dict.fromkeys(kind.weights)
        },
    }


def _option(option: Described, kind: type, system: System) -> Entry:
    own = [each for each in system.shorthands if issubclass(kind, each.options)]
    return {
        "name": option.name,
        "default": option.default,
        "choices": list(option.choices),
        "end": _ENDS[option.ends],
        "doc": option.doc,
        "flags": [each.flag for each in own if each.field == option.name],
    }


def _names(place: str) -> list[str]:
    """Of what a system names there, recipes or figures."""
    return [each.name for each in load(place)] if place else []


def show(name: str | None, as_json: bool) -> None:
    """Print all codecs, or one with all that there is to know of it."""
    found = listing() if name is None else details(name)
    if as_json:
        click.echo(json.dumps(found, indent=2, default=str))
        return
    print_table(table(found if name is None else [found]))
    if name is not None:
        if found["options"]:
            print_table(options_table(found))
        for part in ("recipes", "figures"):
            click.echo(f"{part}: {', '.join(found[part]) or 'none'}")


def table(entries: Sequence[Entry]) -> Table:
    """One line for each codec."""
    rows = (
        (e["number"], e["codec"], e["title"], _weights(e["weights"]), e["page"] or "none") for e in entries
    )
    return _table(("number", "codec", "system", "weights", "documentation"), rows)


def options_table(entry: Entry) -> Table:
    """One line for each option of a codec."""
    rows = (
        (
            option["name"],
            option["default"],
            option["end"],
            ", ".join(option["flags"]),
            option["doc"] + (f" ({', '.join(map(str, option['choices']))})" if option["choices"] else ""),
        )
        for option in entry["options"]
    )
    return _table(("option", "default", "end", "flag", "what it is"), rows)


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    result = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        result.add_column(name, overflow="fold")
    for row in rows:
        result.add_row(*(Text(str(cell)) for cell in row))  # "[dB]" is no markup
    return result


def _weights(wanted: dict[str, bool]) -> str:
    missing = [name for name, there in wanted.items() if not there]
    if missing:
        return f"missing: {', '.join(missing)}"
    return "there" if wanted else "none needed"
