"""Models made of models answer what their members make together, and so do their ports."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from fixtures import digits
from pytest_modelport import UsageError, merge

X = digits.images(5)


def members(count=3):
    """Networks of one class that differ."""
    made = []
    for number in range(count):
        torch.manual_seed(number)
        model = digits.load("cnn")
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.01 * torch.randn_like(parameter))
        made.append(model.eval())
    return made


class Softmax(nn.Module):
    def forward(self, scores):
        return scores.softmax(-1)


MERGED = {
    "chain": lambda: merge.Chain([members(1)[0], Softmax()]),
    "logits": lambda: merge.Ensemble(members()),
    "probabilities": lambda: merge.Ensemble(members(), "probabilities", weights=[1, 2, 3]),
    "vote": lambda: merge.Ensemble(members(), "vote"),
    "stack": lambda: merge.Stack(members(2), nn.Linear(20, 10)),
}


@pytest.mark.parametrize("name", MERGED)
def test_a_merged_model_is_its_members_and_its_ports_are_it(name, prove):
    torch.manual_seed(0)
    model = MERGED[name]().eval()
    shapes = {"args": ({0: "batch"},)}
    report = prove(
        ["onnx", "torch_export"],
        model,
        X,
        dynamic_shapes=shapes,
        checks=("parity", "weights", "composition"),
    )
    assert report.passed, report
    assert "composition" in {verdict.check for verdict in report.verdicts}


class Forgetful(merge.Ensemble):
    """Drops its last member."""

    def forward(self, *args, **kwargs):
        return super().forward(*args, **kwargs) - self.shares[-1] * self.members[-1](
            *args, **kwargs
        )


def test_a_member_that_is_dropped_is_found(prove):
    report = prove(
        ["torch_export"], Forgetful(members()).eval(), X, checks=("parity", "composition")
    )
    parity, composition = report.verdicts
    assert parity.passed  # the port is the merged model, which is wrong
    assert str(composition.outcome) == "failed"
    assert "the merged model and its 3 members agree to" in composition.reason


def test_members_that_make_another_shape_are_found(prove):
    class Short(merge.Ensemble):
        def forward(self, *args, **kwargs):
            return super().forward(*args, **kwargs)[:, :5]

    (verdict,) = prove(
        ["torch_export"], Short(members()).eval(), X, checks=("composition",)
    ).verdicts
    assert "its members make (5, 10)" in verdict.reason


def test_members_that_cannot_be_run_are_an_error(prove):
    class Odd(merge.Ensemble):
        def composed(self, *args, **kwargs):
            raise RuntimeError("no")

    (verdict,) = prove(["torch_export"], Odd(members()).eval(), X, checks=("composition",)).verdicts
    assert str(verdict.outcome) == "error"
    assert "the members cannot be run one by one: RuntimeError: no" in verdict.reason


def test_other_models_are_not_asked(prove):
    assert (
        prove(["torch_export"], nn.Linear(3, 2), torch.ones(1, 3), checks=("composition",)).verdicts
        == ()
    )


def test_a_soup_is_the_mean_of_every_member():
    models = members()
    made = merge.soup(models)
    for name, parameter in made.named_parameters():
        mean = sum(dict(model.named_parameters())[name].double() for model in models) / 3
        assert (parameter.double() - mean).abs().max() <= 1e-7
    assert made is not models[0]


def test_a_soup_of_weights():
    first, second = members(2)
    made = merge.soup([first, second], weights=[3, 1])
    wanted = 0.75 * first.classifier.weight + 0.25 * second.classifier.weight
    assert torch.allclose(made.classifier.weight, wanted, atol=1e-7)


def test_a_soup_keeps_counters_and_leaves_its_members_alone():
    first, second = members(2)
    before = copy.deepcopy(second.state_dict())
    made = merge.soup([first, second])
    assert torch.equal(made.features[1].num_batches_tracked, first.features[1].num_batches_tracked)
    assert all(torch.equal(tensor, before[name]) for name, tensor in second.state_dict().items())


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: merge.Ensemble([]), "a merged model needs members"),
        (lambda: merge.Ensemble(members(1), "mean"), "unknown way to combine 'mean'"),
        (lambda: merge.Ensemble(members(2), weights=[1]), "give one for each of 2 members"),
        (lambda: merge.Ensemble(members(2), weights=[0, 0]), "none of them negative"),
        (lambda: merge.soup([]), "a soup needs models"),
        (
            lambda: merge.soup([nn.Linear(2, 2), nn.Linear(2, 3)]),
            "'weight' is (3, 2) in model 1 of the soup, (2, 2) in the first",
        ),
        (
            lambda: merge.soup([nn.Linear(2, 2), nn.Linear(2, 2, bias=False)]),
            "model 1 of the soup lacks 'bias'",
        ),
    ],
)
def test_what_cannot_be_merged_is_refused(make, said):
    with pytest.raises(UsageError) as caught:
        make()
    assert said in str(caught.value)


@pytest.fixture
def exported(tmp_path):
    """An ONNX file of a model."""

    def run(model, sample, name, opset=18):
        path = tmp_path / name
        torch.onnx.export(
            model,
            (sample,),
            str(path),
            dynamo=True,
            verbose=False,
            opset_version=opset,
            external_data=False,
        )
        return path

    return run


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of torch's own exporter
def test_two_files_joined_are_the_chain(prove, exported, tmp_path):
    first, second = digits.load("cnn"), Softmax().eval()
    joined = merge.files(
        exported(first, X, "first.onnx"),
        exported(second, torch.randn(5, 10), "second.onnx"),
        tmp_path / "joined.onnx",
    )
    chain = merge.Chain([first, second]).eval()
    assert prove(["onnx"], chain, X, artifact=joined, checks=("parity", "composition")).passed
    wrong = merge.Chain([first, nn.Sigmoid()]).eval()
    assert not prove(["onnx"], wrong, X, artifact=joined, checks=("parity",)).passed


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_files_of_two_opsets_are_refused(exported, tmp_path):
    first = exported(digits.load("cnn"), X, "first.onnx")
    second = exported(Softmax().eval(), torch.randn(5, 10), "second.onnx", opset=20)
    with pytest.raises(
        UsageError,
        match=r"is of opset 18 and .*second.onnx of 20: export both with onnx\(opset=20\)",
    ):
        merge.files(first, second, tmp_path / "joined.onnx")


def test_an_ensemble_by_vmap_freezes_its_batch_and_is_red(prove):
    """torch.onnx.export writes it with the sample's batch, although it was to vary, and says
    nothing.
    """

    class Vmapped(nn.Module):
        def __init__(self):
            super().__init__()
            models = members(3)
            self.parameters_, self.buffers_ = torch.func.stack_module_state(models)
            self.skeleton = [copy.deepcopy(models[0]).to("meta")]

        def forward(self, images):
            def one(parameters, buffers):
                return torch.func.functional_call(
                    self.skeleton[0], (parameters, buffers), (images,)
                )

            return torch.vmap(one)(self.parameters_, self.buffers_).mean(0)

    report = prove(
        ["onnx"],
        Vmapped().eval(),
        X,
        dynamic_shapes={"images": {0: "batch"}},
        samples=[digits.images(7)],
    )
    assert not report.passed
    assert "tracing inferred a static shape of 5" in str(report), report
