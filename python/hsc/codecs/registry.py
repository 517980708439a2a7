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
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from typing import Any

from ..errors import HscError
from .contract import Codec
from .system import CodecEntry, Shorthand, System, load

ENTRY_POINTS = "gnuradio.hsc.systems"
OUTSIDE = range(200, 256)  # numbers for codecs from outside this package
_SYSTEMS = f"{__package__.rpartition('.')[0]}.systems"
# What of a system no other may have, by what it is called, each with what it stands for: two systems may
# have the same flag for the same option.
_TAKEN: dict[str, Callable[[System], list[tuple[object, object]]]] = {
    "codec": lambda system: [(entry.name, system.name) for entry in system.codecs],
    "number": lambda system: [(entry.number, system.name) for entry in system.codecs],
    "block": lambda system: [(place.partition(":")[2], system.name) for place in system.blocks],
    "flag": lambda system: [(shorthand.flag, shorthand) for shorthand in system.shorthands],
}


class _Known:
    """Systems by name, which of them are this package's own, and what is wrong with plug-ins, a line each."""

    def __init__(self) -> None:
        self.systems: dict[str, System] = {}
        self.faults: list[str] = []
        for module in pkgutil.iter_modules(importlib.import_module(_SYSTEMS).__path__):
            self.add(importlib.import_module(f"{_SYSTEMS}.{module.name}").SYSTEM, range(1, OUTSIDE.start))
        self.own = frozenset(self.systems)
        for point in entry_points(group=ENTRY_POINTS):
            try:
                self.plug_in(point.load())
            except Exception as error:
                # Whatever a plug-in does wrong, all else goes on.
                reason = f"{error}" if isinstance(error, HscError) else f"{type(error).__name__}: {error}"
                reason = " ".join(reason.split())
                self.faults.append(f"plug-in '{point.name}' ({point.value}) is left out: {reason}")

    def add(self, system: System, numbers: range) -> None:
        """Take in a system, in the place of a former one of its name. Raises HscError for a clash."""
        if not isinstance(system, System):
            raise HscError(f"{system!r} is no System: name one that is")
        if numbers is OUTSIDE and system.name in self.own:
            raise HscError(f"system '{system.name}' is one of this package's own: give yours another name")
        for entry in system.codecs:
            if entry.number not in numbers:
                raise HscError(
                    f"codec '{entry.name}' has number {entry.number}: "
                    f"codecs from outside have {OUTSIDE.start} to {OUTSIDE.stop - 1}"
                )
        self._refuse_clashes(system)
        self.systems[system.name] = system

    def _refuse_clashes(self, system: System) -> None:
        """Raises HscError where something of a system is that of another, or twice its own."""
        for what, named in _TAKEN.items():
            others = [other for other in self.systems.values() if other.name != system.name]
            theirs = {each: (other.name, meant) for other in others for each, meant in named(other)}
            seen: set[object] = set()
            for each, meant in named(system):
                where, other = theirs.get(each, (system.name, meant))
                if each in seen or other != meant:
                    reason = f"{what} {each!r} of system '{system.name}' is there already, in '{where}'"
                    raise HscError(f"{reason}: take another")
                seen.add(each)

    def plug_in(self, system: System) -> None:
        """Take in a system of an installed package, which replaces none. Raises HscError for a clash."""
        if isinstance(system, System):
            if system.name in self.systems:
                raise HscError(f"system '{system.name}' is there already: give yours another name")
            for shorthand in system.shorthands:
                _ = shorthand.described  # raises where there is no such option
        self.add(system, OUTSIDE)

    def part(self, system: System, place: str, loaded: Callable[[str], Any] = load) -> Any:
        """What a system names as "module:attribute". None, and a fault, where that of a plug-in cannot be
        loaded.
        """
        try:
            return loaded(place)
        except HscError as error:
            if system.name in self.own:
                raise
            self.fault(f"plug-in '{system.name}' is left out here: {error}")
            return None

    def fault(self, text: str) -> None:
        """Note what is wrong with a plug-in, once."""
        if text not in self.faults:
            self.faults.append(text)


def _codec(place: str) -> type[Codec]:
    """The class of a codec. Raises HscError where it cannot be loaded, or is none."""
    found = load(place)
    if not (isinstance(found, type) and issubclass(found, Codec)):
        raise HscError(f"{place} is no Codec: name a class that is")
    return found


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
    """What is wrong with plug-ins that had to be left out so far, one line each."""
    return tuple(_known().faults)


def report(fault: str) -> None:
    """Add to `faults`."""
    _known().fault(fault)


def systems() -> tuple[System, ...]:
    """All systems, in the order of their names, those of this package first."""
    known = _known()
    return tuple(sorted(known.systems.values(), key=lambda each: (each.name not in known.own, each.name)))


def outside() -> tuple[System, ...]:
    """The systems from outside this package."""
    return tuple(system for system in systems() if system.name not in _known().own)


def shorthands() -> tuple[Shorthand, ...]:
    """The flags that systems declare, each once."""
    return tuple(dict.fromkeys(each for system in systems() for each in system.shorthands))


def parts(place_of: Callable[[System], str]) -> Iterator[tuple[System, Any]]:
    """Each system with a part of it that it names as "module:attribute", such as its recipes.

    A system without that part is passed over, and a plug-in whose part cannot be loaded: that is a fault.
    """
    for system in systems():
        if (place := place_of(system)) and (part := _known().part(system, place)) is not None:
            yield system, part


def plug_ins() -> tuple[System, ...]:
    """The systems from outside this package, after all that they name has been loaded: what of that cannot be
    is among `faults`.
    """
    known, found = _known(), outside()
    for system in found:
        for each in system.codecs:
            known.part(system, each.codec, _codec)
        coders = (place for each in system.codecs for place in (each.semantic_encoder, each.semantic_decoder))
        for place in filter(None, (*coders, *system.blocks, system.recipes, system.figures)):
            known.part(system, place)
    return found


def codec_classes() -> dict[str, type[Codec]]:
    """All codecs by name, in the order of their numbers; a plug-in's that cannot be loaded is a fault."""
    found = {each.name: _known().part(system_of(each.name), each.codec, _codec) for each in entries()}
    return {name: kind for name, kind in found.items() if kind is not None}


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
    return _codec(entry(name).codec)


def create(name: str, **options: object) -> Codec:
    """Make a codec. `options` are the fields of its `Options`; an unknown one raises HscError."""
    return codec_class(name)(**options)
