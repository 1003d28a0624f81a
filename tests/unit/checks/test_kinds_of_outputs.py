"""Subjects whose answers are other things than dense float tensors simply work."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn


class Of(nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *args):
        return self.function(*args)


X = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
PASS = {
    "a NaN beside a tensor": lambda x: (x * 2, math.nan),
    "a number alone": lambda _: 3.5,
    "a string alone": lambda _: "s",
    "an integer of no dims": lambda x: (x > 0).sum(),
    "a bool tensor": lambda x: (x > 0).any(),
    "nothing but NaN": lambda x: x / 0 * 0,
    "nothing but infinities": lambda x: x.abs() / 0 + math.inf,
    "an empty tensor": lambda x: x[:0],
    "sparse": lambda x: x.relu().to_sparse(),
    "sparse by rows": lambda x: x.relu().to_sparse_csr(),
    "float8": lambda x: x.to(torch.float8_e4m3fn),
    "bfloat16": lambda x: x.bfloat16() * 3,
    "complex32": lambda x: torch.view_as_complex(torch.stack([x, x], -1)).to(torch.complex32),
    "complex64": lambda x: torch.complex(x, -x) * 1j,
}


@pytest.mark.filterwarnings("ignore:ComplexHalf")
@pytest.mark.parametrize("name", PASS)
def test_an_output_is_compared_as_what_it_is(name, prove):
    report = prove(["torchscript"], Of(PASS[name]), X, checks=["parity"])
    assert report.passed, report


def test_python_values_that_depend_on_the_input_are_not_constants(prove):
    model = Of(lambda x, y: torch.equal(x, y))
    [verdict] = prove(["torchscript"], model, (X, X.clone()), checks=["parity"]).verdicts
    assert str(verdict.outcome) == "failed", verdict
    assert "Python value 'output'" in verdict.reason
    assert "is True, the model's is False" in verdict.reason


WRONG = {
    "nothing but NaN": lambda x: x / 0,
    "an empty tensor": lambda x: x[:0, :2],
    "sparse": lambda x: x.abs().to_sparse(),
    "float8": lambda x: (x * 1.3).to(torch.float8_e4m3fn),
    "complex64": lambda x: torch.complex(x, x) * 1j,
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_one_is_red(name, prove, tmp_path):
    with pytest.warns(DeprecationWarning, match="torch.jit"):
        torch.jit.save(torch.jit.trace(Of(WRONG[name]), X), tmp_path / "wrong.pt")
    report = prove(
        ["torchscript"],
        Of(PASS[name]),
        X,
        checks=["parity"],
        artifact=tmp_path / "wrong.pt",
        examples=0,
    )
    [verdict] = report.verdicts
    assert str(verdict.outcome) == "failed", verdict


def test_sparse_outputs_are_said_to_be_compared_as_dense_ones(prove):
    [verdict] = prove(["torchscript"], Of(PASS["sparse"]), X, checks=["parity"]).verdicts
    assert "sparse, and compared as dense tensors: output" in verdict.notes


def test_nothing_at_all_is_an_error(prove):
    [verdict] = prove(["torchscript"], Of(lambda _: None), X, checks=["parity"]).verdicts
    assert verdict.reason == "the model returns nothing: nothing can be compared"
    assert str(verdict.outcome) == "error"


def test_what_was_compared_of_no_numbers_stands_beside_the_row(prove):
    [verdict] = prove(["torchscript"], Of(PASS["nothing but NaN"]), X, checks=["parity"]).verdicts
    assert verdict.cautions[-1].startswith("no output holds a finite number")


def test_parts_of_complex_numbers_come_with_the_cure(prove, needs):
    needs({"onnx": "onnx"})
    [verdict] = prove(["onnx"], Of(PASS["complex64"]), X, checks=["parity"]).verdicts
    assert "dtype of 'output' at args is float32[3, 4, 2]" in verdict.reason
    assert verdict.reason.endswith("return torch.view_as_real(...)")


@pytest.mark.parametrize("target", ["onnx", "onnx:reference"])
@pytest.mark.parametrize("dtype", [torch.float8_e5m2, torch.bfloat16], ids=str)
def test_dtypes_that_numpy_lacks_pass_through_onnx(prove, needs, target, dtype):
    needs({"onnx": "onnx", "onnxruntime": "onnxruntime"})
    model = Of(lambda x: (x.float() * 2).to(dtype))
    report = prove([target], model, X.to(dtype), checks=["parity"])
    assert report.passed, report


def test_bfloat16_in_openvino_is_not_taken_for_float16(prove, needs):
    needs({"openvino": "openvino"})
    report = prove(["openvino"], nn.Linear(4, 2).bfloat16(), X.bfloat16(), checks=["parity"])
    assert report.passed, report


class Cache(nn.Module):
    """State that comes in and goes out under one name; and one that is handed through."""

    def forward(self, x, past, mask):
        return {"y": x.sum(), "past": torch.cat([past, x]), "mask": mask}


class Step(nn.Module):
    """A layer whose output has its input's name."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 4))

    def forward(self, x):
        return {"x": self.layers(x)}


class Called(nn.Module):
    def forward(self, output):
        return output * 2


@pytest.mark.parametrize("target", ["onnx", "onnx_legacy", "onnx:reference", "mnn", "openvino"])
@pytest.mark.parametrize(
    ("model", "inputs"),
    [(Cache(), (X, torch.ones(2, 4), torch.ones(3))), (Called(), (X,))],
    ids=["cache", "called output"],
)
def test_outputs_may_be_named_as_inputs_are(prove, needs, target, model, inputs):
    needs({"onnx": "onnx", "MNN": "MNN", "openvino": "openvino"})
    report = prove([target], model, inputs, checks=["parity"])
    assert report.passed, report
    if target == "onnx" and len(inputs) == 3:
        said = "in the file output past is past_out, mask is mask_out: an input has its name"
        assert said in report.verdicts[0].notes


@pytest.mark.parametrize("transform", ["ort_dynamic", "ort_fp16", "onnxslim"])
def test_they_keep_their_names_through_what_is_done_to_the_file(prove, needs, transform):
    needs({"onnx": "onnx", "onnxruntime": "onnxruntime"})
    if transform == "onnxslim":
        needs({"onnxslim": "onnxslim"})
    report = prove(["onnx"], Step(), (X,), transforms=[transform], checks=["parity"])
    assert report.verdicts[0].passed, report


def test_lazy_modules_are_made_by_running_them_once(prove):
    model = nn.Sequential(nn.LazyConv1d(4, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(2)).eval()
    report = prove(["torchscript"], model, torch.randn(1, 2, 8))
    assert report.passed, report
    assert any("lazy parts were made" in note for note in report.verdicts[0].notes)


def test_what_is_compiled_is_asked_as_it_is_written(prove):
    """Compiling it again in every process would take minutes."""

    def backend(graph, inputs):
        raise AssertionError("this must not be compiled")

    inner = torch.compile(nn.Linear(4, 4), backend=backend)
    model = nn.Sequential(inner, nn.ReLU(), nn.Linear(4, 2)).eval()
    report = prove(["torch_export"], model, X)
    assert report.passed, report


class Stateful(nn.Module):
    """A recurrent step whose state is a tuple; only the length of its input varies."""

    def __init__(self):
        super().__init__()
        self.inner = nn.LSTM(4, 6, batch_first=True)

    def forward(self, x, state):
        return self.inner(x, state)[0].sum(1)


def test_an_input_that_is_a_tuple_and_does_not_vary_stays_one(prove, needs):
    needs({"onnx": "onnx", "onnxruntime": "onnxruntime"})
    state = (torch.zeros(1, 1, 6), torch.zeros(1, 1, 6))
    inputs = (torch.randn(1, 5, 4), state)
    report = prove(
        ["onnx"], Stateful().eval(), inputs, dynamic_shapes={"x": {1: "time"}}, checks=["parity"]
    )
    assert report.passed, report


@pytest.mark.parametrize("seed", [34, 35, 48])
def test_an_lstm_far_out_is_as_good_as_its_sigmoids(prove, needs, seed):
    """oneDNN's LSTM is one operation: only the last place of its results was open."""
    needs({"onnx": "onnx", "onnxruntime": "onnxruntime"})
    torch.manual_seed(seed)
    model, state = Stateful().eval(), (torch.zeros(1, 1, 6), torch.zeros(1, 1, 6))
    inputs = (torch.randn(1, 5, 4), state)
    report = prove(["onnx"], model, inputs, dynamic_shapes={"x": {1: "time"}}, checks=["parity"])
    assert report.passed, report


def test_what_works_in_place_first_is_right_on_iree_and_ncnn(prove, needs):
    needs({"iree": "iree-base-runtime", "ncnn": "ncnn"})

    class InPlace(nn.Module):
        def __init__(self):
            super().__init__()
            self.act = nn.PReLU(5)
            nn.init.uniform_(self.act.weight)

        def forward(self, x):
            return self.act(x.relu()), self.act(x * 2)

    torch.manual_seed(0)
    report = prove(["iree", "ncnn"], InPlace().eval(), torch.randn(2, 5, 4, 4), checks=["parity"])
    assert report.passed, report


def test_values_that_stand_beside_a_file_are_said_to(prove):
    [verdict] = prove(["torchscript"], Of(PASS["a number alone"]), X, checks=["parity"]).verdicts
    assert verdict.cautions[-1].startswith("no tensors: 1 Python value as the model's")


def test_sizes_among_the_outputs_of_a_program_vary_with_the_input(prove):
    for function in (lambda x: (x * 2, x.shape[1] + 1), lambda x: x.shape[1] + 1):
        [parity] = prove(
            ["torch_export"],
            Of(function),
            X,
            samples=[torch.randn(3, 7)],
            dynamic_shapes={"args": ({1: "w"},)},
            checks=["parity"],
        ).verdicts
        assert parity.passed, parity


def test_an_onnx_file_that_would_answer_nothing_is_not_made(prove, needs):
    needs({"onnx": "onnx", "onnxruntime": "onnxruntime"})
    for target in ("onnx", "onnx_legacy"):
        [verdict] = prove([target], Of(lambda x: x.shape[1] + 1), X, checks=["parity"]).verdicts
        assert str(verdict.outcome) == "unsupported"
        assert "the model returns no tensors, and an ONNX file gives nothing else" in verdict.reason


@pytest.mark.parametrize("target", ["torchscript", "torchscript_script"])
def test_torchscripts_operators_keep_their_meaning(prove, target):
    """A file says by its version which one that is: integer division was another once, and gelu had
    no other approximation.
    """

    class Divides(nn.Module):
        def forward(self, a, b):
            return a / b

    class Approximates(nn.Module):
        def forward(self, x):
            return nn.functional.gelu(x, approximate="tanh")

    whole = torch.tensor([7, 8, -7]), torch.tensor([2, 3, 2])
    for model, args in ((Divides(), whole), (Approximates(), X)):
        report = prove([target], model, args, checks=["parity"])
        assert report.passed, report
