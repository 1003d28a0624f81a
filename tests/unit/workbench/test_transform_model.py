"""What transforms do to a model, what they leave alone, and what they say when they cannot."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from fixtures import digits
from pytest_modelport import Stage, T, verify
from pytest_modelport.backends import registry
from pytest_modelport.backends.transforms.prune_2_4 import mask_of
from pytest_modelport.core.verdict import worst
from pytest_modelport.engine import pipeline
from pytest_modelport.engine.build_case import build_case
from pytest_modelport.request.options import Options

X = digits.images(4)


def quality(report):
    return next(verdict for verdict in report.verdicts if verdict.check == "quality")


def test_a_transform_never_touches_the_model():
    model = digits.load("cnn")
    before, modes = copy.deepcopy(model.state_dict()), [part.training for part in model.modules()]
    hooks = sum(len(part._forward_pre_hooks) for part in model.modules())
    random = torch.get_rng_state()
    verify(
        model,
        X,
        targets=["torch_export"],
        transforms=["prune_l1(permanent=false)", "fp16", "fuse", "autocast_bf16"],
    )
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert model.state_dict().keys() == before.keys()
    assert [part.training for part in model.modules()] == modes
    assert sum(len(part._forward_pre_hooks) for part in model.modules()) == hooks
    assert type(model) is digits.Cnn
    assert torch.equal(torch.get_rng_state(), random)


@pytest.mark.parametrize("amount", [0.25, 0.5])
def test_the_share_that_was_asked_for_is_pruned(amount):
    seen = {}

    def look(model):
        weights = [
            part.weight for part in model.modules() if isinstance(part, (nn.Conv2d, nn.Linear))
        ]
        seen["zeros"] = sum(int((weight == 0).sum()) for weight in weights) / sum(
            weight.numel() for weight in weights
        )

    verify(
        digits.load("cnn"),
        X,
        targets=["torch_export"],
        transforms=[T.prune_global(amount=amount) | look],
    )
    assert seen["zeros"] == pytest.approx(amount, abs=0.005)


def test_two_of_four_are_kept():
    mask = mask_of(torch.tensor([[4.0, -3.0, 2.0, 1.0, 0.1, -0.2, 0.3, -0.4]]))
    assert mask.tolist() == [[1, 1, 0, 0, 0, 0, 1, 1]]


def test_the_users_training_is_part_of_pruning_and_the_metric_prices_it():
    images, labels = digits.data()
    train, test = slice(0, digits.TRAINED), slice(digits.TRAINED, None)
    modes = []

    def finetune(model):
        modes.append(model.training)
        optimizer = torch.optim.Adam(model.parameters(), 1e-3)
        for _ in range(2):
            for batch, wanted in zip(
                images[train].split(128), labels[train].split(128), strict=True
            ):
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(batch), wanted).backward()
                optimizer.step()

    def accuracy(model):
        return (model(images[test]).argmax(-1) == labels[test]).float().mean().item()

    def run(**hooks):
        report = verify(
            digits.load("cnn"),
            X,
            samples=[images[test]],
            dynamic_shapes={"images": {0: "batch"}},
            targets=["torch_export"],
            transforms=["prune_l1(amount=0.5)"],
            metric=accuracy,
            checks=["parity", "quality"],
            examples=0,
            **hooks,
        )
        return quality(report)

    alone, trained = run(), run(finetune=finetune)
    assert str(alone.outcome) == "failed"
    assert "the metric falls from" in alone.reason
    assert trained.passed, trained.reason
    assert modes == [True]
    assert trained.evidence["metric"]["port"] > 0.97


def test_training_for_quantization(needs):
    needs(registry.transform("pt2e_qat").REQUIRES)
    images, labels = digits.data()

    def finetune(model):
        optimizer = torch.optim.SGD(model.parameters(), 1e-4)
        for batch, wanted in zip(images[:256].split(64), labels[:256].split(64), strict=True):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(batch), wanted).backward()
            optimizer.step()

    def accuracy(model):
        return (model(images[-64:]).argmax(-1) == labels[-64:]).float().mean().item()

    options = {
        "targets": ["torch_export"],
        "transforms": ["pt2e_qat"],
        "dynamic_shapes": {"images": {0: "batch"}},
        "examples": 0,
    }
    report = verify(digits.load("cnn"), images[:64], finetune=finetune, metric=accuracy, **options)
    assert report.passed, report
    without = worst(verify(digits.load("cnn"), images[:64], **options).verdicts)
    assert "quantization-aware training needs finetune=" in without.reason
    assert without.stage is Stage.TRANSFORM


def test_the_users_data_sets_the_ranges(prove):
    """Ranges measured on small numbers cut off all others."""
    calls = []

    def calibrate(model):
        for batch in (X * 0.01).split(2):
            calls.append(len(model(batch)))  # noqa: PERF401

    def run(**hooks):
        options = {
            "targets": ["onnx"],
            "transforms": ["ort_static(weights=uint8)"],
            "dynamic_shapes": {"images": {0: "batch"}},
        }
        return quality(
            verify(
                digits.load("cnn"), X, checks=["parity", "quality"], examples=0, **options, **hooks
            )
        )

    assert run().passed
    narrow = run(calibrate=calibrate)
    assert str(narrow.outcome) == "failed"
    assert "signal over error is" in narrow.reason


@pytest.mark.parametrize(
    ("transform", "model", "said"),
    [
        (
            "prune_l1(amount=1.5)",
            "cnn",
            "cannot transform: prune_l1(amount=1.5): amount is 1.5: give a share between 0 and 1",
        ),
        (
            "fuse",
            "lstm",
            "cannot transform: fuse: nothing to fuse: none of",
        ),
        ("prune_structured", "lstm", "lstm is recurrent: torch-pruning cannot cut such layers"),
    ],
)
def test_what_cannot_be_transformed_says_why(transform, model, said, needs):
    needs(registry.transform(transform.partition("(")[0]).REQUIRES)
    report = verify(
        digits.load(model),
        digits.images(4, name=model),
        targets=["torch_export"],
        transforms=[transform],
    )
    (verdict,) = report.verdicts
    assert (str(verdict.outcome), verdict.stage) == ("unsupported", Stage.TRANSFORM)
    assert said in verdict.reason


def test_a_function_that_raises_is_told_with_its_reason():
    def broken(model):
        raise KeyError("head")

    (verdict,) = verify(
        digits.load("cnn"), X, targets=["torch_export"], transforms=[broken]
    ).verdicts
    assert verdict.reason == "cannot transform: broken: KeyError: 'head'"


def test_a_function_that_returns_no_module_is_told():
    def broken(model):
        return "model"

    (verdict,) = verify(
        digits.load("cnn"), X, targets=["torch_export"], transforms=[broken]
    ).verdicts
    assert (
        "broken returned a str: it must return the module, or None for in place" in verdict.reason
    )


def test_a_metric_that_fails_is_an_error():
    def metric(model):
        raise ValueError("no data")

    report = verify(
        digits.load("cnn"), X, targets=["torch_export"], transforms=["fp16"], metric=metric
    )
    assert "metric fails on the original: ValueError: no data" in str(report)
    assert not report.passed


def test_a_metric_that_is_no_number_is_not_green():
    report = verify(
        digits.load("cnn"),
        X,
        targets=["torch_export"],
        transforms=["torchao_int8_weight"],
        metric=lambda model: float("nan"),
    )
    assert not report.passed


def test_a_metric_that_asks_for_a_batch_that_was_not_promised_is_told():
    def metric(model):
        return model(digits.images(7)).sum().item()

    report = verify(digits.load("cnn"), X, targets=["onnx"], transforms=["fp16"], metric=metric)
    assert (
        "input of metric cannot be fed: input 'images' was exported as (4, 1, 8, 8), "
        "this sample has (7, 1, 8, 8)" in str(report)
    )


def test_a_transform_whose_package_is_missing_is_skipped_with_the_command(monkeypatch):
    from pytest_modelport.backends.transforms import fp16

    monkeypatch.setattr(fp16, "REQUIRES", {"no_such_package": "no-such-package>=1"})
    (verdict,) = verify(
        digits.load("cnn"), X, targets=["torch_export"], transforms=["fp16"]
    ).verdicts
    assert str(verdict.outcome) == "skipped"
    assert "not installed: no-such-package>=1; pip install" in verdict.reason


def test_an_object_of_outputs_reaches_the_metric_by_name():
    class Answer:
        def __init__(self, logits):
            self.logits = logits

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = digits.load("cnn")

        def forward(self, images):
            return Answer(self.body(images))

    report = verify(
        Model().eval(),
        X,
        targets=["onnx"],
        transforms=["fp16"],
        metric=lambda model: model(X).logits.argmax(-1).float().mean().item(),
    )
    assert report.passed, report


def test_quality_is_not_asked_without_transforms(prove):
    assert prove(["torch_export"], digits.load("cnn"), X, checks=("quality",)).verdicts == ()


@pytest.mark.parametrize(
    ("floors", "target", "missing"),
    [
        ({"metric_drop": 0.01}, "torch_export", "'metric_drop' cannot be measured: no metric="),
        ({"size_ratio": 0.6}, "torch_compile", "'size_ratio' cannot be measured: the weights"),
    ],
)
def test_a_floor_that_nothing_was_measured_for_is_not_green(prove, floors, target, missing):
    report = prove(
        [target],
        digits.load("cnn"),
        X,
        transforms=["fp16"],
        checks=("quality",),
        quality=floors,
    )
    assert str(report.verdicts[0].outcome) == "inconclusive"
    assert report.verdicts[0].reason.startswith(f"quality floor {missing}")


def test_floors_and_metrics_are_asked_where_other_checks_are_named():
    def asked(**options):
        return pipeline.checks_for(
            build_case(digits.load("cnn"), X, options=Options(**options)), ("parity",)
        )

    assert asked(quality={"top1": 0.9}) == ("parity", "quality")
    assert asked(metric=lambda model: 1.0) == ("parity", "quality")
    assert asked() == ("parity",)


def test_floors_of_the_users_hold(prove):
    report = prove(
        ["torch_export"],
        digits.load("cnn"),
        X,
        transforms=["fp16"],
        checks=("quality",),
        quality={"sqnr_db": 90},
    )
    assert "at least 90 dB is required" in str(report)
