"""Models without a test file, and classes without a test."""

from __future__ import annotations

import re

import pytest

from tests.modules import MODULE


@pytest.fixture
def models(pytester, monkeypatch):
    """A folder with a module of models and a test that must not be collected."""
    monkeypatch.syspath_prepend(pytester.path)
    pytester.makepyfile(mine=MODULE, test_other="def test_other(): pass")

    def run(*options):
        return pytester.runpytest_inprocess("-p", "no:cacheprovider", *options)

    return run


def text(result):
    return "\n".join(result.outlines)


def test_a_model_is_proven_without_a_test_file(models):
    result = models("--portable-model", "mine:linear", "--targets", "torchscript,state_dict", "-v")
    result.assert_outcomes(passed=2)
    assert "portable-model::test_model[mine:linear-torchscript-cpu] PASSED" in text(result)
    assert re.search(r"test_model\[mine:linear\]\n +torchscript-cpu +passed", text(result))


def test_files_named_beside_models_are_collected_too(models):
    models(
        "--portable-model", "mine:linear", "--targets", "torchscript", "test_other.py"
    ).assert_outcomes(passed=2)


def test_several_models_and_workers(models):
    result = models(
        "--portable-model",
        "mine:linear",
        "--portable-model",
        "transformers:BertConfig?tiny",
        "--targets",
        "torchscript",
        "-n",
        "2",
    )
    result.assert_outcomes(passed=2)
    assert "2 routes: 2 passed" in text(result)


def test_the_rerun_line_of_a_model_repeats_it(models):
    result = models("--portable-model", "mine:linear", "--targets", "onnx(opset=99)")
    result.assert_outcomes(failed=1)
    assert "rerun      pytest --portable-model mine:linear --targets 'onnx(opset=99)'" in text(
        result
    )


def test_a_model_that_is_not_there_is_an_error_in_one_line(models):
    result = models("--portable-model", "mine:liner", "--targets", "torchscript")
    result.assert_outcomes(failed=1)
    assert "unknown name in mine 'liner': did you mean 'linear'" in text(result)


def test_options_are_part_of_the_id_and_a_plain_name_selects_all_its_variants(run):
    body = """
@portable("onnx(opset=20)", "torchscript", "torchscript(freeze=true)")
def test_net(modelport):
    modelport(Net().eval(), torch.ones(1, 3))
"""
    result = run(body, "--targets", "torchscript", "-v")
    result.assert_outcomes(passed=2, deselected=1)
    assert "test_net[torchscript(freeze=true)-cpu] PASSED" in text(result)
    run(body, "--targets", "torchscript(freeze=true)").assert_outcomes(passed=1, deselected=2)


def test_a_class_that_says_what_its_model_is_gets_its_test(run):
    result = run("""
@portable("torchscript", "state_dict")
class TestNet:
    dynamic_shapes = {0: "batch"}
    def model(self):
        return Net().eval()
    def args(self):
        return torch.ones(2, 3)
    def samples(self):
        return [torch.ones(5, 3)]

@portable("torchscript")
class TestNamed:
    model = "transformers:BertConfig?tiny"

class TestNotPortable:
    model = "transformers:BertConfig?tiny"
    def test_something(self):
        assert True
""")
    result.assert_outcomes(passed=4)
    assert "TestNet::test_port" in text(result)
    assert "TestNamed::test_port" in text(result)


def test_a_wrong_port_of_a_class_is_red(run):
    result = run("""
@portable("torchscript")
class TestBranch:
    model = Branch
    args = torch.ones(3)
    samples = [-3 * torch.ones(3)]
""")
    result.assert_outcomes(failed=1)
    assert "'output' at samples[0] is wrong" in text(result)


def test_a_class_makes_another_instance_where_a_target_needs_one(run):
    result = run("""
class Drawn(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear, self.scale = torch.nn.Linear(3, 2), torch.rand(2)
    def forward(self, x):
        return self.linear(x) * self.scale

@portable("state_dict")
class TestDrawn:
    args = torch.ones(1, 3)
    def model(self):
        return Drawn().eval()
""")
    result.assert_outcomes(failed=1)
    assert "not in the state dict: scale" in text(result)


def test_a_class_with_tests_of_its_own_is_left_alone(run):
    result = run("""
@portable("torchscript")
class TestNet:
    model = Net
    def test_mine(self, modelport):
        modelport(self.model().eval(), torch.ones(1, 3))
""")
    result.assert_outcomes(passed=1)
    assert "test_port" not in text(result)
