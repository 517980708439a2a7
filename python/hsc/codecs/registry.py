"""All systems that are there: those of this package, those that installed packages bring, and those that a
program registers.

A package of this one brings a system as `systems/NAME/__init__.py` with a `SYSTEM`. Any other brings one
through an entry point of the group `gnuradio.hsc.systems`, whose value is a `System`. Both are looked up when
they are first asked for.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from importlib.metadata import entry_points

from ..errors import HscError
from .contract import Codec
from .system import CodecEntry, System, load

ENTRY_POINTS = "gnuradio.hsc.systems"
OUTSIDE = range(200, 256)  # numbers for codecs from outside this package
_SYSTEMS = f"{__package__.rpartition('.')[0]}.systems"


class _Known:
    """Systems by name, and what is wrong with plug-ins that are left out, one line each."""

    def __init__(self) -> None:
        self.systems: dict[str, System] = {}
        self.faults: list[str] = []
        for module in pkgutil.iter_modules(importlib.import_module(_SYSTEMS).__path__):
            self.add(importlib.import_module(f"{_SYSTEMS}.{module.name}").SYSTEM, range(1, OUTSIDE.start))
        for point in entry_points(group=ENTRY_POINTS):
            try:
                self.add(point.load(), OUTSIDE)
            except Exception as error:
                # Whatever a plug-in does wrong, all else goes on.
                reason = f"{error}" if isinstance(error, HscError) else f"{type(error).__name__}: {error}"
                reason = " ".join(reason.split())
                self.faults.append(f"plug-in '{point.name}' ({point.value}) is left out: {reason}")

    def add(self, system: System, numbers: range) -> None:
        """Take in a system, in the place of a former one of its name. Raises HscError for a clash."""
        if not isinstance(system, System):
            raise HscError(f"{system!r} is no System: name one that is")
        others = {name: other for name, other in self.systems.items() if name != system.name}
        taken = {entry.name: other.name for other in others.values() for entry in other.codecs}
        used = {entry.number: entry.name for other in others.values() for entry in other.codecs}
        for entry in system.codecs:
            if entry.number not in numbers:
                raise HscError(
                    f"codec '{entry.name}' has number {entry.number}: "
                    f"codecs from outside have {OUTSIDE.start} to {OUTSIDE.stop - 1}"
                )
            if entry.name in taken:
                raise HscError(
                    f"codec '{entry.name}' of system '{system.name}' is there already, "
                    f"in '{taken[entry.name]}': rename it"
                )
            if entry.number in used:
                raise HscError(
                    f"codec '{entry.name}' has number {entry.number}, "
                    f"which '{used[entry.number]}' has: take another"
                )
            taken[entry.name], used[entry.number] = system.name, entry.name
        former = self.systems.get(system.name)
        if (
            former is not None
            and OUTSIDE is numbers
            and any(entry.number not in OUTSIDE for entry in former.codecs)
        ):
            raise HscError(f"system '{system.name}' is one of this package's own: give yours another name")
        self.systems[system.name] = system


@functools.cache
def _known() -> _Known:
    return _Known()


def register(system: System) -> None:
    """Add a system for this process; one of the same name from outside is replaced.

    Raises HscError where a name or a number is taken, or a number is not one of OUTSIDE.
    """
    _known().add(system, OUTSIDE)


def unregister(name: str) -> None:
    """Take out a system that `register` added."""
    del _known().systems[name]


def faults() -> tuple[str, ...]:
    """What is wrong with plug-ins that had to be left out, one line each."""
    return tuple(_known().faults)


def systems() -> tuple[System, ...]:
    """All systems, in the order of their names."""
    return tuple(sorted(_known().systems.values(), key=lambda system: system.name))


def entries() -> tuple[CodecEntry, ...]:
    """All codecs, in the order of their numbers."""
    return tuple(
        sorted((entry for system in systems() for entry in system.codecs), key=lambda entry: entry.number)
    )


def names() -> tuple[str, ...]:
    """Names of all codecs, in the order of their numbers."""
    return tuple(entry.name for entry in entries())


def entry(name: str) -> CodecEntry:
    """A codec's entry. Raises HscError for an unknown name."""
    for each in entries():
        if each.name == name:
            return each
    raise HscError(f"unknown codec '{name}': choose one of {', '.join(names())}")


def system_of(name: str) -> System:
    """The system that a codec belongs to. Raises HscError for an unknown name."""
    wanted = entry(name)
    return next(system for system in systems() if wanted in system.codecs)


def number(name: str) -> int:
    """Number of a codec in the packet header. Raises HscError for an unknown name."""
    return entry(name).number


def name_of(number_: int) -> str:
    """Codec name of a header number. Raises HscError for an unknown number."""
    for each in entries():
        if each.number == number_:
            return each.name
    raise HscError(
        f"codec number {number_} is unknown: the packet comes from a newer version, update this receiver"
    )


def codec_class(name: str) -> type[Codec]:
    """The class of a codec. Raises HscError for an unknown name, or one that cannot be imported."""
    return load(entry(name).codec)


def create(name: str, **options: object) -> Codec:
    """Make a codec. `options` are the fields of its `Options`; an unknown one raises HscError."""
    return codec_class(name)(**options)
