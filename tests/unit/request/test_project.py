"""What the project's file says of us."""

from __future__ import annotations

import pytest

from pytest_modelport.core.errors import UsageError
from pytest_modelport.request.project import found_table, gate_policy


@pytest.mark.parametrize("text", ["tool = 3", "tool = []", "[tool]\nmodelports = 3", "x = 1"])
def test_a_file_that_says_nothing_of_us_is_passed_over(tmp_path, text):
    (tmp_path / "pyproject.toml").write_text(f"{text}  # modelport")
    assert gate_policy(tmp_path) is None
    assert found_table(tmp_path)[1] == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[tool]\nmodelport = 3", "is 3: give a table"),
        ("[tool.modelport]\ngate = 3", "is 3: give a table"),
        ("[tool.modelport]\ngates = {}", "did you mean 'gate'"),
        ("modelport = [", "is not TOML"),
    ],
)
def test_what_makes_no_sense_is_told(tmp_path, text, said):
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(UsageError, match=said):
        gate_policy(tmp_path)
