"""Writes a manual page for gr-hsc and one for each command, from what --help says:

python3 python/run.py packaging/debian/manual_pages.py FOLDER
"""
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
from gnuradio.hsc import __version__
from gnuradio.hsc.app import train
from gnuradio.hsc.app.cli import main

PROGRAM = "gr-hsc"


def escaped(text: str) -> str:
    """Text in which roff finds nothing of its own."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^(?=['.])", r"\\&", text, flags=re.M)


class Roff(click.HelpFormatter):
    """Takes what a command says for --help and makes the body of a manual page of it."""

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        """The synopsis; what follows is the description."""
        self.write(f".SH SYNOPSIS\n.B {escaped(prog)}\n{escaped(args)}\n.SH DESCRIPTION\n")

    def write_heading(self, heading: str) -> None:
        """A section."""
        self.write(f".SH {escaped(heading.upper())}\n")

    def write_paragraph(self) -> None:
        """Between two paragraphs."""
        self.write(".PP\n")

    def write_text(self, text: str) -> None:
        """Paragraphs; one that begins with \\b keeps its lines, as click has it."""
        for paragraph in re.split(r"\n\s*\n", text.strip("\n")):
            kept, lines = paragraph.lstrip().startswith("\b"), paragraph.replace("\b", "").strip("\n")
            body = escaped(lines if kept else " ".join(lines.split()))
            self.write(f".PP\n.nf\n{body}\n.fi\n" if kept else f".PP\n{body}\n")

    def write_dl(self, rows: Sequence[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        """Options or commands, each with its text."""
        for name, text in rows:
            self.write(f".TP\n.B {escaped(name)}\n{escaped(' '.join(text.split()))}\n")


def page(name: str, command: click.Command, others: Sequence[str]) -> str:
    """The page of `name`, such as "gr-hsc send", which leads to the pages `others`."""
    title, formatter = name.replace(" ", "-"), Roff()
    command.format_help(click.Context(command, info_name=name), formatter)
    summary = re.split(r"[.:;,](?:\s|$)", " ".join((command.help or "").split()))[0]
    also = ", ".join(f"\\fB{escaped(other)}\\fR(1)" for other in others)
    head = f'.TH {title.upper()} 1 "" "gr-hsc {__version__}" "User Commands"\n.SH NAME\n'
    return (
        f"{head}{escaped(title)} \\- {escaped(summary)}\n{formatter.getvalue()}"
        f".SH SEE ALSO\n{also}\n.PP\n/usr/share/doc/gr\\-hsc\n"
    )


def pages() -> Iterator[tuple[str, str]]:
    """File name and text of every page."""
    # `train` hands its arguments on, so that the program starts faster.
    commands = main.commands | {"train": train.cli}
    yield f"{PROGRAM}.1", page(PROGRAM, main, [f"{PROGRAM}-{name}" for name in sorted(commands)])
    for name, command in commands.items():
        yield f"{PROGRAM}-{name}.1", page(f"{PROGRAM} {name}", command, [PROGRAM])


if __name__ == "__main__":
    for file_name, text in pages():
        Path(sys.argv[1], file_name).write_text(text, encoding="utf-8")
