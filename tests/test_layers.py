"""Imports point one way, and in no circle; engines know no system."""

import ast

import pytest
from support.layers import MODULES, RANK, TOGETHER, imports, top

GNU_RADIO = ("gnuradio", "pmt", "uhd", "osmosdr")


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
    """And by bench, which measures GNU Radio's own blocks beside ours."""
    in_a_room = name.startswith("systems.") and "blocks" in name.split(".")[2:3]
    allowed = in_a_room or top(name) in ("blocks", "app", "bench")
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names = [node.module]
        used = [each for each in names if each.split(".")[0] in GNU_RADIO]
        assert allowed or not used, f"{name} imports {used}"
