"""Everything a user can get wrong, and every way the machine can let them down: one clear message
each.
"""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pytest_modelport import Outcome, Sample, Stage, UsageError, verify
from pytest_modelport.core.verdict import worst

X = torch.randn(2, 3, generator=torch.Generator().manual_seed(0))


def notes(report):
    return " | ".join(report.verdicts[0].notes)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"targets": ["onxx"]}, "unknown target 'onxx': did you mean 'onnx'"),
        ({"targets": []}, "targets is empty"),
        ({"targets": ["torchscript"], "devices": ["gpu"]}, "unknown device 'gpu'"),
        ({"targets": ["torchscript"], "checks": ["weight"]}, "did you mean 'weights'"),
        ({"targets": ["torchscript"], "kwargs": torch.ones(1)}, "kwargs is a Tensor: give a dict"),
        ({"targets": ["torchscript"], "samples": X[0]}, "samples"),
        (
            {"targets": ["torchscript"], "workdir": "/dev/null/here"},
            "workdir /dev/null/here cannot be used",
        ),
        ({"targets": ["torchscript"], "timeout": 0}, "timeout is 0"),
        ({"targets": ["torchscript"], "threads": 0}, "threads is 0"),
    ],
)
def test_requests_that_make_no_sense_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        verify(nn.Linear(3, 2), X, **options)


def test_a_sample_goes_with_its_own_keywords():
    with pytest.raises(UsageError, match="kwargs beside a Sample"):
        verify(nn.Linear(3, 2), Sample((X,)), {"a": 1}, targets=["torchscript"])


class Rejecting(nn.Module):
    def forward(self, x):
        if x.shape[0] != 2:
            raise ValueError("two rows, please")
        return x * 2


def test_inputs_that_the_subject_rejects_are_an_error_in_its_words(prove):
    for options in ({"args": X[:1]}, {"args": X, "samples": [X[:1]]}):
        verdict = worst(prove(["torchscript"], Rejecting(), **options).verdicts)
        assert verdict.outcome is Outcome.ERROR
        assert verdict.reason.startswith("the model itself rejects ")
        assert "ValueError: two rows, please" in verdict.reason


class Dying(nn.Module):
    def forward(self, x):
        os.kill(os.getpid(), 11)


def test_a_subject_that_crashes_is_an_error(prove):
    verdict = worst(prove(["torchscript"], Dying(), X).verdicts)
    assert (verdict.outcome, verdict.stage) == (Outcome.ERROR, Stage.RUN)
    assert verdict.reason == "the model itself crashes (SIGSEGV) in eager"


class Returning(nn.Module):
    def __init__(self, value) -> None:
        super().__init__()
        self.value = value

    def forward(self, x):
        return self.value(x)


@pytest.mark.parametrize("value", [lambda x: None, lambda x: []])
def test_a_subject_that_returns_nothing_proves_nothing(prove, value):
    verdict = worst(prove(["torchscript"], Returning(value), X).verdicts)
    assert verdict.outcome is Outcome.ERROR
    assert verdict.reason == "the model returns nothing: nothing can be compared"


@pytest.mark.parametrize("target", ["torchscript", "torch_export", "onnx"])
def test_outputs_that_are_empty_are_said_to_be(prove, target):
    verdict = worst(prove([target], Returning(lambda x: x[:0] * 2), X).verdicts)
    assert verdict.passed
    assert "no output holds a finite number" in verdict.cautions[-1]


def test_inputs_that_are_empty_prove_nothing(prove):
    verdict = worst(prove(["torchscript"], Returning(lambda x: x * 2), X[:0]).verdicts)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.reason == "nothing was compared: every input is empty"


def test_an_empty_sample_beside_a_full_one_is_fine(prove):
    report = prove(
        ["torchscript", "torch_export", "onnx"],
        nn.Linear(3, 2),
        X,
        samples=[X[:0]],
        dynamic_shapes={0: "batch"},
    )
    assert report.passed, report


def test_nan_in_the_subjects_own_output_is_noted(prove):
    report = prove(["torchscript"], Returning(lambda x: torch.where(x > 0, x.log(), math.nan)), X)
    assert report.passed
    assert "the model's own 'output' has NaN or inf at args (float32[2, 3])" in notes(report)


def test_nothing_but_nan_is_said(prove):
    verdict = worst(prove(["torchscript"], Returning(lambda x: x * math.nan), X).verdicts)
    assert verdict.passed
    assert "no output holds a finite number" in verdict.cautions[-1]


def test_train_mode_state_and_randomness_are_noted_with_the_submodule(prove):
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Dropout(0.5)).train()
    report = prove(["torch_export"], model, X)
    assert report.verdicts[0].outcome is Outcome.PASSED, report
    assert "the model is in train mode, as it was given: 1, 2" in notes(report)
    assert "the model keeps state: buffer 1." in notes(report)
    assert "the model draws random numbers: bernoulli_ in 2" in notes(report)
    assert model.training


def test_an_operation_without_float64_is_noted(prove):
    @torch.library.custom_op("modelport_meta::narrow", mutates_args=())
    def narrow(x: torch.Tensor) -> torch.Tensor:
        if x.dtype is not torch.float32:
            raise NotImplementedError("float32 only")
        return x.exp()

    narrow.register_fake(lambda x: torch.empty_like(x))
    report = prove(["torchscript"], Returning(lambda x: narrow(x) * 3), X)
    assert "no float64 kernel for modelport_meta.narrow.default (float32 only)" in notes(report)


def test_noise_that_cannot_be_measured_is_said(prove, monkeypatch):
    from pytest_modelport.reference import evaluate

    def fails(*_, **__):
        raise RuntimeError("no noise today")

    monkeypatch.setattr(evaluate, "noisy", fails)
    report = prove(["torchscript"], nn.Linear(3, 2), X)
    assert report.passed
    assert (
        "noise could not be measured (RuntimeError: no noise today): torch.testing's tolerances were used"
        in notes(report)
    )
    assert report.verdicts[0].evidence["allowance"]["source"].startswith("torch.testing's table")


def test_an_oracle_that_cannot_be_had_is_said(prove, monkeypatch):
    from pytest_modelport.reference import evaluate

    def fails(*_, **__):
        raise RuntimeError("no oracle today")

    monkeypatch.setattr(evaluate, "exact", fails)
    report = prove(["torchscript"], nn.Linear(3, 2), X + 1)
    assert report.passed
    assert "no float64 kernel for the whole subject (RuntimeError: no oracle today)" in notes(
        report
    )


def test_a_broken_package_is_an_error_in_its_own_words(prove, monkeypatch, tmp_path):
    (tmp_path / "broken_package.py").write_text(
        "raise RuntimeError('operator torchvision::nms does not exist')"
    )
    monkeypatch.syspath_prepend(tmp_path)
    from pytest_modelport.backends.formats import torchscript

    monkeypatch.setattr(torchscript, "REQUIRES", {"broken_package": "broken-package"})
    verdict = worst(prove(["torchscript"], nn.Linear(3, 2), X).verdicts)
    assert verdict.outcome is Outcome.ERROR
    assert verdict.reason == (
        "broken_package is installed and does not import: RuntimeError: operator torchvision::nms does not exist"
    )


def test_a_package_that_is_broken_only_in_the_clean_room_is_an_error_too(monkeypatch, tmp_path):
    (tmp_path / "onnxruntime.py").write_text(
        "raise ImportError('libcublas.so.12: cannot open shared object file')"
    )
    monkeypatch.setenv(
        "PYTHONPATH", str(tmp_path)
    )  # what the room finds; this process looks no further than before
    verdict = worst(verify(nn.Linear(3, 2), X, targets=["onnx"]).verdicts)
    assert (verdict.outcome, verdict.stage) == (Outcome.ERROR, Stage.OPEN)
    assert verdict.reason == (
        "onnxruntime is installed and does not import in the clean room: "
        "ImportError: libcublas.so.12: cannot open shared object file"
    )


class Hanging(nn.Module):
    def forward(self, x):
        if torch.jit.is_tracing():
            import time

            time.sleep(60)
        return x


def test_an_export_that_hangs_is_a_timeout(prove):
    verdict = worst(prove(["torchscript"], Hanging(), X, timeout=3).verdicts)
    assert (verdict.outcome, verdict.stage) == (Outcome.TIMEOUT, Stage.EXPORT)
    assert verdict.reason == "more than 3 s in the export to torchscript: killed"


class Aborting(nn.Module):
    def forward(self, x):
        if torch.jit.is_tracing():
            os.abort()
        return x


def test_an_export_that_crashes_is_a_crash(prove):
    verdict = worst(prove(["torchscript"], Aborting(), X).verdicts)
    assert (verdict.outcome, verdict.stage) == (Outcome.CRASHED, Stage.EXPORT)
    assert verdict.reason == "SIGABRT in the export to torchscript"


class Heavy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(1000, 1000))

    def forward(self, x):
        return x @ self.weight


FULL = """
import sys, torch
sys.path.insert(0, {root!r})
from tests.meta.test_bad_input import Heavy
from pytest_modelport import verify
report = verify(Heavy(), torch.ones(1, 1000), targets=[{target!r}], workdir={folder!r})
(verdict,) = report.verdicts
print(verdict.outcome, verdict.stage, verdict.reason)
"""


@pytest.mark.parametrize("target", ["torchscript", "torch_export", "onnx"])
def test_a_full_disk_is_an_error_that_says_so(tmp_path, target):
    """A file system of 3 MiB, in a namespace of its own, for an artifact of 4 MB."""
    if (
        shutil.which("unshare") is None
        or subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode
    ):
        pytest.skip("needs user namespaces (unshare -rm) to make a small file system")
    root = str(Path(__file__).parents[2])
    code = FULL.format(root=root, target=target, folder=f"{tmp_path}/work")
    script = f'mount -t tmpfs -o size=3m tmpfs "{tmp_path}" && exec "{sys.executable}" -c "$CODE"'
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", script],
        capture_output=True,
        text=True,
        env={**os.environ, "CODE": code},
        timeout=300,
    )
    last = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else done.stderr
    assert last.startswith("error "), last + done.stderr
    assert "no space left" in last.lower(), last


def test_a_workdir_keeps_every_artifact(tmp_path):
    report = verify(nn.Linear(3, 2), X, targets=["torchscript"], workdir=tmp_path / "work")
    assert report.passed
    assert (Path(report.verdicts[0].evidence["artifact"]) / "manifest.json").exists()


def test_a_workdir_is_used_again(tmp_path):
    for _ in range(2):
        assert verify(nn.Linear(3, 2), X, targets=["torchscript"], workdir=tmp_path).passed
    assert len(list(tmp_path.glob("*-torchscript"))) == 2


def test_without_a_workdir_only_failures_stay(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert verify(nn.Linear(3, 2), X, targets=["torchscript"]).passed
    assert list(tmp_path.iterdir()) == []
    report = verify(
        Returning(lambda x: x + float(torch.jit.is_tracing())), X, targets=["torchscript"]
    )
    assert not report.passed
    kept = Path(report.verdicts[0].evidence["artifact"])
    assert (kept / "manifest.json").exists()
    assert list(kept.parent.iterdir()) == [kept]


def test_a_sample_of_another_structure_is_a_refusal_of_the_port(prove):
    class Optional(nn.Module):
        def forward(self, x, mask=None, *, times=1):
            return (x if mask is None else x * mask) * times

    report = prove(["onnx", "torchscript"], Optional(), X, samples=[(X, torch.ones(2, 1))])
    for verdict in (item for item in report.verdicts if item.check == "parity"):
        assert (verdict.outcome, verdict.stage) == (Outcome.FAILED, Stage.RUN)
    assert (
        "samples[0] cannot be fed: it has no input 'mask' (exported with x)"
        in report.verdicts[0].reason
    )
    report = prove(["onnx"], Optional(), X, {"times": 2}, samples=[Sample((X,), {"times": 3})])
    assert "times was fixed at 2 when it was exported, and is 3 here" in report.verdicts[0].reason


def test_a_silent_dropout_in_eval_is_no_note(prove):
    report = prove(["torchscript"], nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5)).eval(), X)
    assert report.verdicts[0].notes == ()


def test_functional_dropout_is_noted(prove):
    report = prove(["torch_export"], Returning(lambda x: F.dropout(x, 0.5)), X)
    assert "draws random numbers" in notes(report)
