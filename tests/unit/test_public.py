"""The promise to users: names, options, settings, commands and entry points. A change here is one
that every user notices.
"""

from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path

import pytest_modelport
from pytest_modelport import consolidate, distil, extend, merge, strategies
from pytest_modelport.backends import registry
from pytest_modelport.cli.main import commands
from pytest_modelport.core.route import Route
from pytest_modelport.core.verdict import Outcome, Stage
from pytest_modelport.plugin.marker import KEYWORDS

ROOT = Path(__file__).parents[2]


def test_names_of_the_package():
    assert pytest_modelport.__all__ == [
        *("Outcome", "Report", "Route", "Sample", "Stage", "T", "UsageError", "Verdict"),
        *("recipe", "verify"),
    ]
    for module, names in {
        consolidate: ["consolidated"],
        distil: ["distil", "loss"],
        merge: ["Chain", "Ensemble", "Stack", "files", "soup"],
        strategies: ["samples"],
    }.items():
        assert all(callable(getattr(module, name)) for name in names), module


def test_names_for_authors():
    assert {
        *("ExportRequest", "Exported", "TensorSpec", "Manifest", "Array", "Feed", "Answer"),
        *("SessionOptions", "ModuleWork", "FileWork", "Outcome", "Stage", "versions"),
        *("ordered", "programs", "conformance"),
        *("CannotJudge", "CannotTransform", "CannotVary", "Rejected", "WrongArtifact"),
    } <= {*extend.__all__}
    for name in extend.__all__:
        assert getattr(extend, name) is not None
    assert dir(extend) == sorted(extend.__all__)


def test_options_and_settings(pytestconfig):
    parser = pytestconfig._parser
    [group] = [group for group in parser._groups if group.name == "modelport"]
    options = {name for option in group.options for name in option.names()}
    assert options - {"--device", "--targets", "--benchmark"} == {
        "--portable-model",
        *(
            f"--modelport-{name}"
            for name in ("targets", "device", "strict", "in-process", "report")
        ),
        *(f"--modelport-{name}" for name in ("shard", "examples", "search-seconds", "replay")),
        *(f"--modelport-{name}" for name in ("benchmark", "baseline", "release")),
    }
    settings = {name for name in parser._inidict if name.startswith("modelport_")}
    assert settings == {
        *(f"modelport_{name}" for name in ("examples", "search_seconds", "targets", "timeout")),
        *("modelport_rtol", "modelport_atol", "modelport_keep"),
    }


def test_keywords_of_the_marker():
    assert (
        *("targets", "transforms", "devices", "checks"),
        *("latency", "size", "memory", "quality"),
    ) == KEYWORDS


def test_commands():
    _, run = commands()
    assert {*run, "upgrade-check"} == {
        *("targets", "doctor", "verify", "replay", "init", "show", "env", "release", "gate"),
        *("merge", "report", "plot", "upgrade-check"),
    }


def test_entry_points():
    points = importlib.metadata.entry_points()
    assert [it.value for it in points.select(group="pytest11", name="modelport")] == [
        "pytest_modelport.plugin"
    ]
    assert [it.value for it in points.select(group="console_scripts", name="modelport")] == [
        "pytest_modelport.cli:main"
    ]
    assert registry.GROUPS == ("formats", "runtimes", "transforms", "checks", "libraries")


def test_words_of_reports_are_those_of_the_schema():
    schema = json.loads((ROOT / "docs/report.schema.json").read_text())
    text = json.dumps(schema)
    for word in (*Outcome, *Stage):
        assert json.dumps(str(word)) in text


def test_ids_of_routes():
    assert Route("onnx:openvino", "cuda", ("prune_l1(amount=0.5)", "fp16")).id == (
        "prune_l1(amount=0.5)-fp16-onnx:openvino-cuda"
    )
