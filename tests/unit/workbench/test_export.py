"""What an export that did not come to its end means."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch
from torch import nn

from pytest_modelport.core.cause import Cause
from pytest_modelport.core.verdict import Outcome, Stage
from pytest_modelport.isolation.jobs import Raised, TimedOut
from pytest_modelport.workbench import export


def test_a_converter_that_fails_in_its_environment_is_at_the_stage_convert(prove, monkeypatch):
    cause = Cause("ValueError", "an operator that it does not know", "")
    monkeypatch.setattr(export, "_converted", lambda *_: Raised(cause))
    [verdict] = prove(["torchscript"], nn.ReLU(), torch.ones(3), checks=("parity",)).verdicts
    assert (verdict.stage, verdict.outcome) == (Stage.CONVERT, Outcome.UNSUPPORTED)
    assert verdict.reason == "cannot convert: ValueError: an operator that it does not know"
    monkeypatch.setattr(export, "_converted", lambda *_: TimedOut(3.0, ""))
    [verdict] = prove(["torchscript"], nn.Tanh(), torch.ones(3), checks=("parity",)).verdicts
    assert (verdict.stage, verdict.outcome) == (Stage.CONVERT, Outcome.TIMEOUT)
    assert verdict.reason == "more than 3 s in the conversion to torchscript: killed"


class Removes(nn.Module):
    """Somebody empties the folder for temporary files while the model is exported."""

    def __init__(self, folder):
        super().__init__()
        self.folder = str(folder)

    def forward(self, x):
        if torch.jit.is_tracing():
            for made in Path(self.folder).glob("*-torchscript"):
                shutil.rmtree(made)
        return x * 2


def test_a_folder_that_vanishes_says_nothing_of_the_model(prove, workspace):
    model = Removes(workspace.folder)
    [verdict] = prove(["torchscript"], model, torch.ones(3), checks=("parity",)).verdicts
    assert verdict.outcome is Outcome.ERROR, verdict
    assert verdict.reason.startswith("cannot write the artifact: its folder was removed meanwhile")
