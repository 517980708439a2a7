"""Options of codecs on the command line: `--option NAME=VALUE` for that of the transmitter, `--rx-option` for
that of the receiver, and the flags that systems declare for some of them.

What they are, their choices and defaults come from the codecs' own `Options`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import click

from ..codecs import registry
from ..codecs.contract import Codec
from ..codecs.options import Described, Ends, described
from ..codecs.system import Shorthand
from ..errors import HscError
from .parameters import NameValue

Decorator = Callable[..., Any]
Chosen = dict[str, object]
# What a type of value is called in --help; others are called VALUE.
_KINDS = {bool: "True|False", int: "INTEGER", float: "NUMBER", str: "TEXT"}
_ENDS = {Ends.TRANSMITTER: "transmitter", Ends.RECEIVER: "receiver"}
_FLAGS = {Ends.TRANSMITTER: "--option", Ends.RECEIVER: "--rx-option"}

OPTION = click.option(
    _FLAGS[Ends.TRANSMITTER],
    "options",
    type=NameValue(),
    multiple=True,
    help="Any option of the transmitter's codec, such as source=jpeg2000; `codecs` lists them; may be given "
    "several times.",
)
RECEIVER_OPTION = click.option(
    _FLAGS[Ends.RECEIVER],
    "rx_options",
    type=NameValue(),
    multiple=True,
    help="Any option of the receiver's codec, such as informed=False; may be given several times.",
)


@dataclass(frozen=True)
class Given:
    """A value that was given. It may be None, which is what click takes for an option that was left out."""

    value: object


class OfCodec(click.ParamType):
    """The value of one option of a codec."""

    def __init__(self, option: Described) -> None:
        self.option = option
        choices = [str(choice) for choice in option.choices if choice is not None]
        kinds = [_KINDS.get(kind, "VALUE") for kind in option.kinds if kind is not type(None)]
        self.name = f"[{'|'.join(choices)}]" if choices else "|".join(kinds)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Given:
        try:
            found = self.option.parse(str(value))
            self.option.check("the", found)
        except HscError as error:
            self.fail(str(error), param, ctx)
        return Given(found)


def shorthands(ends: Ends) -> tuple[Decorator, ...]:
    """Flags that systems declare for options of these ends. One that gives the receiver another value than
    the transmitter is of use only where both are there.
    """
    return tuple(
        _flag(titles, each)
        for each, titles in _declared().items()
        if each.described.ends & ends and (ends is Ends.BOTH or not each.only_receiver)
    )


def receivers(command: Decorator) -> Decorator:
    """Decorator: options of the receivers of any codecs, those that their transmitters need not know, as
    keyword arguments that `take_options` takes.
    """
    alone = [_flag(told, each) for each, told in _declared().items() if each.described.ends is Ends.RECEIVER]
    for option in reversed((RECEIVER_OPTION, *alone)):
        command = option(command)
    return command


def _declared() -> dict[Shorthand, str]:
    """All flags, with the titles of the systems that have each."""
    return {
        each: ", ".join(system.title for system in registry.systems() if each in system.shorthands)
        for each in registry.shorthands()
    }


def _flag(titles: str, each: Shorthand) -> Decorator:
    option = each.described
    told = f"{titles}: {option.doc}."
    if each.only_receiver:
        told = f"{titles}: {option.name.replace('_', ' ')} of the receiver, where it is another."
    elif option.default is not None and option.kinds != (bool,):
        told += f"  [default: {option.default}]"
    if option.kinds == (bool,):
        both = f"{each.flag}/--no-{each.flag.removeprefix('--')}"
        return click.option(both, _variable(each), default=None, callback=_given, help=told)
    kind = OfCodec(option)
    return click.option(each.flag, _variable(each), type=kind, metavar=kind.name, help=told)


def _given(ctx: click.Context, param: click.Parameter, value: bool | None) -> Given | None:
    return None if value is None else Given(value)


def _variable(each: Shorthand) -> str:
    return f"shorthand_{each.flag.strip('-').replace('-', '_')}"


def take_options(values: dict[str, Any], codec: str | None) -> tuple[Chosen, Chosen]:
    """Options of the transmitter's codec and of the receiver's, taken out of the values of a command's
    options. `codec`: its name; None for a receiver that takes any.

    Raises click.UsageError for options that contradict each other, HscError for one that the codec does not
    have, or a value that it refuses.
    """
    flags = {
        each: given.value
        for each in registry.shorthands()
        if (given := values.pop(_variable(each), None)) is not None
    }
    by_name = {
        Ends.TRANSMITTER: values.pop("options", ()),
        Ends.RECEIVER: values.pop("rx_options", ()),
    }
    if codec is not None:
        budget = {"--cbr"} if values.get("cbr") is not None else set()
        names = {name for name, _ in by_name[Ends.TRANSMITTER]}
        _refuse_contradictions(codec, budget | {each.flag for each in flags}, names)
    transmitter, receiver = (
        _named(end, codec, given, _of_flags(flags, codec, end)) for end, given in by_name.items()
    )
    if codec is None:
        by_codec(receiver)
    else:
        for chosen in (transmitter, receiver):
            registry.create(codec, **chosen)
    return transmitter, receiver


def _refuse_contradictions(codec: str, flags: set[str], by_name: set[str]) -> None:
    """Raises click.UsageError for flags that exclude each other, or an option by its name that stands for
    one of them.
    """
    known = registry.codec_class(codec).Options
    own = [each for each in registry.shorthands() if issubclass(known, each.options)]
    given = flags | {each.flag for each in own if each.field in by_name}
    for each in own:
        if each.flag in given and len(together := [flag for flag in each.excludes if flag in given]) > 1:
            *others, last = each.excludes
            raise click.UsageError(
                f"{', '.join(others)} and {last} exclude each other: give one of {', '.join(together)}"
            )


def _of_flags(flags: dict[Shorthand, object], codec: str | None, end: Ends) -> Chosen:
    """What the flags choose at one end: one that is for the receiver alone counts more than one for both."""
    chosen: Chosen = {}
    for each, value in sorted(flags.items(), key=lambda item: item[0].only_receiver):
        if end not in (Ends.RECEIVER if each.only_receiver else each.described.ends):
            continue
        if codec is not None and not _has(registry.codec_class(codec), each.field, end):
            having = ", ".join(
                name for name, kind in registry.codec_classes().items() if _has(kind, each.field, end)
            )
            raise HscError(f"{each.flag} is for {having}: codec {codec} has no option {each.field}")
        chosen[each.field] = value
    return chosen


def _named(end: Ends, codec: str | None, given: Iterable[tuple[str, str]], chosen: Chosen) -> Chosen:
    """`chosen`, and NAME=VALUE of one end as the codec's options read it: for a receiver that takes any
    codec, those of the first that has it.
    """
    found = dict(chosen)
    for name, text in given:
        if name in found:
            raise click.UsageError(f"the {_ENDS[end]}'s option {name} is given twice: give it once")
        classes = registry.codec_classes() if codec is None else {codec: registry.codec_class(codec)}
        known = [kind for kind in classes.values() if _has(kind, name, end)]
        if not known:
            other = next(there for there in _ENDS if there is not end)
            there = any(_has(kind, name, other) for kind in classes.values())
            advice = f"give it with {_FLAGS[other]}" if there else "`gr-hsc codecs` lists them"
            raise HscError(f"{_nobody(codec, end)} {name}: {advice}")
        found[name] = described(known[0].Options)[name].parse(text)
    return found


def _has(kind: type[Codec], name: str, end: Ends) -> bool:
    option = described(kind.Options).get(name)
    return option is not None and end in option.ends


def shown(chosen: Mapping[str, object]) -> dict[str, object]:
    """Options of receivers of any codec as they may be written down: without those that are secret."""
    kinds = registry.codec_classes().values()
    secret = {name for kind in kinds for name, each in described(kind.Options).items() if each.secret}
    return {name: value for name, value in chosen.items() if name not in secret}


def by_codec(chosen: Chosen) -> dict[str, Chosen]:
    """Options of a receiver that takes any codec → for each codec those that it has. Raises HscError for one
    that none has, or a value that a codec refuses.
    """
    found: dict[str, Chosen] = {}
    for name, kind in registry.codec_classes().items() if chosen else ():
        if own := {key: value for key, value in chosen.items() if _has(kind, key, Ends.RECEIVER)}:
            registry.create(name, **own)
            found[name] = own
    if unknown := sorted(set(chosen).difference(*found.values())):
        raise HscError(f"{_nobody(None, Ends.RECEIVER)} {unknown[0]}: `gr-hsc codecs` lists them")
    return found


def _nobody(codec: str | None, end: Ends) -> str:
    """The beginning of a line about an option that is not there."""
    if codec is None:
        return f"no codec's {_ENDS[end]} has an option"
    return f"{codec}'s {_ENDS[end]} has no option"
