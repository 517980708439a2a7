"""Options of a codec from keyword arguments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from ..errors import HscError

Options = TypeVar("Options")


def options_of(kind: type[Options], codec: str, given: Mapping[str, object]) -> Options:
    """`kind(**given)`, `kind` being the dataclass of a codec's options. Raises HscError for one that there is not, or a wrong value."""
    known = kind.__dataclass_fields__
    for name in given:
        if name not in known:
            raise HscError(f"{codec} has no such option ({name}): choose from {', '.join(known) or 'none at all'}")
    try:
        return kind(**given)
    except TypeError as error:
        raise HscError(f"{codec}: an option's value is of the wrong type ({error})") from None
