from __future__ import annotations

import pytest

from pytest_modelport import Outcome, Route, Stage, Verdict
from pytest_modelport.core.cause import describe
from pytest_modelport.reports.failure_text import failure
from pytest_modelport.reports.terminal import footer, render, used

ROUTE = Route("onnx")
COMPARISON = {
    "call": "samples[0]", "name": "logits", "expected": "float32[2, 10]", "got": "float32[2, 10]", "count": 20,
    "nonfinite": 0, "different": 0, "error": 2e-3, "noise": 1.7e-6, "magnitude": 1.2,
    "worst": {"index": [0, 3], "subject": "1.2399", "port": "1.2345", "oracle": "1.23990001", "error": 5.4e-3, "allowed": 1e-5},
}  # fmt: skip
ALLOWANCE = {"source": "noise of 17 evaluations around the float64 oracle", "factor": 2.5}


def verdict(
    outcome=Outcome.FAILED,
    stage=Stage.COMPARE,
    reason="'logits' at samples[0] is wrong",
    route=ROUTE,
    check="parity",
    **evidence,
):
    return Verdict(route, check, stage, outcome, reason, evidence, ("a note",), 1.0, "test_net")


def test_a_wrong_value_in_words():
    text = failure(
        [
            verdict(
                comparison=COMPARISON,
                allowance=ALLOWANCE,
                needs=1403.0,
                artifact="/tmp/a",
                calls={"args": "passed", "samples[0]": "failed"},
            ),
            verdict(check="weights", reason="constant 'w' is not the model's"),
        ],
        environment={"torch": "2.13"},
        rerun="pytest 'x'",
    )
    assert (
        text
        == """\
'logits' at samples[0] is wrong
  route      onnx-cpu: parity failed at compare (model test_net)
  worst      [0, 3]: exported model 1.2345, model 1.2399 (oracle 1.23990001); off by 0.0054
  output     'logits' float32[2, 10], 20 elements compared
  overall    rms error 0.002, noise 1.7e-06, magnitude 1.2
  allowance  2.5 x noise of 17 evaluations around the float64 oracle; it would pass at 1.4e+03
  calls      args passed, samples[0] failed
  also       weights failed: constant 'w' is not the model's
  note       a note
  versions   torch 2.13
  artifact   /tmp/a
  rerun      pytest 'x'"""
    )


def test_a_crash_in_words():
    text = failure(
        [
            verdict(
                Outcome.CRASHED,
                Stage.RUN,
                "SIGABRT in running the exported model on args",
                signal="SIGABRT",
                tail="one\ntwo",
            )
        ]
    )
    assert text.splitlines()[0] == "SIGABRT in running the exported model on args"
    assert "  last words one\n             two" in text


def test_an_exporters_words_are_kept_short():
    cause = {
        "root": "Error: no\nFor more information, run\nuseful\n"
        + "\n".join(f"line {i}" for i in range(30)),
        "operator": "aten.svd",
        "source": "m.py:3",
    }
    text = failure(
        [
            verdict(
                Outcome.UNSUPPORTED,
                Stage.EXPORT,
                "cannot export: Error: no",
                cause=cause,
                log="/tmp/log",
            )
        ]
    )
    assert len(text.splitlines()) <= 14
    for part in (
        "operator   aten.svd",
        "source     m.py:3",
        "said       useful",
        "log        /tmp/log",
    ):
        assert part in text
    assert "For more information" not in text


def test_it_never_takes_more_than_25_lines_and_keeps_the_rerun():
    long = " ".join(["word"] * 300)
    text = failure(
        [
            verdict(
                reason=long,
                comparison=COMPARISON,
                allowance=ALLOWANCE,
                needs=2.0,
                where=long,
                blame=long,
                tail=long.replace(" ", "\n"),
                sample=long,
            )
        ],
        environment={"v": long},
        rerun="pytest 'x'",
    )
    assert len(text.splitlines()) <= 25
    assert text.splitlines()[-1] == "  rerun      pytest 'x'"
    assert all(len(line) <= 120 for line in text.splitlines())


def test_what_is_copied_is_never_broken():
    path = "/tmp/" + "very-long-name/" * 20
    assert f"  artifact   {path}" in failure([verdict(artifact=path)])


def test_the_matrix_groups_subjects_and_shows_the_share_of_the_allowance():
    verdicts = [
        verdict(Outcome.PASSED, needs=0.5, allowance=ALLOWANCE),
        verdict(Outcome.FAILED, route=Route("torchscript"), needs=250.0, allowance=ALLOWANCE),
        verdict(Outcome.SKIPPED, Stage.EXPORT, "not installed: x", Route("torch_export")),
        Verdict(ROUTE, "weights", Stage.COMPARE, Outcome.PASSED, "", {}, (), 0.5, "test_net"),
    ]
    text = render(verdicts, width=140, color=False)
    assert text.count("test_net") == 1
    rows = [" ".join(line.split()) for line in text.splitlines() if "-cpu" in line]
    assert rows[0] == "onnx-cpu passed 0.20 1.5 s"
    assert rows[1].startswith("torchscript-cpu failed 100x 1.0 s 'logits' at samples[0] is wrong")
    assert rows[2] == "torch_export-cpu skipped 1.0 s not installed: x"
    assert footer(verdicts) == [
        "3 routes: 1 passed, 1 failed, 1 skipped",
        "skipped 1: not installed: x",
    ]
    assert "\x1b" in render(verdicts, width=140, color=True)
    assert "wrong" not in render(verdicts, width=80, color=False)


def test_the_share_of_a_given_tolerance():
    assert (
        used([verdict(needs=0.5, allowance={"source": "given by the test", "rtol": 1, "atol": 1})])
        == "0.50"
    )
    assert used([verdict(needs="inf", allowance=ALLOWANCE)]) == "inf"
    assert used([verdict()]) == ""


def test_a_cause_names_operator_module_and_line():
    import torch
    from torch import nn

    class Broken(nn.Module):
        def forward(self, x):
            return x.no_such_method()

    model = nn.Sequential(nn.Identity(), Broken())
    from pytest_modelport.subject.modules import paths

    with pytest.raises(RuntimeError) as caught:
        try:
            model(torch.ones(1))
        except AttributeError as error:
            raise RuntimeError("\x1b[96mfailed\x1b[0m for aten.svd.default\nmore") from error
    cause = describe(caught.value, paths(model))
    assert cause.message == "failed for aten.svd.default\nmore"
    assert cause.headline == "AttributeError: 'Tensor' object has no attribute 'no_such_method'"
    assert cause.operator == "aten.svd.default"
    assert cause.module == "1"
    assert cause.source.endswith("return x.no_such_method()")
    assert not cause.storage


def test_a_full_disk_is_told_from_a_model_that_cannot_be_exported():
    import errno

    with pytest.raises(RuntimeError) as caught:
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            raise RuntimeError("export failed") from error
    assert describe(caught.value).storage
    assert describe(RuntimeError("PytorchStreamWriter failed: No space left on device")).storage
