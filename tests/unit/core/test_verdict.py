from __future__ import annotations

import contextlib
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_modelport import Outcome, Report, Route, Stage, UsageError, Verdict
from pytest_modelport.core.report import SCHEMA, sealed
from pytest_modelport.core.verdict import jsonable, worst
from pytest_modelport.reports.terminal import render
from pytest_modelport.reports.write import written

ONNX, TORCHSCRIPT = Route("onnx"), Route("torchscript", "cuda:1", ("int8",))


def verdict(
    outcome: Outcome = Outcome.PASSED, route: Route = ONNX, check: str = "parity"
) -> Verdict:
    return Verdict(
        route,
        check,
        Stage.COMPARE,
        outcome,
        "a reason",
        {"needs": 0.5, "list": [1]},
        ("a note",),
        1.5,
        "net",
    )


def test_no_verdict_is_not_green():
    assert not Report(()).passed


def test_one_passed_parity_is_green():
    assert Report((verdict(),)).passed


@pytest.mark.parametrize(
    "outcome", [outcome for outcome in Outcome if outcome is not Outcome.PASSED]
)
def test_any_other_outcome_anywhere_is_red(outcome):
    assert not Report((verdict(), verdict(outcome, check="weights"))).passed
    assert not Report((verdict(), verdict(outcome, TORCHSCRIPT))).passed


def test_a_route_without_parity_is_red():
    assert not Report((verdict(), verdict(route=TORCHSCRIPT, check="weights"))).passed


def test_a_routes_outcome_is_its_worst():
    report = Report(
        (
            verdict(),
            verdict(Outcome.CRASHED, check="weights"),
            verdict(Outcome.SKIPPED, TORCHSCRIPT),
        )
    )
    assert report.outcomes == {
        "onnx-cpu": Outcome.CRASHED,
        "int8-torchscript-cuda:1": Outcome.SKIPPED,
    }
    assert worst(report.verdicts).check == "weights"


def test_json_goes_both_ways():
    report = Report((verdict(), verdict(Outcome.FAILED, TORCHSCRIPT)), {"torch": "2.13"})
    again = Report.from_json(report.to_json())
    assert again == report
    assert json.loads(report.to_json())["schema"] == 1


def test_json_has_no_nan():
    assert jsonable({"a": math.nan, "b": (math.inf, 1.0)}) == {"a": "nan", "b": ["inf", 1.0]}
    with pytest.raises(ValueError, match="not JSON compliant"):
        Report(
            (Verdict(ONNX, "parity", Stage.RUN, Outcome.PASSED, "", {"needs": math.nan}),)
        ).to_json()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(schema=0), "schema 0"),
        (lambda d: d.pop("schema"), "schema None"),
        (lambda d: d.update(passed=False), "was edited"),
        (lambda d: d["verdicts"][0].pop("outcome"), "not a Modelport verdict"),
        (lambda d: d["verdicts"][0].update(outcome="fine"), "not a Modelport verdict"),
        (lambda d: d["verdicts"][0].update(extra=1), "not a Modelport verdict"),
    ],
)
def test_other_documents_are_refused(change, message):
    document = json.loads(Report((verdict(),)).to_json())
    change(document)
    document = sealed({key: value for key, value in document.items() if key != "sha256"})
    with pytest.raises(UsageError, match=message):
        Report.from_json(json.dumps(document))


KEPT = sorted((Path(__file__).parents[3] / "fixtures/reports").glob("schema-*.json"))


def test_every_schema_has_a_report_that_was_kept():
    assert [path.stem for path in KEPT] == [f"schema-{number}" for number in range(1, SCHEMA + 1)]


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_reports_of_former_versions_are_read(path):
    """As they were written then: a release of years ago is the baseline of the next one."""
    report = Report.from_json(path.read_text())
    assert len(report.items) == 6
    assert {str(outcome) for outcome in report.outcomes.values()} == {"passed", "skipped"}
    assert report.environment["torch"]


def test_a_report_of_a_later_version_says_so():
    document = json.loads(Report((verdict(),)).to_json())
    document["schema"] = SCHEMA + 1
    with pytest.raises(
        UsageError,
        match=f"report schema {SCHEMA + 1} is of a later version: upgrade pytest-modelport",
    ):
        Report.from_json(json.dumps(document))


def test_what_a_test_expects_to_fail_leaves_a_run_green():
    known = Verdict(Route("tvm"), "parity", Stage.RUN, Outcome.FAILED, "", {"xfail": "known"})
    assert Report((verdict(), known)).as_expected
    assert not Report((verdict(), known)).passed
    assert not Report((known,)).as_expected
    assert not Report((verdict(), replace(known, evidence={}))).as_expected


def test_a_document_edited_by_hand_is_refused():
    document = json.loads(Report((verdict(),)).to_json())
    document["verdicts"][0]["reason"] = "all is well"
    with pytest.raises(UsageError, match=r"the report was edited: .*sha256 differs"):
        Report.from_json(json.dumps(document))


@pytest.mark.parametrize(
    "text",
    ['{"schema": 1, "x": NaN}', "9" * 5000, "[" * 100_000, json.dumps(sealed({"schema": 1}))],
    ids=["nan", "a long number", "deep", "nothing in it"],
)
def test_documents_that_trip_a_reader_are_refused(text):
    with pytest.raises(UsageError):
        Report.from_json(text)


def test_text_that_is_no_json_is_refused():
    with pytest.raises(UsageError, match="not a Modelport report"):
        Report.from_json("hello")
    with pytest.raises(UsageError, match="schema None"):
        Report.from_json("[]")


def test_reports_are_what_the_published_schema_says():
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((Path(__file__).parents[3] / "docs/report.schema.json").read_text())
    check = jsonschema.Draft202012Validator(schema).validate
    document = json.loads(
        Report(
            (
                verdict(),
                Verdict(Route("tvm", transforms=("fp16",)), "shapes", Stage.RUN, Outcome.ERROR, ""),
            )
        ).to_json()
    )
    check(document)
    assert schema["$defs"]["verdict"]["properties"]["stage"]["enum"] == [
        str(stage) for stage in Stage
    ]
    assert schema["$defs"]["verdict"]["properties"]["outcome"]["enum"] == [
        str(outcome) for outcome in Outcome
    ]
    with pytest.raises(jsonschema.ValidationError):
        check({**document, "further": 1})


STRANGE = [
    None, 3, 0, -1.5, True, "", "x", [], {}, [1], {"a": 1}, [[[[]]]], "nan", 2**70, 10**400,
]  # fmt: skip


def _places(value, path=()):
    yield path
    if isinstance(value, (dict, list)):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _places(item, (*path, key))


def _changed(document, path, value):
    made = json.loads(json.dumps(document))
    inner = made
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return made


def test_no_value_anywhere_in_a_report_trips_its_readers(tmp_path):
    """Sealed again, so that what is told is not that it was edited."""
    evidence = {
        "needs": 1.5, "allowance": {"factor": 2.5, "source": "noise"}, "cautions": ["x"],
        "comparison": {"count": 3, "noise": 0.1}, "runs_ms": [1.0, 2.0],
    }  # fmt: skip
    route = Route("onnx", "cpu", ("fp16",))
    red = Verdict(
        route, "parity", Stage.RUN, Outcome.FAILED, "no", evidence, ("note",), subject="a"
    )
    document = {**Report((red,), {"torch": "2"}, (("a", "b", "c"),)).to_dict()}
    del document["sha256"]
    read = 0
    for path in filter(None, _places(document)):
        for value in STRANGE:
            changed = _changed(document, path, value)
            with contextlib.suppress(UsageError):
                report = Report.from_json(json.dumps(sealed(changed)))
                for suffix in (".json", ".html", ".md", ".svg"):
                    written(tmp_path / f"report{suffix}", report)
                render(report.verdicts, width=120, color=False)
                read += 1
    assert read > 20, "what does no harm is read"
