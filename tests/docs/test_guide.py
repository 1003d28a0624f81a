"""The guide: every block on every page is run, as a reader would. `extend` has a test of its own."""

from __future__ import annotations

import shlex
import subprocess
import sys

import pytest

from tests.docs.pages import ROOT, blocks, command, run

GUIDE = ROOT / "docs/guide"
PAGES = sorted(page for page in GUIDE.glob("*.md") if page.stem != "extend")
PYTHON = [(page, block) for page in PAGES for block in blocks(page, "python")]
TESTS = [
    pytest.param(block, id=f"{page.stem}-{block.name}") for page, block in PYTHON if block.is_test
]
PROGRAMS = [pytest.param(block, id=page.stem) for page, block in PYTHON if not block.is_test]


def test_every_page_is_there():
    assert {page.stem for page in PAGES} == {
        "budgets",
        "production",
        "release",
        "samples",
        "scripts",
        "targets",
        "tests",
        "transforms",
    }
    assert len(TESTS) >= 6
    assert len(PROGRAMS) == 1


@pytest.mark.parametrize("block", TESTS)
def test_a_test_file(block, tmp_path):
    run([block], tmp_path)


@pytest.mark.parametrize("block", PROGRAMS)
def test_a_program(block, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", block.text], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip(), "it shows nothing"


def test_the_command(tmp_path):
    (block,) = [
        block
        for block in blocks(GUIDE / "scripts.md", "console")
        if block.text.startswith("$ modelport")
    ]
    command(block, tmp_path)


def test_the_environment_is_one_that_modelport_reads(tmp_path):
    from pytest_modelport.cleanroom.environments import declared

    (block,) = blocks(GUIDE / "production.md", "toml")
    (tmp_path / "pyproject.toml").write_text(block.text)
    assert declared(tmp_path)["production"].requirements == ("onnxruntime==1.20.1", "numpy<2")


def test_the_policy_is_one_that_modelport_reads(tmp_path):
    from pytest_modelport.reports.gate import policy_of
    from pytest_modelport.request.project import gate_policy

    (block,) = blocks(GUIDE / "release.md", "toml")
    (tmp_path / "pyproject.toml").write_text(block.text)
    policy = policy_of(gate_policy(tmp_path))
    assert policy.require == ("onnx",)
    assert policy.may_fail[0].routes == "tvm*"
    assert policy.may_be_left_out == ("tests/nightly/*",)


def test_the_gates_commands(tmp_path):
    (block,) = blocks(GUIDE / "release.md", "console")
    suite = """
import pytest, torch

@pytest.mark.portable(targets=["torchscript"])
def test_net(modelport):
    modelport(torch.nn.ReLU(), torch.ones(3))
"""
    (tmp_path / "test_net.py").write_text(suite)
    for line in block.text.splitlines():
        words = shlex.split(line.removeprefix("$ "))
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "report.html").exists()
