"""docs/guide/extend.md: its package is written down as shown, installed, and proven."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, assert_shown, blocks

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

PAGE = ROOT / "docs/guide/extend.md"
PLACE = re.compile(r"# ([\w/]+\.(?:py|toml))\n")
FILES = {
    PLACE.match(block.text)[1]: block.text
    for language in ("python", "toml")
    for block in blocks(PAGE, language)
}
PROJECT = tomllib.loads(FILES["pyproject.toml"])["project"]
ITEMS = [path for path in FILES if path.startswith("toynets/")]


def entry_points() -> str:
    """Those of the page's project, in the form that an installer writes."""
    lines: list[str] = []
    for group, points in PROJECT["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {module}" for name, module in points.items())]
    return "\n".join(lines)


def install(folder: Path) -> None:
    """The page's package, as `pip install` would leave it, without asking an index."""
    for path, text in FILES.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    (folder / "toynets/__init__.py").touch()
    metadata = folder / f"{PROJECT['name']}-{PROJECT['version']}.dist-info"
    metadata.mkdir()
    name = f"Name: {PROJECT['name']}\nVersion: {PROJECT['version']}\n"
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\n{name}")
    (metadata / "entry_points.txt").write_text(entry_points())


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    install(folder)
    return folder


def execute(installed: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A command in an empty folder, where the package is installed."""
    path = os.pathsep.join([str(installed), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    alone = {name: text for name, text in os.environ.items() if not name.startswith("PYTEST_XDIST")}
    environment = {**alone, "PYTHONPATH": path}
    return subprocess.run(
        [sys.executable, "-m", *words], cwd=folder, env=environment, capture_output=True, text=True
    )


def suite(installed: Path, folder: Path, name: str) -> str:
    plain = ["pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", str(folder)]
    (folder / name).write_text(FILES[name])
    done = execute(installed, folder, *plain, name)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_page_has_one_of_each():
    groups = {"formats", "runtimes", "transforms", "checks", "libraries"}
    assert set(PROJECT["entry-points"]) == {f"pytest_modelport.{group}" for group in groups}
    named = [module for points in PROJECT["entry-points"].values() for module in points.values()]
    assert {f"{module.replace('.', '/')}.py" for module in named} == set(ITEMS)


@pytest.mark.parametrize("path", ITEMS)
def test_an_item_imports_from_extend_alone(path):
    nodes = [*ast.walk(ast.parse(FILES[path]))]
    imported = {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    imported |= {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}
    ours = {module for module in imported if module.startswith("pytest_modelport")}
    assert ours <= {"pytest_modelport.extend"}
    assert imported - ours <= {"numpy", "torch"}


def test_the_table_lists_what_extend_offers():
    from pytest_modelport import extend

    table = PAGE.read_text().partition("## What is in `pytest_modelport.extend`")[2]
    cells = re.findall(r"^\| (`[^|]+) \|", table, re.MULTILINE)
    listed = {name for cell in cells for name in re.findall(r"`(\w+)", cell)}
    assert listed | {"Question"} == set(extend.__all__)
    assert all(getattr(extend, name) for name in extend.__all__)


def test_the_package_is_proven(installed, tmp_path):
    printed = suite(installed, tmp_path, "test_toynets.py")
    assert "8 passed" in printed


def test_it_keeps_the_contract(installed, tmp_path):
    assert " passed" in suite(installed, tmp_path, "test_contract.py")


def test_its_models_are_verified_by_name(installed, tmp_path):
    (block,) = blocks(PAGE, "console")
    words = block.text.splitlines()[0].removeprefix("$ modelport ").split()
    done = execute(installed, tmp_path, "pytest_modelport.cli", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert_shown(block.text, done.stdout)


def test_a_mistake_is_red(tmp_path):
    """The example would show nothing if any runtime passed."""
    install(tmp_path / "site")
    path = tmp_path / "site/toynets/numpy_mlp.py"
    path.write_text(path.read_text().replace("weight.T + bias", "weight.T + bias * 1.01"))
    words = ["verify", "toynets:deep", "--targets", "npz_mlp"]
    done = execute(tmp_path / "site", tmp_path, "pytest_modelport.cli", *words)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "is wrong" in done.stdout


def test_a_model_that_the_format_cannot_express_is_unsupported(installed, tmp_path):
    code = """
import torch
from pytest_modelport import verify

report = verify(torch.nn.Sequential(torch.nn.GELU()), torch.ones(2, 3), targets=["npz_mlp"])
(verdict,) = report.verdicts
print(verdict.outcome, verdict.reason)
"""
    (tmp_path / "program.py").write_text(code)
    done = execute(installed, tmp_path, "program")
    assert "unsupported" in done.stdout, done.stdout + done.stderr
    assert "only ReLU" in done.stdout
