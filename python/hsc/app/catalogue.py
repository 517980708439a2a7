"""The figures that can be made: those of all systems, plug-ins among them, and those of the link itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import click

from ..bench import figures as bench
from ..codecs import registry
from ..errors import HscError
from ..evaluation.figure import Figure

ALL = "all"
_LINK = "bench"  # group of the figures that belong to no system


@dataclass(frozen=True)
class Entry:
    """A figure that can be made.

    Attributes:
        figure: itself.
        group: name of its system; it stands for all figures of that system.
        own: it is one of this package's, whose results are kept in the repository.
    """

    figure: Figure
    group: str
    own: bool


@dataclass
class Catalogue:
    """All figures.

    Attributes:
        entries: by name.
        titles: of their groups.
    """

    entries: dict[str, Entry] = field(default_factory=dict)
    titles: dict[str, str] = field(default_factory=dict)

    def add(self, group: str, title: str, figures: Sequence[Figure], own: bool) -> None:
        """Take in the figures of a group. Raises HscError for what is no figure, or a name that is taken."""
        for figure in figures:
            if not isinstance(figure, Figure):
                raise HscError(f"{figure!r} of system '{group}' is no Figure: name one that is")
            if figure.name in self.entries:
                raise HscError(
                    f"figure '{figure.name}' of system '{group}' is there already, "
                    f"in '{self.entries[figure.name].group}': rename it"
                )
        self.entries |= {figure.name: Entry(figure, group, own) for figure in figures}
        self.titles[group] = title

    def chosen(self, word: str) -> list[Entry]:
        """What a word stands for: a figure, all of a group, or all. Raises HscError for an unknown one."""
        if word in self.entries:
            return [self.entries[word]]
        if found := [entry for entry in self.entries.values() if word in (entry.group, ALL)]:
            return found
        raise HscError(f"no figure '{word}': choose from {', '.join((ALL, *self.titles, *self.entries))}")

    def write(self, formatter: click.HelpFormatter) -> None:
        """A section of a command's help for each group."""
        for group, title in self.titles.items():
            with formatter.section(f"{title}; all of them: {group}"):
                mine = [entry.figure for entry in self.entries.values() if entry.group == group]
                formatter.write_dl([(f.name, f"{f.summary}; {f.images}") for f in mine])
        if faults := registry.faults():
            with formatter.section("Left out"):
                for fault in faults:
                    formatter.write_text(fault)


def catalogue() -> Catalogue:
    """All figures that are there now. A plug-in whose figures are broken is left out, which is a fault."""
    found = Catalogue()
    found.add(_LINK, "Figures of the link itself", bench.FIGURES, own=True)
    for system, figures in registry.parts(lambda system: system.figures):
        own = system not in registry.outside()
        try:
            found.add(system.name, f"Figures of {system.title}", figures, own)
        except (HscError, TypeError) as error:
            if own:
                raise
            registry.report(f"figures of '{system.name}' ({system.figures}) are left out: {error}")
    return found
