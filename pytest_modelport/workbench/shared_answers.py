"""What the subject itself answers to a case's calls, computed once for all routes of a device."""

from __future__ import annotations

from pytest_modelport.cleanroom.workspace import Workspace
from pytest_modelport.core.verdict import Outcome, Stage
from pytest_modelport.isolation.stops import Stop, SubjectFailed
from pytest_modelport.reference.reference import Reference
from pytest_modelport.request.case import Case


def reference_answers(workspace: Workspace, case: Case, device: str) -> Reference:
    """The subject's answers, with the oracle and the noise. Raises `Stop`."""
    from pytest_modelport.reference import evaluate

    workspace.once_per_run("evaluation is warm", evaluate.warm)
    reference = _answers(workspace, case, device, "reference")
    values = (value for step in reference.steps for value in step.constants.values())
    if not any(step.outputs for step in reference.steps) and all(value is None for value in values):
        nothing = "the model returns nothing: nothing can be compared"
        raise Stop(Stage.RUN, Outcome.ERROR, nothing)
    return reference


def eager_answers(workspace: Workspace, case: Case, device: str) -> Reference:
    """The subject's own answers alone. Raises `Stop`."""
    return _answers(workspace, case, device, "eager")


def _answers(workspace: Workspace, case: Case, device: str, kind: str) -> Reference:
    def make() -> Reference:
        return Reference(
            case.module,
            case.calls,
            device,
            workspace.fresh(kind),
            timeout=case.timeout,
            seed=case.seed,
            eager_only=kind == "eager",
        )

    try:
        return workspace.once((kind, case.key, device), make)
    except SubjectFailed as failure:
        raise failure.end(case.timeout) from None
