"""What a PDU is: a dataclass whose fields are metadata keys and at most one vector, written to PMTs and read
from them.

A PDU is a pair of a metadata dictionary and a uniform vector (GNU Radio's convention). `to_pdu()` writes,
`parse()` reads; whatever is wrong with a PDU is one HscError. The kinds are in `pdu.py`; a system may define
more in its own modules.
"""

from __future__ import annotations

from dataclasses import MISSING, Field, field, fields
from typing import Any, ClassVar

import pmt

from ..errors import HscError
from .pdu_keys import Key, read_vector, require, write_vector

# All kinds by name, those that systems define in their own modules too.
KINDS: dict[str, type[Pdu]] = {}


def key(of: Key, **default: Any) -> Any:
    """A field of a PDU that is a metadata key; `default` as of `dataclasses.field`."""
    return field(metadata={"key": of}, **default)


def optional(of: Key) -> Any:
    """A key that may be left out."""
    return key(of, default=None)


def payload(item: str) -> Any:
    """The field that is the vector, of items such as "f32"."""
    return field(metadata={"payload": item})


class Pdu:
    """Base of all kinds. A subclass with a `kind` is a kind from its definition on.

    Attributes:
        kind: its name in the metadata.
        message_id: the message that fails when a block cannot serve this PDU; None when none does.

    Raises:
        HscError: at its definition: there is a kind of that name already.
    """

    kind: ClassVar[str]
    message_id: ClassVar[int | None] = None

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        require(cls.kind not in KINDS, f"there is a PDU kind '{cls.kind}' already: choose another name")
        KINDS[cls.kind] = cls

    def to_pdu(self) -> Any:
        """The PMT pair. Keys whose value is None are left out; a kind without a vector has an empty one."""
        meta = pmt.dict_add(pmt.make_dict(), pmt.intern("kind"), pmt.intern(self.kind))
        vector = write_vector(b"", "u8")
        for f in fields(self):
            value = getattr(self, f.name)
            if "payload" in f.metadata:
                vector = write_vector(value, f.metadata["payload"])
            elif value is not None:
                meta = pmt.dict_add(meta, pmt.intern(f.name), f.metadata["key"].write(value))
        return pmt.cons(meta, vector)


# What the PMT binding throws, UnicodeDecodeError among the ValueErrors.
_OF_PMT = (RuntimeError, ValueError, TypeError, IndexError, AttributeError, OverflowError)


def parse(message: Any) -> Pdu:
    """PMT → PDU. Raises HscError, and nothing else, for whatever is of no kind or lacks a key in its type and
    bounds.
    """
    try:
        return _parse(message)
    except _OF_PMT as error:
        raise HscError(f"not a PDU of this module: {error}") from error


def _parse(message: Any) -> Pdu:
    pair = pmt.is_pair(message) and pmt.is_dict(pmt.car(message))
    require(pair, "not a PDU: give a pair of a metadata dictionary and a vector")
    meta, vector = pmt.car(message), pmt.cdr(message)
    kind = pmt.dict_ref(meta, pmt.intern("kind"), pmt.PMT_NIL)
    name = pmt.symbol_to_string(kind) if pmt.is_symbol(kind) else ""
    require(name in KINDS, f"PDU without a known kind: set the key 'kind' to one of {', '.join(KINDS)}")
    found = {f.name: _read(name, f, meta, vector) for f in fields(KINDS[name])}
    try:
        return KINDS[name](**{key: value for key, value in found.items() if value is not None})
    except HscError as error:
        raise HscError(f"{name} PDU, {error}") from error


def _read(kind: str, f: Field, meta: Any, vector: Any) -> Any:
    """Value of one field, None for a key that may be left out and is."""
    try:
        if "payload" in f.metadata:
            return read_vector(vector, f.metadata["payload"])
        value = pmt.dict_ref(meta, pmt.intern(f.name), pmt.PMT_NIL)
        if pmt.is_null(value):
            require(f.default is not MISSING, "is missing")
            return None
        return f.metadata["key"].read(value)
    except HscError as error:
        raise HscError(f"{kind} PDU, {'vector' if 'payload' in f.metadata else f.name}: {error}") from error
