"""What a codec is made of: the program text that it uses and the checksums of its weights, as one short
fingerprint.

Counted are the modules that the codec's own module imports, directly or not: those of this package that make
messages, and those of the codec's own package, wherever that lies. Comments, docstrings and layout do not
count, nor do declarations: what lists systems, and what a system declares besides its codecs (recipes,
figures, blocks).
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from importlib.machinery import ModuleSpec
from pathlib import Path

from ..codecs import registry
from ..codecs.system import System

_PACKAGE = __package__.rpartition(".")[0]
_COUNTED = tuple(f"{_PACKAGE}.{part}" for part in ("codecs", "coding", "nn", "phy", "systems"))
# Package and weights of the refiner, which counts where images are refined.
_REFINER = "refiner"
# A module that imports this one is about systems, not part of one; so it is itself.
_DECLARES = f"{_PACKAGE}.codecs.system"


@functools.cache
def of_codec(codec: str) -> str:
    """Fingerprint of a registered codec: its programs, and the weights that its class names. Raises HscError
    for an unknown name.
    """
    start = _module(registry.entry(codec).codec)
    system, patterns = registry.system_of(codec), registry.codec_class(codec).weights
    return _digest([*_texts(sources(start, _declared(system))), *_sums(patterns, system.weights)])


@functools.cache
def of_refiner() -> str:
    """Fingerprint of the refiner, which stands behind several codecs: its programs and its weights."""
    from .. import weights

    return _digest([*_texts(sources(f"{_PACKAGE}.refiner.refine")), *_sums(("refiner*",), weights.FOLDER)])


@functools.cache
def of_stills() -> str:
    """Fingerprint of the source coders behind the bounds: their programs, and the post-filter's weights."""
    from .. import weights
    from ..coding import nnpf

    programs = sources(f"{_PACKAGE}.coding.stills")
    return _digest([*_texts(programs), *_sums((nnpf.WEIGHTS,), weights.FOLDER)])


def _sums(patterns: Sequence[str], folder: Path) -> list[str]:
    """Name and checksum of all weights in a folder whose names fit one of the patterns."""
    from .. import weights

    used = [name for name in weights.names(folder) if any(fnmatchcase(name, each) for each in patterns)]
    return [f"{name} {weights.card(name, folder).get('sha256')}" for name in used]


def _texts(programs: dict[str, str]) -> list[str]:
    return [programs[name] for name in sorted(programs)]


def _digest(parts: list[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _declared(system: System) -> frozenset[str]:
    """Modules of what a system declares besides its codecs."""
    encoders = (place for e in system.codecs for place in (e.semantic_encoder, e.semantic_decoder))
    return frozenset(map(_module, (system.recipes, system.figures, *system.blocks, *encoders)))


def _module(place: str) -> str:
    return place.partition(":")[0]


def sources(start: str, left_out: frozenset[str] = frozenset()) -> dict[str, str]:
    """Program text of module `start` and of every module that counts which it imports, directly or not, by
    name.

    Args:
        left_out: modules that do not count, nor what only they import; `start` always counts.
    """
    counted = (*_COUNTED, _home(start))
    found: dict[str, str] = {}
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name in found or (name in left_out and name != start):
            continue
        text, imported = _read(name)
        if name != start and _DECLARES in (name, *imported):
            continue
        found[name] = text
        waiting += [each for each in imported if _is_in(each, counted) and _spec(each)]
    return found


def _home(module: str) -> str:
    """The largest package of a module in which this one is not: its own package, or the module itself if it
    is in none.
    """
    parts = module.split(".")
    above = (".".join(parts[: i + 1]) for i in range(len(parts)))
    return next(name for name in above if not _is_in(_PACKAGE, (name,)))


def _is_in(name: str, packages: tuple[str, ...]) -> bool:
    return any(f"{name}.".startswith(f"{package}.") for package in packages)


@functools.cache
def _read(name: str) -> tuple[str, tuple[str, ...]]:
    """Program text of a module without docstrings and comments, and all names that it imports anywhere."""
    spec = _spec(name)
    if spec is None or not spec.origin or not Path(spec.origin).is_file():
        return "", ()
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    package = name if spec.submodule_search_locations else name.rpartition(".")[0]
    imported = tuple(dict.fromkeys(each for node in ast.walk(tree) for each in _imported(node, package)))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if (
            isinstance(body, list)
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
        ):
            node.body = body[1:] or [ast.Pass()]
    return ast.unparse(tree), imported


def _imported(node: ast.AST, package: str) -> Iterator[str]:
    """Names that an import in a module of `package` may mean, relative ones made absolute."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
        base = ".".join([*above, *([node.module] if node.module else [])])
        yield base
        yield from (f"{base}.{alias.name}" for alias in node.names)


def _spec(name: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(name)
    except (ModuleNotFoundError, ValueError):  # a name in a module, or a module made in memory
        return None
