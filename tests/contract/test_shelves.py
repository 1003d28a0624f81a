"""Every file on a shelf offers what the contract asks, and imports nothing heavy to say so."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_modelport.backends import registry
from pytest_modelport.cleanroom.environments import own
from pytest_modelport.engine.resolve import DEVICES, transform_of
from pytest_modelport.request.quality_floors import FLOORS

HEAVY = {"torch", "onnx", "onnxruntime", "onnxscript", "numpy", "rich", "hypothesis"}
ROOT = Path(registry.__file__).parent


@pytest.mark.parametrize("name", registry.names("formats"))
def test_a_format_offers_its_constants_and_functions(name):
    item = registry.format_(name)
    assert all(isinstance(text, str) for pair in item.REQUIRES.items() for text in pair)
    assert "cpu" in item.DEVICES
    assert item.RUNTIME in registry.openers(item.KIND)
    assert item.CALL in ("natural", "named")
    assert all(suffix.startswith(".") for suffix in item.SUFFIXES)
    assert callable(item.export)
    assert item.constants is None or callable(item.constants)
    assert callable(getattr(item, "convert", None)) or not registry.home(item)
    assert registry.home(item) in ("", *own())
    assert callable(item.inspect)


@pytest.mark.parametrize("name", registry.names("runtimes"))
def test_a_runtime_offers_its_constants_and_functions(name):
    item = registry.runtime(name)
    assert all(isinstance(text, str) for pair in item.REQUIRES.items() for text in pair)
    assert item.DEVICES
    assert set(item.DEVICES) <= set(DEVICES)
    assert set(item.OPENS) <= {registry.format_(other).KIND for other in registry.names("formats")}
    assert callable(item.open)


@pytest.mark.parametrize("name", registry.names("checks"))
def test_a_check_offers_run(name):
    item = registry.check(name)
    assert isinstance(item.DEFAULT, bool)
    assert callable(item.run)


@pytest.mark.parametrize("name", registry.names("transforms"))
def test_a_transform_offers_its_constants_and_apply(name):
    item = registry.transform(name)
    assert all(isinstance(text, str) for pair in item.REQUIRES.items() for text in pair)
    assert item.ON in (
        "subject",
        *(registry.format_(other).KIND for other in registry.names("formats")),
    )
    assert FLOORS[item.FLOOR].enough
    assert getattr(item, "INPUTS", "float16") in ("float16", "bfloat16")
    for options in getattr(item, "TRY", ()):
        transform_of(f"{name}({options})")
    assert callable(item.apply)


@pytest.mark.parametrize(
    "path",
    [*ROOT.glob("formats/*.py"), *ROOT.glob("runtimes/*.py"), *ROOT.glob("transforms/*.py")],
    ids=lambda path: f"{path.parent.name}/{path.name}",
)
def test_nothing_heavy_is_imported_at_module_level(path):
    top = [
        node
        for node in ast.parse(path.read_text()).body
        if isinstance(node, (ast.Import, ast.ImportFrom))
    ]
    names = {
        (node.module or "") if isinstance(node, ast.ImportFrom) else alias.name
        for node in top
        for alias in node.names
    }
    assert not {name.partition(".")[0] for name in names} & HEAVY


def test_every_extra_is_one_that_exists():
    import importlib.metadata

    extras = set(importlib.metadata.metadata("pytest-modelport").get_all("Provides-Extra"))
    used = {registry.format_(name).EXTRA for name in registry.names("formats")}
    used |= {registry.runtime(name).EXTRA for name in registry.names("runtimes")}
    used |= {registry.transform(name).EXTRA for name in registry.names("transforms")}
    assert used - {""} <= extras
    assert "all" in extras


def test_loading_the_whole_shelf_imports_nothing_heavy_but_numpy():
    code = """
import sys
from pytest_modelport.backends import registry
registry.targets()
for name in registry.names("transforms"):
    registry.transform(name)
print(sorted({name.partition(".")[0] for name in sys.modules} & {"torch", "torchao", "onnx", "onnxruntime", "onnxscript", "nncf", "rich"}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
