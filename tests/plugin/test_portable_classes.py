"""Portable classes: every argument can be a member, and a class that proves nothing is an error."""

from __future__ import annotations

import pytest

from pytest_modelport.plugin.portable_classes import MEMBERS

#: member -> a line of the class, and what the run then says.
ASKED = {
    "size": ('size = {"mb": 1e-9}', "the budget is 1e-09 MB"),
    "memory": ('memory = {"mb": 1e-9}', "the budget is 1e-09"),
    "latency": ('latency = {"p95": 5}', "unknown latency budget 'p95'"),
    "quality": ('quality = {"kl": 0.1}', ""),
    "rtol": ("rtol, atol = 0.0, 0.0", ""),
    "atol": ("atol = 1e-3", "atol without rtol"),
    "undecided": ("undecided = -1", "undecided is -1"),
    "threads": ("threads = 0", "threads is 0"),
    "timeout": ("timeout = 0", "timeout is 0"),
    "imports": ('imports = ["no_such_module"]', "imports names 'no_such_module'"),
    "examples": ("examples = -1", "examples is -1"),
    "domain": ('domain = "iee"', "unknown domain 'iee'"),
    "domains": ('domains = {"inptu": (0, 1)}', "unknown input in domains 'inptu'"),
    "search_seconds": ("search_seconds = 0", "search_seconds is 0"),
    "samples": ("def samples(self): return [(torch.ones(1, 4),)]", "samples[0]"),
    "dynamic_shapes": ('dynamic_shapes = "infre"', "unknown dynamic_shapes 'infre'"),
    "artifact": ('artifact = "nowhere.pt"', "no artifact at nowhere.pt"),
    "kwargs": ('kwargs = {"input": torch.ones(1, 3)}', "multiple values for argument"),
    "args": ("args = (torch.ones(1, 3), 3)", "too many positional arguments"),
    "calibrate": ("calibrate = 3", "calibrate is 3"),
    "finetune": ("finetune = 3", "finetune is 3"),
    "metric": ("metric = 3", "metric is 3"),
}


def test_every_argument_as_a_member_is_asked(run):
    assert {*ASKED} == {*MEMBERS}
    body = "\n".join(
        f"""
@portable("torchscript")
class Test_{name}:
    args = torch.ones(1, 3)
    {line}
    def model(self):
        return nn.Linear(3, 2).eval()
"""
        for name, (line, _) in ASKED.items()
        if name not in ("quality", "rtol")
    )
    result = run(body, "-n", "0")
    text = " ".join(result.stdout.str().split())
    assert result.parseoutcomes() == {"failed": len(ASKED) - 2}
    for _, message in ASKED.values():
        assert message in text, message


def test_a_hook_may_be_the_method_itself_or_what_it_returns(run):
    result = run(
        """
@portable("torch_export", transforms=["fp16"], checks=["parity", "quality"])
class TestItself:
    args = torch.ones(1, 3)
    seen = []
    def model(self): return nn.Linear(3, 2).eval()
    def metric(self, model):
        self.seen.append(model)
        return 1.0

@portable("torch_export", transforms=["fp16"], checks=["parity", "quality"])
class TestReturned:
    args = torch.ones(1, 3)
    def model(self): return nn.Linear(3, 2).eval()
    def metric(self): return lambda model: 1.0

def test_asked():
    assert TestItself.seen
"""
    )
    result.assert_outcomes(passed=3)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("dynamic_shape = {0: 'batch'}", "TestNet.dynamic_shape is no argument of modelport: did you "
         "mean 'dynamic_shapes'? Anything else begins with an underscore: _dynamic_shape"),
        ("def sample(self): return []", "TestNet.sample is no argument of modelport: did you mean 'sam"),
        ("arg = 3", "TestNet.arg is no argument of modelport: did you mean 'args'"),
        ("latnecy = {}", "did you mean 'latency'"),
        ("dynamicShapes = {}", "did you mean 'dynamic_shapes'"),
        ("metrics = []", "did you mean 'metric'"),
        ("targets = ['onnx']", "TestNet.targets is a keyword of the marker: portable(targets=...)"),
        ("def samples(self, tmp_path): return []", "TestNet.samples takes tmp_path: a member may take "
         "no fixtures"),
        ("def metric(self, model, data): return 1.0", "TestNet.metric takes model, data"),
        ("@pytest.fixture\n    def kwargs(self): return {}", "TestNet.kwargs is a fixture"),
        ("def __init__(self): pass", "pytest does not collect it: it has an __init__"),
        ("size = {'mb': 1}\n    def test_own(self, modelport): modelport(nn.ReLU(), torch.ones(3))",
         "TestNet.size is ignored, for TestNet has tests of its own"),
    ],
)  # fmt: skip
def test_members_that_would_be_ignored_are_collection_errors(run, body, message):
    result = run(
        f"""
@portable("torchscript")
class TestNet:
    def model(self): return nn.ReLU()
    def args(self): return torch.ones(3)
    {body}
"""
    )
    assert message in " ".join(result.stdout.str().split())
    assert result.parseoutcomes() == {"errors": 1}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("class TestNet:\n    def modell(self): ...", "TestNet is marked portable and has neither a te"
         "st nor model() (modell is there: is model meant?)"),
        ("class TestNet:\n    value = 3", "TestNet is marked portable and has neither a test nor model"),
        ("class Classifier:\n    def model(self): return nn.ReLU()", "Classifier is marked portable and"
         " pytest does not collect it: give it a name as python_classes says (Test)"),
        ("class TestNet(unittest.TestCase):\n    def test_it(self): ...", "TestNet is a unittest.TestCa"
         "se, which cannot be asked once for every route"),
    ],
)  # fmt: skip
def test_a_marked_class_that_yields_no_test_is_a_collection_error(run, body, message):
    result = run(f'import unittest\n@portable("torchscript")\n{body}\n')
    assert message in " ".join(result.stdout.str().split())
    assert result.parseoutcomes() == {"errors": 1}


def test_a_mark_that_is_nearly_ours_is_a_collection_error(run):
    body = "@pytest.mark.portabel\nclass TestNet:\n    def model(self): return nn.ReLU()\n"
    result = run(body, "-W", "ignore")
    assert "TestNet has the mark 'portabel': is 'portable' meant?" in result.stdout.str()
    assert result.parseoutcomes() == {"errors": 1}
    registered = run(body, "-W", "ignore", ini="markers =\n  portabel: another plugin's")
    assert registered.parseoutcomes() == {}


def test_a_mark_of_the_whole_module_makes_its_test_classes_portable(run):
    result = run(
        """
pytestmark = pytest.mark.portable(targets=["torchscript"])

class TestNet:
    args = torch.ones(1, 3)
    model = Net

class Helper:
    model = None
"""
    )
    result.assert_outcomes(passed=1)


def test_bases_of_other_classes_and_what_is_left_out_on_purpose_are_no_errors(run):
    result = run(
        """
@portable("torchscript")
class Base:
    args = torch.ones(1, 3)

class TestNet(Base):
    model = Net

@portable("torchscript")
class Never:
    __test__ = False
    model = Net
"""
    )
    result.assert_outcomes(passed=1)


def test_the_test_is_collected_whatever_functions_are_called(run):
    body = (
        '@portable("torchscript")\nclass TestNet:\n    args = torch.ones(1, 3)\n    model = Net\n'
    )
    result = run(body, ini="python_functions = check_*")
    result.assert_outcomes(passed=1)


def test_a_method_of_a_testcase_that_is_marked_fails(run):
    result = run(
        """
import unittest

class TestNet(unittest.TestCase):
    @portable("torchscript")
    def test_net(self): ...
"""
    )
    assert "a TestCaseFunction cannot be marked portable" in result.stdout.str()
    assert result.parseoutcomes() == {"errors": 1}


def test_a_route_of_which_nothing_was_asked_is_inconclusive(run):
    body = """
@portable("torchscript", checks=["quality"])
def test_net(modelport):
    modelport(Net().eval(), torch.ones(1, 3))
"""
    run(body).assert_outcomes(skipped=1)
    strict = run(body, "--modelport-strict")
    strict.assert_outcomes(failed=1)
    assert "nothing was proven: the checks named say nothing" in strict.stdout.str()
