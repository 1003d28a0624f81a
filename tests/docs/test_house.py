"""The house rules of ARCHITECTURE.md, held against the imports as they are."""

from __future__ import annotations

import ast
from pathlib import Path

import grimp
import pytest

import pytest_modelport

ROOT = Path(pytest_modelport.__file__).parent
PACKAGE = "pytest_modelport"


@pytest.fixture(scope="module")
def graph():
    return grimp.build_graph(PACKAGE, exclude_type_checking_imports=False)


def edges(graph):
    for importer in graph.modules:
        for imported in graph.find_modules_directly_imported_by(importer):
            if PACKAGE not in (importer, imported):
                yield importer, imported


def test_there_are_no_cycles():
    """Imports for type checking count. The package itself only names what it exports."""
    graph = grimp.build_graph(PACKAGE, exclude_type_checking_imports=False)
    graph.remove_module(PACKAGE)
    looped = [
        f"{importer} -> {imported}"
        for importer, imported in edges(graph)
        if imported in graph.find_downstream_modules(importer)
    ]
    assert looped == []


SHELVES = [
    "backends.formats",
    "backends.runtimes",
    "backends.transforms",
    "backends.libraries",
    "checks",
]


@pytest.mark.parametrize("shelf", SHELVES)
def test_items_of_a_shelf_do_not_import_each_other(graph, shelf):
    inside = [
        (a, b)
        for a, b in edges(graph)
        if a.startswith(f"{PACKAGE}.{shelf}.") and b.startswith(f"{PACKAGE}.{shelf}")
    ]
    assert [(a, b) for a, b in inside if not b.rpartition(".")[2].startswith("_")] == []


def test_nobody_outside_a_folder_imports_its_underscore_files(graph):
    private = [(a, b) for a, b in edges(graph) if b.rpartition(".")[2].startswith("_")]
    assert [(a, b) for a, b in private if a.rpartition(".")[0] != b.rpartition(".")[0]] == []


def test_nothing_below_the_plugin_knows_of_it_or_of_pytest():
    for path in ROOT.rglob("*.py"):
        if path.is_relative_to(ROOT / "plugin"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(name.partition(".")[0] in ("pytest", "_pytest") for name in names), path


@pytest.mark.parametrize("name", ["badge", "failure_text", "html", "markdown", "plot", "terminal"])
def test_what_renders_knows_verdicts_only(graph, name):
    known = ("errors", "package", "plain", "report", "route", "verdict")
    allowed = {f"{PACKAGE}.core.{module}" for module in known}
    assert graph.find_modules_directly_imported_by(f"{PACKAGE}.reports.{name}") <= allowed | {
        PACKAGE
    }


def test_only_what_is_public_stands_at_the_top():
    folders = {path.name for path in ROOT.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert len(folders) == 15
    public = {"__init__", "__main__", "consolidate", "distil", "extend", "merge", "strategies"}
    assert {path.stem for path in ROOT.glob("*.py")} == public


def test_no_room_is_crowded():
    for path in ROOT.rglob("*.py"):
        lines = path.read_text().count("\n")
        assert lines <= 300, f"{path.name} has {lines} lines: it does more than one thing"
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                said = len((ast.get_docstring(node) or "").splitlines())
                assert node.end_lineno - node.lineno - said < 60, (
                    f"{path.name}: {node.name} is too long"
                )


@pytest.mark.parametrize(
    "name", ["ARCHITECTURE.md", "CONTRIBUTING.md", "README.md", "CHANGELOG.md"]
)
def test_every_module_a_document_names_is_there(name):
    import re

    text = (ROOT.parent / name).read_text()
    for found in re.findall(r"`(?:pytest_modelport/)?((?:[a-z_]+/)*[a-z_]+\.py)`", text):
        assert (ROOT / found).exists() or (ROOT.parent / found).exists(), f"{name} names {found}"
