"""Every fault comes out as what really becomes of it, and every control passes."""

from __future__ import annotations

import pytest

from pytest_modelport import Outcome, Stage
from pytest_modelport.core.verdict import worst
from tests.meta.faults import FAULTS

#: Compiled by a C++ compiler: one that is right, one wrong, one that does not run, one refused.
COMPILED = {
    "control_equal_elements",
    "through_half_and_back",
    "branch_on_length",
    "lstm_with_dynamic_length",
}


#: Compiled when they are first run: of each outcome and each kind of state.
COMPILED_LIVE = {
    *("control_equal_elements", "control_table_of_positions", "branch_on_sum"),
    *("counter_in_a_buffer", "input_changed_in_place", "order_of_equal_elements"),
    *("padding_then_max_pooling", "scale_read_as_number"),
}


def long(name: str, target: str) -> bool:
    """What takes many seconds, and is covered by others of its kind."""
    if target == "aotinductor":
        return name not in COMPILED
    if target == "torch_compile":
        return name not in COMPILED_LIVE
    return "openvino" in target and not name.startswith("control")


CASES = [
    pytest.param(name, target, marks=[pytest.mark.full] if long(name, target) else [])
    for name, fault in FAULTS.items()
    for target in fault.expect
]
#: Faults that are nothing but ties may be inconclusive.
TIES = {"order_of_equal_elements"}


@pytest.mark.parametrize(("name", "target"), CASES, ids=lambda value: value)
def test_a_fault_on_a_target(name, target, prove):
    if "openvino" in target:
        pytest.importorskip("openvino")
    fault = FAULTS[name]
    report = prove(
        [target], fault.subject(), fault.args, samples=fault.then, dynamic_shapes=fault.shapes
    )
    verdict = worst(report.verdicts)
    expected = fault.expect[target]
    if expected == "ok":
        assert report.passed, report
    elif expected == "wrong":
        assert verdict.outcome is Outcome.FAILED or (
            name in TIES and verdict.outcome is Outcome.INCONCLUSIVE
        ), report
    elif expected == "no-export":
        assert verdict.outcome in (Outcome.UNSUPPORTED, Outcome.FAILED), report
        assert verdict.stage is Stage.EXPORT
    elif expected == "no-run":
        assert verdict.outcome is Outcome.FAILED, report
        assert (
            verdict.stage in (Stage.OPEN, Stage.RUN)
            or "was to vary and is fixed at" in verdict.reason
        )
    else:
        assert (expected, verdict.outcome) == ("crash", Outcome.CRASHED), report
    assert len(verdict.reason) > 20
