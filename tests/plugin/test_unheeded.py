"""A test cannot talk its way past a port that is wrong."""

from __future__ import annotations

import json

import pytest

CALL = "modelport(Branch(), torch.ones(3), samples=[torch.full((3,), -2.0)])"
WRONG = {
    "suppress": f"""
    import contextlib
    with contextlib.suppress(BaseException):
        {CALL}
""",
    "bare except": f"""
    try:
        {CALL}
    except:
        pass
""",
    "raises": f"""
    with pytest.raises(pytest.fail.Exception):
        {CALL}
""",
    "thread": f"""
    import threading
    thread = threading.Thread(target=lambda: {CALL})
    thread.start()
    thread.join()
""",
    "skip afterwards": f"""
    try:
        {CALL}
    except BaseException:
        pytest.skip("flaky")
""",
    "a good one first": f"""
    modelport(Net(), torch.ones(1, 3))
    try:
        {CALL}
    except BaseException:
        pass
""",
}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("body", WRONG.values(), ids=WRONG)
def test_a_failure_that_the_test_swallows_fails_it(run, pytester, body):
    result = run(
        '@portable("torchscript")\ndef test_it(modelport):' + body, "--modelport-report=r.json"
    )
    assert result.parseoutcomes()["failed"] == 1
    result.stdout.fnmatch_lines(["*the test went on after torchscript-cpu failed: *"])
    assert not json.loads((pytester.path / "r.json").read_text())["passed"]


def test_a_failure_that_a_fixture_swallows_fails_the_test(run):
    run(
        f"""
@pytest.fixture
def port(modelport):
    try:
        {CALL}
    except BaseException:
        pass

@portable("torchscript")
def test_it(port, modelport):
    modelport(Net(), torch.ones(1, 3))
"""
    ).assert_outcomes(failed=1)


def test_a_call_that_came_to_nothing_fails_the_test(run):
    result = run(
        """
@portable("torchscript")
def test_it(modelport):
    try:
        modelport(Net(), torch.ones(1, 3), rtol=object())
    except Exception:
        pass
"""
    )
    result.assert_outcomes(failed=1)


def test_what_is_undecided_is_not_green_where_the_test_goes_on(run):
    run(
        """
@portable("torchscript")
def test_it(modelport):
    try:
        modelport(nn.Identity(), torch.zeros(0, 3))
    except BaseException:
        pass
"""
    ).assert_outcomes(skipped=1)
