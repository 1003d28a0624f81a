"""The check `contract`: what the subject refuses, the port must refuse."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from pytest_modelport import Outcome, Stage
from pytest_modelport.backends.runtimes import tract
from pytest_modelport.checks._contract_probes import probes
from pytest_modelport.core.artifact import Manifest
from pytest_modelport.core.sample import Sample
from pytest_modelport.subject.inputs import name_inputs

NAMED = Manifest("onnx", "onnx", "model.onnx", "named", (), ())


class Lookup(nn.Module):
    """(batch, words) ids and a mask of that shape to (batch, 4)."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.head = nn.Embedding(16, 8), nn.Linear(8, 4)

    def forward(self, ids, mask):
        return self.head((self.table(ids) * mask.unsqueeze(-1)).sum(1))


class Anything(nn.Module):
    def forward(self, x):
        return x * 2


ARGS = (torch.tensor([[1, 2, 3], [4, 5, 6]]), torch.ones(2, 3))
SHAPES = {"ids": {0: "batch"}, "mask": {0: "batch"}}


def asked(prove, target, model=None, args=ARGS, shapes=SHAPES):
    (verdict,) = prove(
        [target], model or Lookup().eval(), args, checks=["contract"], dynamic_shapes=shapes
    ).verdicts
    return verdict


@pytest.mark.parametrize("target", ["torchscript", "torch_export", "state_dict"])
def test_ports_that_refuse_what_the_subject_refuses_pass(prove, target):
    verdict = asked(prove, target)
    assert verdict.passed, verdict
    assert verdict.reason.startswith("refuses all")
    assert len(verdict.evidence["probes"]) >= 4


def test_a_silent_answer_is_named(prove):
    verdict = asked(prove, "onnx")
    assert (verdict.check, verdict.stage, verdict.outcome) == (
        "contract",
        Stage.RUN,
        Outcome.FAILED,
    )
    assert verdict.reason == "answers what the model refuses, 1 of 8 inputs: ids with -1 in it"
    probes = verdict.evidence["probes"]
    assert (
        probes["ids with -1 in it"] == "the model refuses (IndexError), the exported model answers"
    )
    assert "exported model refuses" in probes["ids with 2147483647 in it"]
    assert probes["mask left out"].endswith("the exported model refuses (ValueError)")


def test_a_runtime_that_dies_is_opened_again_for_the_rest(prove, needs):
    needs(tract.REQUIRES)
    verdict = asked(prove, "onnx:tract")
    assert verdict.outcome is Outcome.FAILED
    assert verdict.reason.startswith(
        "crashes on what the model refuses, 4 of 8 inputs: ids with 2147483647 in it"
    )
    assert verdict.evidence["probes"]["mask left out"].endswith(
        "the exported model dies (SIGSEGV)"
    )  # tract reads past what it was given
    assert verdict.evidence["probes"]["mask as float64"].endswith(
        "the exported model refuses (TractError)"
    )


def test_inputs_in_any_layout_are_probed():
    ids = torch.arange(6).reshape(3, 2).T
    changed = [
        probe
        for probe in probes(name_inputs(Lookup(), Sample((ids, torch.ones(2, 3)))), NAMED)
        if "with -1" in probe.label
    ]
    assert changed[0].sample.args[0][0, 0] == -1
    assert ids[0, 0] == 0


def test_a_subject_that_takes_anything_leaves_nothing_to_ask(prove):
    verdict = asked(prove, "torchscript", Anything(), torch.ones(2, 3), None)
    assert verdict.passed
    assert verdict.evidence["probes"] == {}


def test_it_is_asked_only_by_name(prove):
    report = prove(["torchscript"], Anything(), torch.ones(2, 3))
    assert "contract" not in {verdict.check for verdict in report.verdicts}


def test_other_checks_do_not_hand_over_what_the_artifact_never_promised(prove):
    """A fixed dim: the runtime might answer, so it is not asked."""
    verdict = prove(["onnx"], Anything(), torch.ones(2, 3), samples=[torch.ones(5, 3)]).verdicts[0]
    assert verdict.outcome is Outcome.FAILED
    assert (
        verdict.reason
        == "samples[0] cannot be fed: input 'x' was exported as (2, 3), this sample has (5, 3)"
    )
