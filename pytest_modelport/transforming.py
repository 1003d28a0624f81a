"""From the subject that the user handed over to the one that is exported: transforms that work on models.

They run in the session, on a copy of the subject: what becomes of it must be there for every fork that follows. Generators and
modes are put back; the subject is not touched.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from pytest_modelport import subject
from pytest_modelport.bench import Bench
from pytest_modelport.calibration import calibrator, samples_of
from pytest_modelport.export import Request
from pytest_modelport.isolate import Done, inside
from pytest_modelport.pruning import zeros
from pytest_modelport.reworking import not_transformed
from pytest_modelport.sample import Call, Sample
from pytest_modelport.stopped import Stopped
from pytest_modelport.tensors import cast, seed_all
from pytest_modelport.verdict import Outcome, Stage
from pytest_modelport.work import ModuleWork

if TYPE_CHECKING:
    from torch import nn

    from pytest_modelport.case import Case
    from pytest_modelport.steps import Move


@dataclass(frozen=True)
class _Made:
    """What became of the subject."""

    module: nn.Module
    inputs: str = ""
    imports: tuple[str, ...] = ()
    zeros: int = 0


def prepared(bench: Bench) -> Bench:
    """The bench of a route whose subject has gone through the route's transforms. Raises `Stopped` and `UsageError`."""
    wanted = [move for move in bench.moves if not move.on_file]
    if not wanted:
        return bench
    case = bench.case
    texts = tuple(move.text for move in wanted)
    own = subject.digest([case.hooks.calibrate, case.hooks.finetune, *case.hooks.functions.values()])
    key = f"{case.key}+{'|'.join(texts)}+{own}"

    def make() -> _Made | Stopped:
        made: _Made | Stopped = _Made(case.module)
        for move in wanted:
            if isinstance(made, _Made):
                made = _applied(bench, made, move)
        return made

    made = bench.workspace.once(("transformed", key, bench.route.device), make)
    if isinstance(made, Stopped):
        raise made
    return replace(bench, case=_case(case, made, key), original=case)


def _applied(bench: Bench, before: _Made, move: Move) -> _Made | Stopped:
    case, scratch = bench.case, bench.workspace.fresh(move.text.partition("(")[0])
    here = _case(case, before, case.key)
    step = bench.law.steps[0]
    names = tuple(item.name for item in step.outputs)
    request = Request(
        before.module,
        here.larger or here.inputs,
        case.shapes,
        names,
        bench.law.spec,
        step.constants,
        scratch,
        bench.route.device,
    )

    def job() -> Any:
        module = copy.deepcopy(before.module)
        seed_all(case.seed)
        with torch.enable_grad():
            made = move.transform.apply(
                ModuleWork(
                    module,
                    samples_of(here),
                    replace(request, module=module),
                    calibrator(here),
                    case.hooks.finetune,
                    scratch,
                    case.timeout,
                    move.options,
                )
            )
        if not isinstance(made, torch.nn.Module):
            raise TypeError(f"{move.text} returned a {type(made).__name__}: it must return the module, or None for in place")
        return made

    log = scratch.with_name(f"{scratch.name}.log")
    ending = inside(job, log=log, restore=before.module)
    if not isinstance(ending, Done):
        bench.workspace.keep(log)
        return not_transformed(ending, move.text, {"log": str(log)})
    inputs = str(getattr(move.transform, "INPUTS", before.inputs))
    # Counted where weights still are what they are: a quantizer keeps a zero a zero, in tensors of its own.
    recount = move.transform.PRICE in _WHOLE and (before.zeros or move.transform.PRICE == "pruned")
    found = zeros(ending.value) if recount else before.zeros
    return _Made(ending.value, inputs, (*before.imports, *getattr(move.transform, "IMPORTS", ())), found)


#: Transforms after which other weights may be zero than before.
_WHOLE = ("pruned", "cut", "custom")


def _case(case: Case, made: _Made, key: str) -> Case:
    """The case with what became of its subject. Raises `Stopped` when that takes other inputs."""

    def changed(sample: Sample) -> Sample:
        return cast(sample, made.inputs)

    inputs = subject.inputs(made.module, changed(case.inputs.sample))
    names, known = [item.name for item in inputs.tensors], [item.name for item in case.inputs.tensors]
    if names != known:
        reason = f"the transformed model takes {', '.join(names)}; the subject takes {', '.join(known)}"
        raise Stopped(Stage.TRANSFORM, Outcome.ERROR, reason)
    sample: dict[int, Sample] = {}
    calls = tuple(Call(sample.setdefault(id(c.sample), changed(c.sample)), c.seed, c.label) for c in case.calls)
    larger = subject.inputs(made.module, changed(case.larger.sample)) if case.larger else None
    imports = tuple(dict.fromkeys((*case.imports, *made.imports)))
    return replace(
        case,
        module=made.module,
        inputs=inputs,
        calls=calls,
        larger=larger,
        key=key,
        factory=None,
        imports=imports,
        dtype=made.inputs,
        zeros=made.zeros,
    )
