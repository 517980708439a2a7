"""Options of codecs: dataclasses whose fields carry their own documentation, and their values checked against
it.

One declaration serves the constructor, `--option NAME=VALUE` of the command line, `gr-hsc codecs NAME`, and
the shorthands of a system.
"""

from __future__ import annotations

import ast
import functools
import types
from collections.abc import Callable, Hashable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from enum import Flag, auto
from fractions import Fraction
from numbers import Integral, Real
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from ..errors import HscError

T = TypeVar("T")


class Ends(Flag):
    """The ends of a link that an option is for."""

    TRANSMITTER = auto()
    RECEIVER = auto()
    BOTH = TRANSMITTER | RECEIVER


def option(
    default: T,
    doc: str,
    ends: Ends = Ends.TRANSMITTER,
    read: Callable[[str], T] | None = None,
    secret: bool = False,
) -> T:
    """A field of a codec's options dataclass.

    Args:
        default: its value where nothing is given.
        doc: what it is, one sentence, unit in brackets.
        ends: where it matters. What both need each is given for itself: nothing but the channel joins them.
        read: text of the command line -> value; raises HscError. None: a number, a Python literal, anything
            else is text.
        secret: the value is never written down.
    """
    return field(default=default, metadata={"doc": doc, "ends": ends, "read": read, "secret": secret})


def repair_option(of: str) -> float | None:
    """The field `repair_share` of codecs that protect something, `of`, with repair symbols."""
    return option(
        None,
        f"RaptorQ repair symbols over all symbols of {of}, 0 to 0.9: lost packets up to that share cost "
        "nothing of it; if left out, as many as the losses that are known of call for",
    )


@dataclass(frozen=True)
class NoOptions:
    """Of a codec that has none."""


@dataclass(frozen=True)
class Described:
    """One option of a codec, as `option` declared it.

    Attributes:
        name, default, doc, ends, read, secret: as given there.
        choices: the values that a `Literal` allows, else none.
        kinds: types of its value, `NoneType` among them where None is allowed.
    """

    name: str
    default: object
    doc: str
    ends: Ends
    read: Callable[[str], object] | None
    secret: bool
    choices: tuple[object, ...]
    kinds: tuple[type, ...]

    def parse(self, text: str) -> object:
        """Text of the command line → value; where the option takes text, what is no other value of it is
        text; a choice is as it is written. Raises HscError for text that `read` refuses.
        """
        if self.read is not None:
            return self.read(text)
        if text in self.choices:
            return text
        if bool in self.kinds and text.lower() in _TRUTHS:
            return _TRUTHS[text.lower()]
        try:
            if float in self.kinds and "/" in text:
                return float(Fraction(text))
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError, ArithmeticError, MemoryError, RecursionError):
            return text
        return text if str in self.kinds and not any(_is(value, kind) for kind in self.kinds) else value

    def check(self, codec: str, value: object) -> None:
        """Raises HscError for a value of another type or outside the choices."""
        if self.choices:
            # An array compares item by item: only what has a hash is looked for among the choices.
            good = isinstance(value, Hashable) and value in self.choices
        else:
            good = any(_is(value, kind) for kind in self.kinds)
        if good:
            return
        shown = type(value).__name__ if self.secret else " ".join(repr(value).split())
        if self.choices:
            choices = ", ".join(map(str, self.choices))
            raise HscError(f"{codec} option {self.name} {shown} is unknown: choose one of {choices}")
        wanted = " or ".join(_WORDS.get(kind, kind.__name__) for kind in self.kinds)
        raise HscError(f"{codec} option {self.name} is {shown}: give {wanted}")


_TRUTHS = {"true": True, "false": False}
_WORDS = {
    bool: "True or False",
    int: "a whole number",
    float: "a number",
    str: "text",
    bytes: "bytes",
    type(None): "None",
}


def _is(value: object, kind: type) -> bool:
    if kind in (int, float):
        return isinstance(value, Integral if kind is int else Real) and not isinstance(value, bool)
    return isinstance(value, kind)


@functools.cache
def described(kind: type) -> dict[str, Described]:
    """All options of a dataclass of options, by name."""
    hints = get_type_hints(kind)
    return {f.name: _described(f.name, hints[f.name], f.default, f.metadata) for f in fields(kind)}


def _described(name: str, hint: Any, default: object, about: Mapping[str, Any]) -> Described:
    parts = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    choices = tuple(choice for part in parts if get_origin(part) is Literal for choice in get_args(part))
    if choices and type(None) in parts:
        choices += (None,)
    kinds = tuple(part for part in parts if isinstance(part, type))
    shown = None if default is MISSING else default
    ends, secret = about.get("ends", Ends.TRANSMITTER), about.get("secret", False)
    return Described(name, shown, about.get("doc", ""), ends, about.get("read"), secret, choices, kinds)


def options_of(kind: type[T], codec: str, given: Mapping[str, object]) -> T:
    """`kind(**given)`, `kind` being the dataclass of a codec's options. Raises HscError for one that there is
    not, or a wrong value.
    """
    known = described(kind)
    for name, value in given.items():
        if name not in known:
            raise HscError(
                f"{codec} has no such option ({name}): choose from {', '.join(known) or 'none at all'}"
            )
        known[name].check(codec, value)
    return kind(**given)
