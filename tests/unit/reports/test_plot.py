"""Plots of timed routes: what they show is what the report says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import nn

from pytest_modelport import verify
from pytest_modelport.cli.main import main
from pytest_modelport.core.report import Report

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def report():
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTEST_XDIST_WORKER_COUNT", raising=False)
        torch.manual_seed(0)
        limits = {"p50_ms": 1000.0, "speedup_vs_eager": 1e-6}
        return verify(
            nn.Linear(64, 64).eval(), torch.randn(8, 64), targets=["torchscript"], latency=limits
        )


def test_a_timed_route_is_drawn_with_its_budgets_and_its_trend(report, tmp_path, capsys):
    for name in ("monday", "tuesday"):
        (tmp_path / f"{name}.json").write_text(report.to_json())
    reports = [str(tmp_path / f"{name}.json") for name in ("monday", "tuesday")]
    assert main(["plot", *reports, "--to", str(tmp_path / "plots")]) == 0
    [path] = [line.strip() for line in capsys.readouterr().out.splitlines()]
    said = "".join(re.findall(r"<!--(.*?)-->", Path(path).read_text(), re.DOTALL))
    [timed] = [verdict for verdict in report.verdicts if "runs_ms" in verdict.evidence]
    compared = next(verdict for verdict in report.verdicts if "ratios" in verdict.evidence)
    assert f"{len(timed.evidence['runs_ms'])} calls: passed" in said
    assert f"{compared.evidence['pairs']} pairs: passed" in said
    assert "its budget 1000 ms" in said
    assert {"monday", "tuesday"} <= set(re.findall(r"\w+", said))
    assert len(compared.evidence["ratios"]) == compared.evidence["pairs"]
    before = Path(path).read_text()
    assert main(["plot", *reports, "--to", str(tmp_path / "plots")]) == 0
    assert Path(path).read_text() == before, "the same reports, the same file"


def test_one_report_has_no_trend_and_png_is_one(report, tmp_path, capsys):
    (tmp_path / "run.json").write_text(report.to_json())
    assert main(["plot", str(tmp_path / "run.json"), "--to", str(tmp_path), "--png"]) == 0
    path = capsys.readouterr().out.strip()
    assert Path(path).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_what_cannot_be_drawn_is_said(report, tmp_path, capsys):
    untimed = Report(
        tuple(verdict for verdict in report.verdicts if verdict.check == "parity"),
        report.environment,
    )
    (tmp_path / "run.json").write_text(untimed.to_json())
    assert main(["plot", str(tmp_path / "run.json"), "--to", str(tmp_path)]) == 2
    assert "nothing to plot: no route in" in capsys.readouterr().err
    (tmp_path / "timed.json").write_text(report.to_json())
    assert main(["plot", str(tmp_path / "timed.json"), "--to", str(tmp_path / "run.json")]) == 2
    assert "cannot be written: " in capsys.readouterr().err
