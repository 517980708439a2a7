"""Imports point one way, and in no circle; engines know no system."""

import ast
from pathlib import Path

import pytest
from support import ROOT

PACKAGE = ROOT / "python" / "hsc"
# From the bottom. What stands in one line may import what stands in lines above it, and its own package.
LAYERS = (
    ("message", "errors", "metrics", "paths", "channel", "files", "home", "streams"),
    ("phy",),
    ("coding", "nn", "images", "weights"),
    ("codecs",),
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
GNU_RADIO = ("gnuradio", "pmt", "uhd", "osmosdr")


def modules() -> dict[str, Path]:
    """Dotted names inside the package → files."""
    files = {path.relative_to(PACKAGE).with_suffix("").parts: path for path in PACKAGE.rglob("*.py")}
    named = {".".join(p for p in parts if p != "__init__"): path for parts, path in files.items()}
    return {name: path for name, path in named.items() if name}


MODULES = modules()


def imports(name: str, everywhere: bool = True) -> set[str]:
    """Modules of the package that a module imports; without `everywhere` only when it is itself imported."""
    path = MODULES[name]
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = ast.walk(tree) if everywhere else _at_import(tree)
    found = set()
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.level:
            above = package.split(".") if package else []
            base = [*above[: len(above) - node.level + 1], *([node.module] if node.module else [])]
            for alias in node.names:
                longer = ".".join([*base, alias.name])
                found.add(longer if longer in MODULES else ".".join(base))
    return {each for each in found if each in MODULES}


def _at_import(tree: ast.AST):
    """Nodes that run when a module is imported: not those in functions, nor under TYPE_CHECKING."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        yield from _at_import(node)


def top(name: str) -> str:
    return name.split(".")[0]


def test_every_module_has_a_layer():
    assert {top(name) for name in MODULES} == set(RANK)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_imports_point_downwards(name):
    for target in imports(name):
        below = RANK[top(target)] < RANK[top(name)]
        together = any({top(name), top(target)} <= set(group) for group in TOGETHER)
        assert below or together, f"{name} → {target}"


def test_systems_do_not_know_each_other():
    for name in MODULES:
        if name.startswith("systems."):
            rooms = {target.split(".")[1] for target in imports(name) if target.startswith("systems.")}
            assert rooms <= {name.split(".")[1]}, name


def test_imports_form_no_circle():
    graph = {name: imports(name, everywhere=False) - {name} for name in MODULES}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " → ".join([*path[path.index(name) :], name])
        if name not in done:
            for target in graph[name]:
                visit(target, (*path, name))
            done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize("name", sorted(MODULES))
def test_gnu_radio_is_imported_by_blocks_and_commands_alone(name):
    in_a_room = name.startswith("systems.") and name.split(".")[2:3] == ["blocks"]
    allowed = in_a_room or top(name) in ("blocks", "app", "bench")
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names = [node.module]
        used = [each for each in names if each.split(".")[0] in GNU_RADIO]
        assert allowed or not used, f"{name} imports {used}"
