"""What a port answers at values that nobody gave: stored answers and values read off once are red."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn

from pytest_modelport import Outcome

X = torch.randn(2, 4, generator=torch.Generator().manual_seed(0))


class Stored(nn.Module):
    """The tracer makes a constant of the sample."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)

    def forward(self, x):
        return self.linear(torch.tensor(x.tolist()))


class Scaled(Stored):
    def forward(self, x):
        return self.linear(x / x.abs().max().item())


class Counted(Stored):
    def forward(self, x, n):
        return self.linear(x)[:, : int(n.max())]


class Branch(nn.Module):
    def forward(self, x):
        return x * 2 if x.sum() > 0 else x - 1


class Remembered(Stored):
    first = None

    def forward(self, x):
        if self.first is None:
            self.first = self.linear(x)
        return self.first + 0 * x[:, :3]


class Particular(nn.Module):
    """Takes its sample and nothing else."""

    def forward(self, x):
        if not torch.equal(x, X):
            raise ValueError("unknown")
        return x * 2


class Whole(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        weight = torch.arange(12, dtype=torch.int32).reshape(4, 3)
        self.register_buffer("weight", weight)

    def forward(self, x):
        return x @ self.weight


@pytest.mark.parametrize(
    ("model", "args", "when"),
    [
        (Stored(), (X,), "x is normal"),
        (Scaled(), (X,), "x is normal"),
        (Counted(), (X, torch.tensor([1, 2])), "n is wide"),
        (Branch(), (torch.ones(3),), "x is low"),
    ],
    ids=["stored", "scaled", "counted", "branch"],
)
def test_what_a_tracer_froze_is_red_at_the_users_own_shapes(prove, model, args, when):
    verdict = prove(["torchscript"], model.eval(), args, checks=("parity",)).verdicts[0]
    assert verdict.outcome is Outcome.FAILED
    assert verdict.reason.startswith(f"fails when {when}: "), verdict.reason
    assert any(caution.startswith("traced at ") for caution in verdict.cautions)


def test_a_model_that_keeps_its_first_answer_is_red(prove):
    verdict = prove(["torchscript"], Remembered().eval(), X, checks=("parity",)).verdicts[0]
    assert verdict.outcome is Outcome.FAILED


def test_whole_numbers_beyond_what_float32_holds_are_asked(prove):
    x = torch.randint(0, 5, (2, 4), dtype=torch.int32)
    sound, rounded = prove(["torchscript", "openvino"], Whole(), x, checks=("parity",)).verdicts
    assert sound.passed, sound.reason
    assert rounded.reason.startswith("fails when x is huge: "), rounded.reason


def test_a_sound_port_says_how_many_it_was_asked(prove):
    verdict = prove(["torchscript"], nn.Linear(4, 3).eval(), X, checks=("parity",)).verdicts[0]
    assert verdict.passed
    assert verdict.reason.endswith("2 calls, 4 with other values")
    assert verdict.evidence["other_values"]["samples"] == 4
    assert verdict.cautions == ()


def test_without_examples_the_row_says_so_and_a_frozen_value_is_undecided(prove):
    sound = prove(
        ["torchscript"], nn.Linear(4, 3).eval(), X, checks=("parity",), examples=0
    ).verdicts[0]
    assert sound.passed
    assert sound.cautions == ("no other values than the sample's were tried: examples=0",)
    frozen = prove(["torchscript"], Stored().eval(), X, checks=("parity",), examples=0).verdicts[0]
    assert frozen.outcome is Outcome.INCONCLUSIVE
    assert "the tracer froze some of them" in frozen.reason


def test_a_model_that_refuses_every_other_value_says_so(prove):
    verdict = prove(["torch_export"], Particular(), X, checks=("parity",)).verdicts[0]
    if verdict.passed:
        assert "the model refuses all" in verdict.cautions[0]
    else:
        assert verdict.outcome is Outcome.UNSUPPORTED


def test_values_at_which_the_model_itself_overflows_say_nothing(prove):
    class Soft(nn.Module):
        """Its own formula, which runtimes replace by a better one."""

        def forward(self, x):
            return torch.log(1 + torch.exp(x))

    verdict = prove(["torchscript"], Soft(), 3 * X, checks=("parity",)).verdicts[0]
    assert verdict.passed, verdict.reason
    assert verdict.reason.endswith("3 with other values")


def test_offsets_ascend_in_every_sample(prove):
    class Bag(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bag = nn.EmbeddingBag(50, 4)

        def forward(self, ids, offsets):
            assert offsets[0] == 0
            assert (offsets.diff() >= 0).all()
            return self.bag(ids, offsets)

    ids = torch.randint(0, 50, (9,), generator=torch.Generator().manual_seed(0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        verdict = prove(
            ["torchscript"],
            Bag().eval(),
            (ids, torch.tensor([0, 2, 4, 6])),
            checks=("parity",),
        ).verdicts[0]
    assert verdict.passed, verdict.reason
    assert verdict.evidence["other_values"]["samples"] >= 3


def test_a_model_in_train_mode_is_said_first_and_on_green_rows(prove):
    model = nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.0)).train()
    green = prove(["torchscript"], model, X, checks=("parity",)).verdicts[0]
    assert green.passed, green.reason
    assert green.cautions == ("the model is in train mode, as it was given: 1",)
    baked = nn.Sequential(Stored(), nn.Dropout(0.0)).train()
    red = prove(["torchscript"], baked, X, checks=("parity",)).verdicts[0]
    assert red.reason.startswith("in train mode (1): fails when input is normal: ")
