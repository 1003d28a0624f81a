"""Contract: what the subject refuses, does the port refuse it too?

A port that answers an input it never promised to take answers nonsense, and production does not notice. Asked only when named:
many runtimes check little, and whether that matters is for whoever deploys to say.
"""

from __future__ import annotations

from collections.abc import Iterator

from pytest_modelport.bench import Bench
from pytest_modelport.cleanroom.room import RoomEnded
from pytest_modelport.isolate import Crashed, Done, Ending, Raised
from pytest_modelport.isolate import run as isolated
from pytest_modelport.probes import Probe, probes
from pytest_modelport.verdict import Outcome, Stage, Verdict

DEFAULT = False
_SHOWN = 3


def run(bench: Bench) -> Iterator[Verdict]:
    """One verdict: failed when the port answers, or dies of, an input that the subject refuses."""
    asked = probes(bench.case.inputs, bench.artifact.manifest)
    refused = {probe: subject for probe in asked if (subject := _subject(bench, probe)) != "answers"}
    ports = _ports(bench, list(refused))
    found = {probe.label: (subject, ports[probe]) for probe, subject in refused.items()}
    wrong = {label: port for label, (_, port) in found.items() if not port.startswith("refuses")}
    evidence = {"probes": {label: f"the subject {subject}, the port {port}" for label, (subject, port) in found.items()}}
    if not wrong:
        reason = (
            f"refuses all {len(found)} inputs that the subject refuses"
            if found
            else "the subject refuses nothing that was tried"
        )
        yield bench.verdict("contract", Stage.RUN, Outcome.PASSED, reason, evidence)
        return
    dies = {label: port for label, port in wrong.items() if port.startswith("dies")}
    named = ", ".join([*dies, *(label for label in wrong if label not in dies)][:_SHOWN])
    what = "dies of" if dies else "answers"
    reason = f"{what} what the subject refuses, {len(wrong)} of {len(found)} inputs: {named}"
    yield bench.verdict("contract", Stage.RUN, Outcome.FAILED, reason, evidence)


def _subject(bench: Bench, probe: Probe) -> str:
    """What eager does: `answers`, `refuses (...)` or `dies`."""
    if probe.missing:
        return "refuses (an input is missing)"

    def job() -> None:
        import torch

        from pytest_modelport.tensors import fresh, without_autocast

        sample = fresh(probe.sample, "cpu")  # a copy: without a fork it would be the caller's own
        with torch.no_grad(), without_autocast():
            bench.case.module(*sample.args, **sample.kwargs)

    log = bench.workspace.folder / "probe.log"
    ending = isolated(job, timeout=bench.case.timeout, log=log, restore=bench.case.module)
    if isinstance(ending, Done):
        return "answers"
    return f"refuses ({ending.cause.type})" if isinstance(ending, Raised) else "dies"


def _ports(bench: Bench, asked: list[Probe]) -> dict[Probe, str]:
    """What the port does with each probe; it is opened again after it died. Raises `Stopped` when it does not open."""
    found: dict[Probe, str] = {}
    while left := [probe for probe in asked if probe not in found]:
        with bench.session() as session:
            for probe in left:
                try:
                    session.run(bench.fed(probe.sample, without=probe.missing), bench.case.seed)
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
    return f"dies ({ending.signal})" if isinstance(ending, Crashed) else "dies (it does not come back)"
