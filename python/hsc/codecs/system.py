"""How a system is declared: its codecs, and where its networks' recipes, its figures, blocks and weights are
found.

A declaration imports nothing heavy. What it names as "module:attribute" is imported when it is first needed.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import HscError
from ..paths import WEIGHTS
from .options import Described, described


@dataclass(frozen=True)
class CodecEntry:
    """A codec on the air.

    Attributes:
        name: what users type.
        number: in the packet header: part of the air interface, never used again for another codec. 200 to
            255 are for codecs from outside this package.
        codec: "module:class" of its `contract.Codec`.
        semantic_encoder, semantic_decoder: "module:class" of its GNU Radio blocks of that name; empty when it
            has none of its own.
    """

    name: str
    number: int
    codec: str
    semantic_encoder: str = ""
    semantic_decoder: str = ""
    colour: str = ""


@dataclass(frozen=True)
class Shorthand:
    """A flag of the command line that stands for an option of a system's codecs.

    Attributes:
        flag: such as "--rank".
        options: dataclass of options that has the field.
        field: its name; type, choices and help come from there.
        only_receiver: with a field that both ends have: the flag gives the receiver's value, where it is to
            be another.
        excludes: flags that cannot be given together with it.
    """

    flag: str
    options: type
    field: str
    only_receiver: bool = False
    excludes: tuple[str, ...] = ()

    @property
    def described(self) -> Described:
        """The option that it stands for."""
        return described(self.options)[self.field]


@dataclass(frozen=True)
class System:
    """One published system, or one family of baselines.

    Attributes:
        name: of its room; title: as its paper calls it.
        codecs: what it sends.
        recipes: "module:attribute" of a tuple of `training.recipe.Recipe`.
        blocks: "module:class" of its GNU Radio blocks, which are attributes of `gnuradio.hsc` by their names.
        figures: "module:attribute" of a tuple of `evaluation.figure.Figure`.
        shorthands: flags for its options in the command line.
        weights: folder of its weights.
        page: where its documentation is.
    """

    name: str
    title: str
    codecs: tuple[CodecEntry, ...] = ()
    recipes: str = ""
    figures: str = ""
    blocks: tuple[str, ...] = ()
    shorthands: tuple[Shorthand, ...] = ()
    weights: Path = WEIGHTS
    page: str = ""


def load(place: str) -> Any:
    """What "module:attribute" names. Raises HscError where it cannot be imported, whatever is wrong there."""
    module, _, attribute = place.partition(":")
    try:
        found = vars(importlib.import_module(module))
    except ModuleNotFoundError as missing:
        raise HscError(
            f"{place} needs {missing.name}, which is not installed: install it, or leave out what uses it"
        ) from None
    except HscError:
        raise
    except Exception as error:
        # A mistake of a stranger's system shall end what needs that system, and nothing else.
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise HscError(f"{place} cannot be imported ({reason}): mend it, or take it out") from error
    if attribute not in found:
        raise HscError(f"there is no {place}: the system that names it is broken, install it again")
    return found[attribute]
