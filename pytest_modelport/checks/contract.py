"""Contract: does the exported model refuse the inputs that the model refuses?

An exported model that answers an input it was never made for answers nonsense, and production does
not notice. Many runtimes check little; whether that matters is for whoever deploys to say.
"""

from __future__ import annotations

from collections.abc import Iterator

from pytest_modelport.checks._contract_probes import Probe, probes
from pytest_modelport.cleanroom.room import RoomEnded
from pytest_modelport.core.verdict import Outcome, Stage, Verdict
from pytest_modelport.isolation.jobs import Crashed, Done, Ending, Raised
from pytest_modelport.isolation.jobs import run as isolated
from pytest_modelport.workbench.workbench import Workbench

DEFAULT = False
WHEN = "runs when named in `checks=`"
_SHOWN = 3


def run(workbench: Workbench) -> Iterator[Verdict]:
    """One verdict: failed when the port answers, or dies of, an input that the subject refuses."""
    asked = probes(workbench.case.inputs, workbench.artifact.manifest)
    refused = {
        probe: subject for probe in asked if (subject := _subject(workbench, probe)) != "answers"
    }
    ports = _ports(workbench, list(refused))
    found = {probe.label: (subject, ports[probe]) for probe, subject in refused.items()}
    wrong = {label: port for label, (_, port) in found.items() if not port.startswith("refuses")}
    evidence = {
        "probes": {
            label: f"the model {subject}, the exported model {port}"
            for label, (subject, port) in found.items()
        }
    }
    if not wrong:
        reason = (
            f"refuses all {len(found)} inputs that the model refuses"
            if found
            else "the model refuses none of the inputs that were tried"
        )
        yield workbench.verdict("contract", Stage.RUN, Outcome.PASSED, reason, evidence)
        return
    dies = {label: port for label, port in wrong.items() if port.startswith("dies")}
    named = ", ".join([*dies, *(label for label in wrong if label not in dies)][:_SHOWN])
    what = "crashes on" if dies else "answers"
    reason = f"{what} what the model refuses, {len(wrong)} of {len(found)} inputs: {named}"
    yield workbench.verdict("contract", Stage.RUN, Outcome.FAILED, reason, evidence)


def _subject(workbench: Workbench, probe: Probe) -> str:
    """What eager does: `answers`, `refuses (...)` or `dies`."""
    if probe.missing:
        return "refuses (an input is missing)"

    def job() -> None:
        import torch

        from pytest_modelport.core.tensors import eagerly, fresh

        sample = fresh(probe.sample, "cpu")  # a copy: without a fork it would be the caller's own
        with torch.no_grad(), eagerly():
            workbench.case.module(*sample.args, **sample.kwargs)

    log = workbench.workspace.folder / "probe.log"
    ending = isolated(job, timeout=workbench.case.timeout, log=log, restore=workbench.case.module)
    if isinstance(ending, Done):
        return "answers"
    return f"refuses ({ending.cause.type})" if isinstance(ending, Raised) else "dies"


def _ports(workbench: Workbench, asked: list[Probe]) -> dict[Probe, str]:
    """What the port does with each probe; it is opened again after it died. Raises `Stop` when it
    does not open.
    """
    found: dict[Probe, str] = {}
    while left := [probe for probe in asked if probe not in found]:
        with workbench.session() as session:
            for probe in left:
                try:
                    session.run(
                        workbench.fed(probe.sample, without=probe.missing), workbench.case.seed
                    )
                except RoomEnded as ended:
                    found[probe] = _word(ended.ending)
                    if not isinstance(ended.ending, Raised):
                        break
                else:
                    found[probe] = "answers"
    return found


def _word(ending: Ending) -> str:
    if isinstance(ending, Raised):
        return f"refuses ({ending.cause.type})"
    return f"dies ({ending.signal})" if isinstance(ending, Crashed) else "dies (no answer in time)"
