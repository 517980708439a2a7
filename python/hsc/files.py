"""Files that are written whole, and names of files: as text shows them, and as files can be called."""

from __future__ import annotations

import os
import threading
from pathlib import Path

# Longest stem of a file's name [bytes]: file systems allow 255, and suffixes such as "-2_compare_curve.png"
# come in addition.
MAX_STEM = 200
# Characters of a path in a line of text.
_SHOWN = 120


def write(path: Path, content: bytes) -> None:
    """Write a file beside its place, and rename it when it is whole: a failure leaves an older one as it was.
    Raises OSError.
    """
    path = Path(os.path.realpath(path))
    part = path.with_name(f".hsc-{os.getpid()}-{threading.get_ident()}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def text(content: str) -> bytes:
    """Text → UTF-8. Bytes of a file's name that are no UTF-8 (PEP 383) become what JSON and Python write for
    them, such as `\\udce9`.
    """
    return content.encode("utf-8", "backslashreplace")


def printable(name: str) -> str:
    """A name as any terminal and font can show it: bytes that are no UTF-8, and control characters, as
    escapes such as `\\xe9`.
    """
    return "".join(c if c.isprintable() else _escape(c) for c in name)


def _escape(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is no UTF-8 (PEP 383)
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def label(path: Path | str) -> str:
    """A path for a line of text: printable, the middle of a long one left out."""
    shown = printable(str(path))
    return shown if len(shown) <= _SHOWN else f"{shown[: _SHOWN // 2]}...{shown[-_SHOWN // 2 :]}"


def stem(name: str) -> str:
    """What a file may be called, before its suffixes, that is named after `name`: no path, no NUL, cut to
    MAX_STEM bytes.
    """
    name = name.replace("/", "_").replace("\0", "_")
    while len(os.fsencode(name)) > MAX_STEM:
        name = name[:-1]
    return name
