"""Imports point one way: the layers of pyproject.toml hold, and no modules import in a circle."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).parents[1]


def circle(imports: dict[str, set[str]]) -> list[str]:
    """Return modules that import in a circle; none if there is no circle."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_layers_are_those_of_pyproject(capsys: pytest.CaptureFixture[str]) -> None:
    broken = lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True, no_logo=True)
    assert not broken, capsys.readouterr().out


def test_no_modules_import_in_a_circle() -> None:
    graph = grimp.build_graph("explorer", cache_dir=None)
    imports = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    assert len(imports) > 100
    assert not circle(imports)
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}})


def test_pages_are_made_of_the_apps_parts() -> None:
    for file in [ROOT / "app.py", *(ROOT / "pages").glob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            module = node.module if isinstance(node, ast.ImportFrom) else None
            if module and module.startswith("explorer"):
                assert module.startswith("explorer.ui."), f"{file.name} imports {module}"


def test_only_its_command_imports_how_the_demo_was_made() -> None:
    graph = grimp.build_graph("explorer", cache_dir=None)
    inside = {"explorer.demo", *graph.find_descendants("explorer.demo")}
    importers = set().union(*map(graph.find_modules_that_directly_import, inside)) - inside
    assert importers == {"explorer.commands.demo"}
