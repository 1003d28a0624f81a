"""What a file, a model or a test is called must not do anything to those who read of it."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

EVIL = {
    "escape": "\x1b[2J\x1b[1;32mAll ports passed\x1b[0m\x1b]0;owned\x07",
    "command": "x" * 70 + " ::stop-commands::abc",
    "lines": "a\nb\n::error::line ##[error]old",
    "markup": "<img src=x onerror=alert(1)>| ![x](http://evil.example/x.png) @octocat `$x$` ~~a~~",
    "direction": "\x00\u202egnp.exe",
}
BODY = """
import onnx
from onnx import TensorProto, helper

EVIL = %r

class Two(nn.Module):
    def forward(self, x):
        return x

def file(out, path):
    value = helper.make_tensor_value_info
    nodes = [helper.make_node("Identity", ["x"], [name]) for name in (out, "second")]
    graph = helper.make_graph(
        nodes, "g", [value("x", TensorProto.FLOAT, [1, 3])],
        [value(name, TensorProto.FLOAT, [1, 3]) for name in (out, "second")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    path.write_bytes(model.SerializeToString())
    return path

@portable("onnx")
@pytest.mark.parametrize("kind", EVIL)
def test_file(modelport, kind, tmp_path):
    modelport(Two(), torch.ones(1, 3), artifact=file(EVIL[kind], tmp_path / "model.onnx"))

@portable("torchscript")
@pytest.mark.parametrize("kind", EVIL)
def test_raises(modelport, kind):
    raise RuntimeError(EVIL[kind])

@portable("torchscript")
@pytest.mark.skip(reason=EVIL["markup"] + EVIL["escape"])
def test_skipped(modelport): ...

@portable("torchscript")
@pytest.mark.parametrize("kind", [kind for kind in EVIL if kind != "direction"])  # no name of a class
def test_class(modelport, kind):
    named = type(EVIL[kind], (nn.Module,), {"forward": lambda self, x: x * 2 if x.sum() > 0 else x})
    modelport(named(), torch.ones(1, 3), samples=[-torch.ones(1, 3)])
"""


@pytest.fixture
def read(run, pytester, monkeypatch):
    """Everything that a run on GitHub writes, by name."""
    pytest.importorskip("onnx")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(pytester.path / "summary.md"))
    forms = ("json", "html", "md")
    reports = [f"--modelport-report={pytester.path / f'report.{form}'}" for form in forms]
    result = run(BODY % EVIL, f"--junitxml={pytester.path / 'junit.xml'}", "-q", *reports)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    files = ("junit.xml", "summary.md", *(f"report.{form}" for form in forms))
    return {
        "terminal": "\n".join([*result.outlines, *result.errlines]),
        **{file: (pytester.path / file).read_text() for file in files},
    }


def test_names_are_harmless_everywhere(read):
    for place, text in read.items():
        ours = text
        if place == "junit.xml":
            cases = ET.fromstring(text).iter("testcase")
            theirs = [case for case in cases if "test_raises" not in case.get("name")]
            ours = "".join(ET.tostring(case, "unicode") for case in theirs)
            assert len(theirs) == 10
        elif place == "terminal":  # pytest itself prints what a test raised
            ours = re.sub(r"(?m)^(E  .*|>.*|FAILED .*)$", "", text.split("= FAILURES =")[0])
            blocks = re.findall(r"(?ms)^_+ test_(?:file|class).*?(?=^_{5})", text)
            ours += "".join(blocks) + text.split("= modelport =")[1].split("= short test")[0]
        raw = [letter for letter in ours if not letter.isprintable() and letter not in "\n\t"]
        assert not raw, (place, raw)
    assert "<img" not in read["report.html"]
    for kind in ("file", "class"):
        [block] = re.findall(rf"(?ms)^_+ test_{kind}\[escape.*?(?=^_{{5}})", read["terminal"])
        assert "\\x1b[1;32mAll ports passed" in block, "harmless, and still told"


def test_only_our_commands_reach_github(read):
    commands = [line for line in read["terminal"].splitlines() if line.lstrip().startswith("::")]
    assert len(commands) == 15
    for line in commands:
        assert re.match(r"::(error|warning) file=[^:,]*,title=[^:,]*::", line), line
    assert not re.search(r"(?m)^[^:\n]+::(error|warning) file=", read["terminal"])


def test_markdown_holds_names_as_code(read):
    for place in ("summary.md", "report.md"):
        for row in read[place].splitlines():
            outside = re.sub(r"`[^`]*`", "", row)
            assert not re.search(r"@octocat|<img|http|!\[|~~|\$x", outside), outside
            if row.startswith("| 🔴"):
                assert len(re.findall(r"(?<!\\)\|", row)) == 5, row
