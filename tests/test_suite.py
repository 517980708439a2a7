"""The suite itself: what test modules share is in `support` and `conftest.py`; CMake names each of them."""

import ast

import pytest
from support import TESTS

MODULES = sorted(TESTS.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(TESTS)))
def test_no_module_imports_a_test_module(path):
    imported = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported.update(part for alias in node.names for part in alias.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            imported.update([*(node.module or "").split("."), *(alias.name for alias in node.names)])
    assert not [name for name in imported if name.startswith("test_") or name == "conftest"]


def test_names_of_test_modules_are_unique():
    """pytest imports them by these names, and ctest lists them by these names."""
    names = [path.stem for path in MODULES if path.stem.startswith("test_")]
    assert len(names) == len(set(names))
