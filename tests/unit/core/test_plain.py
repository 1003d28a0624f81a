"""Texts of strangers, made harmless."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_modelport.core.errors import UsageError
from pytest_modelport.core.plain import printable, printable_values, without_commands
from pytest_modelport.core.route import Route
from pytest_modelport.core.verdict import Outcome, Stage, Verdict


@given(st.text())
def test_nothing_of_a_text_moves_a_terminal(text):
    made = printable(text)
    assert all(unicodedata.category(letter)[0] != "C" or letter in "\n\t" for letter in made)
    assert printable(made) == made


def test_what_prints_stays():
    said = "Größe 3, 模型\u3000übrig\n\tat “x”"
    assert printable(said) == said
    assert printable("\x1b[2J \u202e \ud800 \x00") == "\\x1b[2J \\u202e \\ud800 \\x00"


@pytest.mark.parametrize(
    "line", ["::error::no", "  ::stop-commands::x", "a\n\t::set-output name=x::1", "a ##[error]b"]
)
def test_no_line_is_a_command(line):
    made = without_commands(line)
    assert not any(part.lstrip().startswith("::") for part in made.splitlines())
    assert "##[" not in made
    assert made.replace(" ", "") == line.replace(" ", "")


def test_a_node_id_is_no_command():
    assert without_commands("tests/test_it.py::test_net") == "tests/test_it.py::test_net"


def test_every_text_of_a_verdict_prints():
    evil = "a\x1b[2Jb"
    verdict = Verdict(
        Route("onnx"), "parity", Stage.RUN, Outcome.FAILED, evil,
        {evil: [evil, {"x": evil}], "artifact": "/tmp/x\x1b"}, (evil,), subject=evil, suite=evil,
    )  # fmt: skip
    kept = {**verdict.to_dict(), "evidence": {**verdict.evidence, "artifact": ""}}
    assert "\x1b" not in repr(kept).replace("\\x1b", "")
    assert verdict.evidence["artifact"] == "/tmp/x\x1b"
    assert Verdict.from_dict(verdict.to_dict()) == verdict
    assert printable_values((1, None, 2.5)) == (1, None, 2.5)


def test_an_error_of_ours_prints():
    assert str(UsageError("no file a\x1b[2Jb")) == "no file a\\x1b[2Jb"
