"""Faults that the example does not show."""

from __future__ import annotations

import ast
import os
import signal
import time

import pytest
import torch
from torch import nn
from torch.export import Dim
from torch.utils._python_dispatch import _get_current_dispatch_mode

from pytest_modelport import Outcome, UsageError, recipe
from pytest_modelport.checks import _shape_trial as trial
from pytest_modelport.engine import pipeline
from pytest_modelport.engine.build_case import build_case
from pytest_modelport.reference.noise import MonteCarlo
from pytest_modelport.request.options import Options
from pytest_modelport.request.recipes import parse
from pytest_modelport.search import candidates

X = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))


class Alone(nn.Module):
    """Treats a lone row in another way."""

    def forward(self, x):
        return x * 2 if x.shape[0] > 1 else x - 1


class Zero(nn.Module):
    def forward(self, x):
        return x * 2 if x.any() else x + 1


class Both(nn.Module):
    """Only where two things come together."""

    def forward(self, x):
        return x - 1 if x.shape[0] == 1 and not x.any() else x * 2


class Stateless(nn.Module):
    def forward(self, x):
        return x.exp()


class Stateful(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x):
        self.seen.add_(1)
        return x * self.seen


def shapes(prove, model, target="torchscript", dims="batch", **search):
    report = prove(
        [target],
        model.eval(),
        X,
        dynamic_shapes={0: dims},
        checks=("shapes",),
        **search,
    )
    return report.verdicts[0]


@pytest.mark.parametrize(
    ("model", "condition", "recipe"),
    [
        (Alone(), "fails when batch == 1 (passes at 2, 3, 4,", {"batch": 1}),
        (Zero(), "fails when x is zeros: 'output' at x zeros is wrong", {"x:kind": "zeros"}),
        (Both(), "fails when batch == 1 (passes at 2, 3, 4,", {"batch": 1, "x:kind": "zeros"}),
    ],
)
def test_what_must_come_together_is_said(prove, model, condition, recipe):
    verdict = shapes(prove, model, examples=50)
    assert verdict.outcome is Outcome.FAILED
    assert verdict.check == "shapes"
    assert verdict.reason.startswith(condition)
    assert parse(verdict.evidence["recipe"]).without("seed") == recipe


class Hidden(nn.Module):
    """Whole numbers that a tracer bakes in, for a mask that hides everything."""

    def forward(self, x, mask):
        return x * mask if mask.any() else x + 1


def test_a_mask_that_is_never_so_can_be_left_out(prove):
    args, asked = (
        (X, torch.tensor([[1, 1, 0]] * 4)),
        {"checks": ("shapes",), "dynamic_shapes": {"x": {}, "mask": {}}},
    )
    [found] = prove(["torchscript"], Hidden(), args, **asked).verdicts
    assert found.reason.startswith("fails when mask is zeros: ")
    [said] = [note for note in found.notes if note.startswith("if mask is never so, say domains=")]
    domains = ast.literal_eval(said.partition("=")[2])
    assert "prefix" in domains["mask"]
    assert "zeros" not in domains["mask"]
    [quiet] = prove(["torchscript"], Hidden(), args, domains=domains, **asked).verdicts
    assert quiet.outcome is Outcome.PASSED
    assert not any(
        "never so" in note for note in shapes(prove, Zero()).notes
    )  # what is no mask has too many ways to list


def test_the_recipe_alone_shows_it_again(prove):
    first = shapes(prove, Alone())
    again = shapes(prove, Alone(), replay=parse(first.evidence["recipe"]))
    assert (again.outcome, again.reason) == (first.outcome, first.reason)
    assert again.evidence["share"] == "1 of 1 samples fail"
    assert shapes(prove, Alone(), replay=parse('{"batch": 3}')).passed


def test_what_the_subject_refuses_is_not_asked_of_the_port(prove):
    class Least(nn.Module):
        def forward(self, x):
            if x.shape[0] < 3:
                raise ValueError("too few")
            return x * 2

    verdict = shapes(prove, Least())
    assert verdict.passed
    assert "more that the model refuses" in verdict.reason
    assert verdict.evidence["refused"] > 0


@pytest.mark.parametrize("way", ["raises", "dies", "keeps state"])
def test_what_it_refuses_shows_in_one_run_unless_it_dies_or_may_remember_it(
    prove, monkeypatch, way
):
    class Least(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("seen", torch.zeros(1))

        def forward(self, x):
            self.seen += self.way == "keeps state"
            if x.shape[0] == 3:
                os.kill(os.getpid(), signal.SIGKILL if self.way == "dies" else 0)
                raise ValueError("not three")
            return x * (2 + self.seen)

    asked = []
    monkeypatch.setattr(
        candidates,
        "answers_to",
        lambda *given, real=candidates.answers_to, **how: asked.append(1) or real(*given, **how),
    )
    model = Least()
    model.way = way
    verdict = shapes(prove, model, target="state_dict")
    assert verdict.passed  # the port counts what it is asked, not what the subject refused
    assert verdict.evidence["refused"] > 0
    assert bool(asked) is (way != "raises")


@pytest.mark.parametrize("sure", [False, True])
def test_noise_that_cannot_be_measured_is_said(prove, monkeypatch, sure):
    """Of a sample that the example does not show; the port's answers are right, or right enough for
    torch.testing.
    """

    class Shy(nn.Module):
        def forward(self, x):
            if isinstance(_get_current_dispatch_mode(), MonteCarlo) and x.shape[0] != 4:
                raise ValueError("not under noise")
            return x * 2

    if not sure:
        monkeypatch.setattr(trial, "evident", lambda *_, **__: False)
    verdict = shapes(prove, Shy(), examples=6)
    assert verdict.passed
    assert (
        any(
            "noise could not be measured (ValueError: not under noise" in note
            for note in verdict.notes
        )
        is not sure
    )


def test_a_subject_that_refuses_everything_decides_nothing(prove):
    class Only(nn.Module):
        def forward(self, x):
            if not torch.equal(x, X):
                raise ValueError("not that one")
            return x * 2

    verdict = shapes(prove, Only(), replay=parse('{"batch": 1}'))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.reason == "the model refuses all 1 samples that were tried"


def test_a_port_that_keeps_state_as_the_subject_does_is_right(prove):
    assert shapes(prove, Stateful(), target="state_dict", examples=10).passed


def test_a_port_that_dies_is_opened_again_for_the_rest(prove):
    verdict = prove(
        ["onnx"],
        nn.LSTM(3, 2, batch_first=True).eval(),
        torch.randn(4, 5, 3),
        dynamic_shapes={0: Dim.DYNAMIC},
        checks=("shapes",),
    ).verdicts[0]
    assert verdict.outcome is Outcome.CRASHED
    assert verdict.reason.startswith("fails when input_0 == 0 (passes at 1, 2, 3,"), verdict.reason


def test_a_healthy_port_says_what_was_tried(prove):
    verdict = shapes(
        prove,
        nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2)),
        dims=Dim("batch", min=1, max=9),
    )
    assert verdict.passed
    assert verdict.reason.startswith("25 samples (batch 1 to 9)")
    assert verdict.evidence["samples"] == 25


def test_shapes_are_asked_where_dims_may_vary_and_samples_are_wanted(prove):
    def asked(dims, examples=25):
        return pipeline.checks_for(
            build_case(nn.ReLU(), X, options=Options(dynamic_shapes=dims, examples=examples))
        )

    assert "shapes" in asked({0: "batch"})
    assert "shapes" not in asked({0: 4})
    assert "shapes" not in asked(None)
    assert "shapes" not in asked({0: "batch"}, 0)
    with pytest.raises(UsageError, match="unknown domain 'iee': did you mean 'ieee'"):
        _ = Options(domain="iee").search
    with pytest.raises(UsageError, match="examples is -1: give a whole number"):
        _ = Options(examples=-1).search


def test_special_numbers_are_found_when_asked_for(prove):
    class Finite(nn.Module):
        def forward(self, x):
            return torch.zeros_like(x) if x.isnan().any() else x * 2

    assert shapes(prove, Finite(), examples=60).passed
    verdict = shapes(prove, Finite(), examples=60, domain="ieee")
    assert verdict.outcome is Outcome.FAILED
    assert parse(verdict.evidence["recipe"]).without("seed") == {"x:special": "nan"}


def test_a_replay_is_run_where_no_dim_may_vary():
    case = build_case(nn.ReLU(), X, options=Options(replay=parse('{"input:kind": "zeros"}')))
    assert "shapes" in pipeline.checks_for(case)
    assert "shapes" in pipeline.checks_for(build_case(nn.ReLU(), X, options=Options(domain="ieee")))
    assert "shapes" not in pipeline.checks_for(build_case(nn.ReLU(), X))


def test_where_nothing_is_tried_or_compared_nothing_is_decided(prove):
    class Nothing(nn.Module):
        def forward(self, x):
            return x[:, :0]

    for verdict in (shapes(prove, Nothing()), shapes(prove, nn.ReLU(), examples=0)):
        assert verdict.outcome is Outcome.INCONCLUSIVE
        assert verdict.reason.startswith(
            ("nothing was compared", "no sample was tried: examples is 0")
        )


def test_a_sample_that_is_an_error_is_not_green(prove, monkeypatch):
    from pytest_modelport.core.verdict import Stage
    from pytest_modelport.isolation.stops import Stop
    from pytest_modelport.workbench.workbench import Workbench

    def full(self, call):
        raise Stop(Stage.RUN, Outcome.ERROR, "cannot write: no space left")

    monkeypatch.setattr(Workbench, "feed", full)
    assert shapes(prove, nn.ReLU()).outcome is Outcome.ERROR


def test_an_input_that_broadcasts_is_tried_alone(prove):
    class Product(nn.Module):
        def forward(self, x, y):
            return x * y

    report = prove(
        ["torch_export"],
        Product().eval(),
        (X, X),
        dynamic_shapes={"x": {0: "x"}, "y": {0: "y"}},
        checks=("shapes",),
    )
    assert report.verdicts[0].reason.startswith("fails"), report
    assert parse(report.verdicts[0].evidence["recipe"]) in ({"x": 1}, {"y": 1})
    hints = {"x": {0: Dim.DYNAMIC}, "y": {0: Dim.DYNAMIC}}
    verdict = prove(
        ["torch_export"], Product().eval(), (X, X), dynamic_shapes=hints, checks=("shapes",)
    ).verdicts[0]
    assert verdict.reason.startswith(
        "fails when x is 1 at axis 0: running the exported model on x 1 at axis 0 fails: AssertionError: Guard"
    ), verdict
    assert parse(verdict.evidence["recipe"]) == {"x:broadcast": "1 at axis 0"}


def test_another_branch_is_looked_for_where_the_subject_looks_at_values(prove):
    class Loud(nn.Module):
        def forward(self, x):
            if x.mean() > 40:
                return x / 2
            return x * 2

    verdict = shapes(prove, Loud())
    assert verdict.outcome is Outcome.FAILED
    assert parse(verdict.evidence["recipe"])["x:kind"] == "high"
    right = shapes(prove, Loud(), target="state_dict")
    assert right.passed
    assert right.evidence["branches"] == 1
    assert "1 of them take another branch of the model" in right.reason
    assert shapes(prove, nn.ReLU()).evidence["branches"] == 0


def test_calls_in_another_order_are_made_on_the_same_session(prove):
    class Remembers(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.seen = set()

        def forward(self, x):
            key = (x.shape, x.stride(), x.numpy().tobytes())
            again = key in self.seen
            self.seen.add(key)
            return x * 3 if again else x * 2

    verdict = shapes(prove, Remembers())
    assert verdict.reason.startswith(
        "fails only after other calls on the same session: 'output' at "
    ), verdict
    assert " again is wrong" in verdict.reason


def test_time_that_is_over_is_said(prove):
    class Slow(nn.Module):
        def forward(self, x):
            time.sleep(0.2)
            return x * 2

    verdict = shapes(prove, Slow(), examples=20, search_seconds=1.0)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert 0 < verdict.evidence["samples"] < 20
    assert "of 20 samples were not asked in 1 s (search_seconds)" in verdict.reason


def test_samples_that_there_is_no_time_to_judge_are_not_green(prove, monkeypatch):
    """A subject that takes long under noise alone; none of the port's answers counts as evident."""

    class Slow(nn.Module):
        def forward(self, x):
            time.sleep(
                0.5 * (_get_current_dispatch_mode() is not None and not torch.jit.is_tracing())
            )
            return x * 2

    monkeypatch.setattr(trial, "evident", lambda *_, **__: False)
    verdict = shapes(prove, Slow(), examples=20, search_seconds=1.0)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    left = verdict.evidence["samples"] - trial._FIRST
    assert verdict.reason.startswith(
        f"{left} of {left + trial._FIRST} samples could not be judged in 1 s (search_seconds)"
    )
    assert len(verdict.evidence["unjudged"]) == left


def test_samples_are_judged_in_several_goes(prove, monkeypatch):
    """The failures of all of them count."""
    monkeypatch.setattr(trial, "evident", lambda *_, **__: False)
    assert shapes(prove, Stateless(), examples=10).passed
    verdict = shapes(prove, Alone(), examples=24)
    assert verdict.outcome is Outcome.FAILED
    share = verdict.evidence["share"]
    assert int(share.split()[0]) > trial._FIRST
    monkeypatch.setattr(trial, "_FIRST", 1000)
    assert shapes(prove, Alone(), examples=24).evidence["share"] == share


def test_a_recipe_is_pinned_among_the_samples(prove):
    pinned = [recipe(batch=1), recipe('{"x:kind": "zeros"}'), X * 2]
    report = prove(
        ["torchscript"],
        Alone().eval(),
        X,
        dynamic_shapes={0: "batch"},
        samples=pinned,
        checks=("parity",),
    )
    assert "'output' at samples[0]" in report.verdicts[0].reason
    with pytest.raises(UsageError, match="unknown factor of a recipe 'bath': did you mean 'batch'"):
        prove(
            ["torchscript"],
            Alone().eval(),
            X,
            dynamic_shapes={0: "batch"},
            samples=[recipe(bath=1)],
        )


def test_a_replay_is_run_where_other_checks_are_named():
    case = build_case(nn.ReLU(), X, options=Options(replay=parse('{"input:kind": "zeros"}')))
    assert pipeline.checks_for(case, ("parity",)) == ("parity", "shapes")


def test_a_declared_output_that_does_not_vary_is_a_broken_promise(prove):
    """torch's former exporter writes the example's size into the output of a squeeze: servers plan
    their memory by it.
    """

    class Pooled(nn.Module):
        def forward(self, x):
            return x.mean((2, 3)).squeeze() * 2

    x = torch.randn(4, 8, 5, 5)
    report = prove(
        ["onnx_legacy"],
        Pooled(),
        x,
        samples=[x[:3]],
        dynamic_shapes={0: "batch"},
        checks=("parity", "shapes"),
    )
    parity, shapes = (verdict.reason for verdict in report.verdicts)
    assert parity.startswith(
        "the exported model breaks its promise at samples[0]: output 'output' is declared as (4, 8) "
        "and is (3, 8)"
    )
    assert "fails also at 2, 3" in shapes


def test_what_is_wrong_is_told_before_a_broken_promise(prove):
    class Pooled(nn.Module):
        def forward(self, x):
            return x.mean((2, 3)).squeeze() * (2 if len(x) > 3 else 3)

    x = torch.randn(4, 8, 5, 5)
    report = prove(
        ["onnx_legacy"],
        Pooled(),
        x,
        samples=[x[:3]],
        dynamic_shapes={0: "batch"},
        checks=("parity",),
    )
    assert "'output' at samples[0] is wrong" in report.verdicts[0].reason
