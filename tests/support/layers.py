"""The layers of the package, and which module imports which, read from the source."""

import ast
from collections.abc import Iterator
from pathlib import Path

from support import ROOT

PACKAGE = ROOT / "python" / "hsc"
# From the bottom. What stands in one line may import what stands in lines above it, and its own package.
LAYERS = (
    (
        *("message", "errors", "metrics", "perceptual", "perceptual_weights"),
        *("paths", "channel", "files", "home", "streams", "words"),
    ),
    ("phy", "weights"),
    ("coding", "nn", "images"),
    ("codecs",),
    ("refiner",),
    ("modem", "symbol_link", "radio"),
    ("blocks", "evaluation", "training"),
    ("systems",),
    ("bench",),
    ("app",),
)
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
# What may import each other besides.
TOGETHER = (
    LAYERS[0],
    ("coding", "nn", "images"),
    ("modem", "symbol_link", "radio"),
    *((name,) for name in RANK),
)


def modules() -> dict[str, Path]:
    """Dotted names inside the package → files."""
    files = {path.relative_to(PACKAGE).with_suffix("").parts: path for path in PACKAGE.rglob("*.py")}
    named = {".".join(part for part in parts if part != "__init__"): path for parts, path in files.items()}
    return {name: path for name, path in named.items() if name}


MODULES = modules()


def top(name: str) -> str:
    """The package or module directly under gnuradio.hsc that a module is in."""
    return name.split(".")[0]


def imports(name: str, everywhere: bool = True) -> set[str]:
    """Modules of the package that a module imports; without `everywhere` only when it is itself imported."""
    path = MODULES[name]
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = set()
    for node in ast.walk(tree) if everywhere else _at_import(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            above = package.split(".") if package else []
            base = [*above[: len(above) - node.level + 1], *([node.module] if node.module else [])]
            for alias in node.names:
                longer = ".".join([*base, alias.name])
                found.add(longer if longer in MODULES else ".".join(base))
    return {each for each in found if each in MODULES}


def _at_import(tree: ast.AST) -> Iterator[ast.AST]:
    """Nodes that run when a module is imported: not those in functions, nor under TYPE_CHECKING."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        yield from _at_import(node)
