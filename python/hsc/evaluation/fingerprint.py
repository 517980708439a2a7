"""What a codec is made of: the program text that it uses and the checksums of its weights, as one short
fingerprint.

Comments, docstrings and layout do not count.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
from pathlib import Path

from ..codecs import registry

_PACKAGE = __package__.rpartition(".")[0]
_COUNTED = tuple(f"{_PACKAGE}.{part}." for part in ("codecs", "coding", "nn", "phy", "systems"))
_SHORTEST_NAME = 3
_NOT_OF_ONE_CODEC = f"{_PACKAGE}.codecs.registry"


@functools.cache
def of_codec(codec: str) -> str:
    """Fingerprint of a registered codec. Raises HscError for an unknown name.

    Its weights are those whose name begins with its own, hyphens read as underscores, or with a text constant
    of its programs.
    """
    modules = sources(f"{_PACKAGE}.{registry.module(codec)}")
    parts = [modules[name] for name in sorted(modules)]
    beginnings = {codec, *(text for part in parts for text in _constants(part))}
    parts += [
        str(_checksum(name))
        for name in _weights()
        if any(name.replace("-", "_").startswith(b.replace("-", "_")) for b in beginnings)
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _weights() -> tuple[str, ...]:
    from .. import weights

    return weights.names()


def _checksum(name: str) -> object:
    from .. import weights

    return weights.card(name).get("sha256")


def _constants(program: str) -> set[str]:
    """Text constants long enough to name weights, parts of f-strings included."""
    found = (node.value for node in ast.walk(ast.parse(program)) if isinstance(node, ast.Constant))
    return {value for value in found if isinstance(value, str) and len(value) >= _SHORTEST_NAME}


def sources(start: str) -> dict[str, str]:
    """Program text of module `start` and of every module of codecs, nn and phy that it imports, directly or
    not, by name.
    """
    found: dict[str, str] = {}
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name in found or name == _NOT_OF_ONE_CODEC:
            continue
        found[name], imported = _read(name)
        waiting += imported
    return found


@functools.cache
def _read(name: str) -> tuple[str, tuple[str, ...]]:
    """Program text of a module without docstrings and comments, and the modules that count which it imports
    anywhere.
    """
    spec = _spec(name)
    if spec is None or not spec.origin or not Path(spec.origin).is_file():
        return "", ()
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    package = name if spec.submodule_search_locations else name.rpartition(".")[0]
    imported = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*above, *([node.module] if node.module else [])])
            imported += [base, *(f"{base}.{alias.name}" for alias in node.names)]
        body = getattr(node, "body", None)
        if (
            isinstance(body, list)
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
        ):
            node.body = body[1:] or [ast.Pass()]
    return ast.unparse(tree), tuple(m for m in dict.fromkeys(imported) if m.startswith(_COUNTED) and _spec(m))


def _spec(name: str):  # noqa: ANN202
    try:
        return importlib.util.find_spec(name)
    except (ModuleNotFoundError, ValueError):  # a name in a module, or a module made in memory
        return None
