from __future__ import annotations

import sys

import pytest

from pytest_modelport.backends.kit.converters import convert, why


def test_the_line_that_tells_of_a_fault_is_shown():
    text = "Start to Optimize the MNN Net...\n[07:36:57] :220: These Op Not Support: ONNX::IsNaN \nConverted Failed!\n\n"
    assert why(text) == "These Op Not Support: ONNX::IsNaN"
    assert (
        why("one\nmodel.mlir:7:10: error: failed to legalize 'torch.aten.x'\n at:\n")
        == "failed to legalize 'torch.aten.x'"
    )
    assert why("one\ntwo\n") == "two"
    assert why("") == "no reason given"


@pytest.mark.parametrize(
    "code", ["raise SystemExit('error: no such layer')", "import os; os.abort()", "print('done')"]
)
def test_a_converter_that_makes_nothing_has_failed(tmp_path, code):
    with pytest.raises(RuntimeError, match="tool cannot convert the model"):
        convert("tool", [sys.executable, "-c", code], tmp_path, tmp_path / "made")


def test_one_that_makes_it_has_not(tmp_path):
    convert("tool", [sys.executable, "-c", "open('made', 'w')"], tmp_path, tmp_path / "made")
