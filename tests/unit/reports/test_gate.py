"""The gate: every way to lose something between two releases, and what is let through until when."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from pytest_modelport import Outcome, Report, Route, Stage, UsageError, Verdict
from pytest_modelport.reports.gate import Exit, Policy, decided, policy_of
from pytest_modelport.reports.merge import merged

TODAY = dt.date(2026, 11, 22)


def verdict(target="onnx", outcome=Outcome.PASSED, check="parity", subject="test_net", **evidence):
    return Verdict(
        Route(target),
        check,
        Stage.COMPARE,
        outcome,
        f"it is {outcome}",
        evidence,
        subject=subject,
        suite="test_it.py",
    )


def report(*verdicts, **environment):
    return Report(verdicts, environment)


def decide(new, old=None, **policy):
    code, changes = decided(new, old, policy_of(policy), TODAY)
    return code, [f"{change.kind}: {change.said}" for change in changes]


def test_green_passes():
    assert decide(report(verdict())) == (Exit.PASSED, [])


def test_nothing_at_all_fails():
    assert decide(report()) == (
        Exit.FAILED,
        ["missing: the report has no routes: nothing was proven"],
    )


def test_where_every_route_is_excused_nothing_was_proven():
    row = {"routes": "*", "until": "2026-12-31", "reason": "known"}
    code, said = decide(report(verdict(outcome=Outcome.FAILED)), may_fail=[row])
    assert code is Exit.FAILED
    assert "missing: no route passed: nothing was proven" in said


def test_a_missing_part_of_a_run_is_never_excused():
    parts = merged([report(verdict(), shard="1/2")])
    row = {"routes": "*-cpu", "until": "2026-12-31", "reason": "known"}
    code, said = decide(parts, may_fail=[row])
    assert code is Exit.FAILED
    assert any("part 2 of 2 of the run is missing" in line for line in said)


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (Outcome.FAILED, Exit.FAILED),
        (Outcome.ERROR, Exit.FAILED),
        (Outcome.UNSUPPORTED, Exit.FAILED),
        (Outcome.CRASHED, Exit.FAILED),
        (Outcome.TIMEOUT, Exit.FAILED),
        (Outcome.SKIPPED, Exit.INCONCLUSIVE),
        (Outcome.INCONCLUSIVE, Exit.INCONCLUSIVE),
    ],
)
def test_what_is_not_green_does_not_pass(outcome, code):
    found, said = decide(report(verdict(), verdict("torchscript", outcome)))
    assert found is code
    assert said == [
        f"regressed: test_it.py::test_net torchscript-cpu is {outcome}: it is {outcome}"
    ]


def test_a_route_without_parity_is_not_proven():
    assert decide(report(verdict(check="size")))[0] is Exit.FAILED


def test_a_route_that_vanished_fails():
    found, said = decide(report(verdict()), report(verdict(), verdict("torchscript")))
    assert found is Exit.FAILED
    assert said == [
        "missing: test_it.py::test_net torchscript-cpu was in the last release and is missing"
    ]


def test_a_check_that_is_not_asked_any_more_fails():
    found, said = decide(report(verdict()), report(verdict(), verdict(check="latency")))
    assert found is Exit.FAILED
    assert said == [
        "missing: test_it.py::test_net onnx-cpu: the check latency ran for the last release and did not run now"
    ]


def test_new_and_fixed_routes_are_told():
    found, said = decide(
        report(verdict(), verdict("torchscript")), report(verdict(outcome=Outcome.FAILED))
    )
    assert found is Exit.PASSED
    assert said == [
        "fixed: test_it.py::test_net onnx-cpu was failed and passes now",
        "new: test_it.py::test_net torchscript-cpu is new",
    ] or set(said) == {
        "fixed: test_it.py::test_net onnx-cpu was failed and passes now",
        "new: test_it.py::test_net torchscript-cpu is new",
    }


def test_an_allowance_from_elsewhere_and_a_wider_one_are_told():
    measured = {"source": "noise of 17 evaluations", "factor": 2.5}
    old = report(verdict(allowance=measured, comparison={"noise": 1e-6}))
    given = report(verdict(allowance={"source": "given by the test", "rtol": 0.1, "atol": 0.1}))
    wider = report(verdict(allowance=measured, comparison={"noise": 1e-4}))
    assert (
        "the allowance of parity is given by the test, before noise of 17 evaluations"
        in decide(given, old)[1][0]
    )
    assert "the allowance of parity is 100x what it was" in decide(wider, old)[1][0]
    assert decide(old, old) == (Exit.PASSED, [])


def test_other_versions_are_told():
    assert decide(report(verdict(), torch="2.13"), report(verdict(), torch="2.12")) == (
        Exit.PASSED,
        ["environment: torch was 2.12 and is 2.13"],
    )


def test_a_route_may_fail_until_its_day():
    def policy(day):
        return {"may_fail": [{"routes": "tvm-*", "until": day, "reason": "an LSTM's second layer"}]}

    new = report(verdict(), verdict("tvm", Outcome.FAILED))
    code, said = decide(new, **policy("2026-11-22"))
    assert (code, len(said)) == (Exit.PASSED, 1)
    assert said[0].endswith("is failed, which may fail until 2026-11-22: an LSTM's second layer")
    assert decide(new, **policy(dt.date(2026, 11, 21)))[0] is Exit.FAILED
    assert decide(report(verdict("onnx", Outcome.FAILED)), **policy("2026-12-31"))[0] is Exit.FAILED


def test_what_a_test_itself_expects_is_let_through():
    assert (
        decide(report(verdict(), verdict("tvm", Outcome.FAILED, xfail="known")))[0] is Exit.PASSED
    )


def test_a_required_target_must_pass():
    code, said = decide(report(verdict()), require=["onnx", "torchscript"])
    assert (code, said) == (
        Exit.FAILED,
        ["required: torchscript must pass, but no route with it does"],
    )
    assert decide(report(verdict()), require=["onnx"])[0] is Exit.PASSED


def test_a_check_that_a_red_route_did_not_reach_is_not_missing():
    row = {"routes": "onnx*", "until": "2026-12-31", "reason": "known"}
    old = report(verdict("torchscript"), verdict(), verdict(check="weights"))
    code, said = decide(
        report(verdict("torchscript"), verdict(outcome=Outcome.UNSUPPORTED)), old, may_fail=[row]
    )
    assert code is Exit.PASSED, said


def test_a_test_that_was_mended_has_no_verdict_of_its_own_any_more():
    old = report(verdict(), verdict(check="test", outcome=Outcome.ERROR))
    code, said = decide(report(verdict()), old)
    assert (code, said) == (
        Exit.PASSED,
        ["fixed: test_it.py::test_net onnx-cpu was error and passes now"],
    )


def test_what_a_test_expects_excuses_nothing_else():
    green, known = verdict("torchscript"), verdict(outcome=Outcome.ERROR, xfail="known")
    other = verdict(check="test", outcome=Outcome.ERROR)
    assert decide(report(green, known))[0] is Exit.PASSED
    assert decide(report(green, known, other))[0] is Exit.FAILED
    assert decide(report(green, other, known))[0] is Exit.FAILED


def test_of_several_excuses_the_longest_counts():
    rows = [
        {"routes": "*", "until": "2026-01-01", "reason": "long ago"},
        {"routes": "onnx*", "until": dt.datetime(2026, 12, 31), "reason": "known"},
    ]
    failed = report(verdict("torchscript"), verdict(outcome=Outcome.FAILED))
    assert decide(failed, may_fail=rows)[0] is Exit.PASSED
    assert decide(failed, may_fail=rows[:1])[0] is Exit.FAILED


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        (
            {"requires": []},
            "unknown key of tool.modelport.gate 'requires': did you mean 'require'?",
        ),
        ({"require": "onnx"}, "give a list of targets"),
        ({"may_fail": [{"routes": "x"}]}, "give routes, until and reason"),
        (
            {"may_fail": [{"routes": "x", "until": "soon", "reason": "y"}]},
            "needs a date (2026-12-31) and a reason",
        ),
        (
            {"may_fail": [{"routes": "x", "until": "2026-12-31", "reason": " "}]},
            "needs a date (2026-12-31) and a reason",
        ),
        ({"may_fail": "x"}, "give tables with routes, until and reason"),
    ],
)
def test_policies_that_make_no_sense_are_refused(policy, said):
    with pytest.raises(UsageError) as caught:
        policy_of(policy)
    assert said in str(caught.value)


def test_merging_keeps_every_verdict_in_one_order():
    one, two = report(verdict("b"), torch="2.13"), report(verdict("a"), torch="2.13")
    assert merged([one, two]) == merged([two, one])
    assert [found.route.target for found in merged([one, two]).verdicts] == ["a", "b"]


def test_merging_tells_versions_that_differ():
    assert (
        merged([report(torch="2.12"), report(torch="2.13")]).environment["torch"] == "2.12 and 2.13"
    )


def test_parts_of_two_runs_are_not_merged():
    with pytest.raises(UsageError, match="they are not of one run"):
        merged([report(shard="1/2"), report(shard="1/3")])
    with pytest.raises(UsageError, match="the runs 7 and 8: they are not of one run"):
        merged([report(shard="1/2", run="7"), report(shard="2/2", run="8")])


def test_the_policy_is_nothing_by_default():
    assert policy_of({}) == Policy()
    assert replace(Policy(), require=("onnx",)).require == ("onnx",)


def left_out(*keys, **policy):
    new = replace(report(verdict()), deselected=keys)
    return decide(new, **policy)


def test_what_a_run_left_out_is_not_known():
    code, said = left_out(("test_it.py", "test_net", "tvm-cpu"))
    assert code is Exit.INCONCLUSIVE
    assert said == [
        "missing: test_it.py::test_net tvm-cpu: left out of the run; "
        "allow it with may_be_left_out, or run all"
    ]


def test_a_policy_names_what_may_be_left_out():
    key = ("slow/test_it.py", "test_net", "tvm-cpu")
    assert left_out(key, may_be_left_out=["slow/*"])[0] is Exit.PASSED
    assert left_out(key, may_be_left_out=["fast/*"])[0] is Exit.INCONCLUSIVE
    with pytest.raises(UsageError, match="may_be_left_out is 'slow': give a list"):
        policy_of({"may_be_left_out": "slow"})


def test_an_xfail_does_not_excuse_what_the_last_release_could_do():
    now = report(verdict(outcome=Outcome.FAILED, xfail="later"), verdict("tvm"))
    assert decide(now, report(verdict(outcome=Outcome.FAILED), verdict("tvm")))[0] is Exit.PASSED
    assert decide(now, report(verdict(), verdict("tvm")))[0] is Exit.FAILED
    excused = [{"routes": "onnx*", "until": "2026-12-31", "reason": "known"}]
    assert decide(now, report(verdict(), verdict("tvm")), may_fail=excused)[0] is Exit.PASSED


def test_an_expected_failure_that_was_never_asked_is_not_known():
    never = verdict(outcome=Outcome.ERROR, check="test", xfail="later", unasked=True)
    assert decide(report(never, verdict("tvm")))[0] is Exit.INCONCLUSIVE


def test_what_one_part_left_out_and_another_ran_is_there():
    key = ("test_it.py", "test_net", "onnx-cpu")
    parts = [
        replace(report(verdict("tvm"), shard="1/2"), deselected=(key,)),
        report(verdict(), shard="2/2"),
    ]
    assert merged(parts).deselected == ()
    assert merged(parts[:1]).deselected == (key,)


def test_a_part_without_verdicts_is_an_error():
    made = merged([report(verdict(), shard="1/2"), report(shard="2/2")])
    assert not made.passed
    assert decide(made)[0] is Exit.FAILED


def test_what_was_left_out_is_in_the_file():
    new = replace(report(verdict()), deselected=(("a.py", "b", "c"),))
    assert Report.from_json(new.to_json()) == new
