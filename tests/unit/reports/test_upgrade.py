"""One suite in two installations: every way in which a route may be otherwise."""

from __future__ import annotations

import pytest

from pytest_modelport import Outcome, Report, Route, Stage, Verdict
from pytest_modelport.reports.upgrade import cause, changes, compared, render

OLD, NEW = {"torch": "2.12", "onnx": "1.18"}, {"torch": "2.13", "onnx": "1.18"}


def verdict(
    target="onnx",
    outcome=Outcome.PASSED,
    reason="",
    subject="test_net",
    stage=Stage.COMPARE,
    **evidence,
):
    return Verdict(
        Route(target),
        "parity",
        stage,
        outcome,
        reason,
        evidence,
        subject=subject,
        suite="test_it.py",
    )


def upgrade(before, after):
    return compared(Report(tuple(before), OLD), Report(tuple(after), NEW))


def said(found):
    return render(found, width=140, color=False)


@pytest.mark.parametrize(
    ("before", "after", "kind", "outcome"),
    [
        (Outcome.PASSED, Outcome.PASSED, "same", Outcome.PASSED),
        (Outcome.PASSED, Outcome.FAILED, "worse", Outcome.FAILED),
        (Outcome.PASSED, Outcome.CRASHED, "worse", Outcome.FAILED),
        (Outcome.FAILED, Outcome.CRASHED, "worse", Outcome.FAILED),
        (Outcome.PASSED, Outcome.SKIPPED, "open", Outcome.INCONCLUSIVE),
        (Outcome.PASSED, Outcome.INCONCLUSIVE, "open", Outcome.INCONCLUSIVE),
        (Outcome.FAILED, Outcome.PASSED, "better", Outcome.PASSED),
        (Outcome.FAILED, Outcome.FAILED, "same", Outcome.PASSED),
        (Outcome.PASSED, None, "gone", Outcome.FAILED),
        (None, Outcome.PASSED, "new", Outcome.PASSED),
        (None, Outcome.FAILED, "worse", Outcome.FAILED),
    ],
)
def test_what_becomes_of_a_route(before, after, kind, outcome):
    green = verdict("torchscript")
    rows = [[green, *([verdict(outcome=one)] if one else [])] for one in (before, after)]
    found = upgrade(*rows)
    assert {row.key[2]: row.kind for row in found.rows}["onnx-cpu"] == kind
    assert found.outcome is outcome


def test_where_nothing_was_proven_before_nothing_is_known_of_an_upgrade():
    red = [verdict(outcome=Outcome.FAILED)]
    assert upgrade(red, red).outcome is Outcome.FAILED
    assert upgrade([], []).outcome is Outcome.FAILED


def test_a_route_that_is_red_for_another_reason_is_told():
    raised = {"cause": {"type": "ConversionError", "operator": "aten::gelu"}}
    found = upgrade(
        [
            verdict(),
            verdict("iree", Outcome.FAILED, "'output' is wrong: error is 5x what is allowed"),
        ],
        [verdict(), verdict("iree", Outcome.FAILED, "cannot export", stage=Stage.EXPORT, **raised)],
    )
    assert [row.kind for row in found.rows] == ["otherwise", "same"]
    assert list(found.causes) == ["export: ConversionError at aten::gelu"]
    assert found.outcome is Outcome.PASSED


def test_routes_that_fail_together_are_told_together():
    where = "aten.sub.Tensor in {}, model.py:7: its inputs agree with the exported model's, its result does not"
    after = [
        *(
            verdict(subject=name, outcome=Outcome.FAILED, reason="wrong", where=where.format(name))
            for name in "abcdefg"
        ),
        verdict(
            subject="h",
            outcome=Outcome.FAILED,
            reason="'left' is wrong: float32[3, 4], error is 5.2e+05x",
        ),
        verdict(
            subject="i", outcome=Outcome.FAILED, reason="'right' is wrong: float32[7], error is 17x"
        ),
    ]
    found = upgrade([verdict(subject=one.subject) for one in after], after)
    assert [len(rows) for rows in found.causes.values()] == [7, 2]
    text = said(found)
    assert "torch 2.12 -> 2.13" in text
    assert "onnx" not in text.splitlines()[0]
    assert "7 routes: compare: aten.sub.Tensor gives another result" in text
    assert "and 2 more" in text
    assert text.endswith("9 routes: 9 worse")


def test_a_check_that_is_not_asked_any_more_is_worse():
    weights = Verdict(
        Route("onnx"),
        "weights",
        Stage.COMPARE,
        Outcome.PASSED,
        "",
        subject="test_net",
        suite="test_it.py",
    )
    found = upgrade([verdict(), weights], [verdict()])
    assert found.outcome is Outcome.FAILED
    assert list(found.causes) == ["no longer checked: weights"]


def test_figures_do_not_make_a_cause():
    one, two = (
        verdict(outcome=Outcome.FAILED, reason=f"'{name}' is wrong: error is {n}x")
        for name, n in (("a", 3), ("b", 4))
    )
    assert cause(one) == cause(two)
    assert cause(one) != cause(verdict(outcome=Outcome.FAILED, reason="'a' has NaN: 3 elements"))


def test_the_page_tells_what_changed():
    found = upgrade([verdict()], [verdict(outcome=Outcome.FAILED)])
    assert changes(found) == [
        ("worse", "test_it.py::test_net onnx-cpu: passed, then failed"),
        ("environment", "torch was 2.12 and is 2.13"),
    ]
