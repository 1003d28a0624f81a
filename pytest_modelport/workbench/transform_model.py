"""From the subject that the user handed over to the one that is exported: transforms that work on
models.

They run in the session, on a copy of the subject: what becomes of it must be there for every fork
that follows. Generators and modes are put back; the subject is not touched.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from pytest_modelport.backends.export import ExportRequest
from pytest_modelport.backends.result_faults import module_faults
from pytest_modelport.backends.transform_work import ModuleWork
from pytest_modelport.cleanroom.workspace import log_of
from pytest_modelport.core.sample import Call, Sample
from pytest_modelport.core.tensors import cast, seed_all
from pytest_modelport.core.verdict import Outcome, Stage
from pytest_modelport.isolation.jobs import Done, inside
from pytest_modelport.isolation.stops import Stop
from pytest_modelport.subject import identity
from pytest_modelport.subject.copies import copied
from pytest_modelport.subject.inputs import name_inputs
from pytest_modelport.subject.modules import zeros
from pytest_modelport.workbench.calibration import calibration_samples, calibrator
from pytest_modelport.workbench.transform_file import not_transformed
from pytest_modelport.workbench.workbench import Workbench

if TYPE_CHECKING:
    from torch import nn

    from pytest_modelport.request.case import Case
    from pytest_modelport.workbench.steps import RouteTransform


@dataclass(frozen=True)
class _Made:
    """What became of the subject."""

    module: nn.Module
    inputs: str = ""
    imports: tuple[str, ...] = ()
    zeros: int = 0


def prepared(workbench: Workbench) -> Workbench:
    """The workbench of a route whose subject has gone through the route's transforms. Raises `Stop`
    and `UsageError`.
    """
    wanted = [transform for transform in workbench.transforms if not transform.on_file]
    if not wanted:
        return workbench
    case = workbench.case
    texts = tuple(transform.text for transform in wanted)
    own = identity.digest(
        [case.hooks.calibrate, case.hooks.finetune, *case.hooks.functions.values()]
    )
    key = f"{case.key}+{'|'.join(texts)}+{own}"

    def make() -> _Made | Stop:
        made: _Made | Stop = _Made(case.module)
        for transform in wanted:
            if isinstance(made, _Made):
                made = _applied(workbench, made, transform)
        return made

    made = workbench.workspace.once(("transformed", key, workbench.route.device), make)
    if isinstance(made, Stop):
        raise made
    return replace(workbench, case=_case(case, made, key), original=case)


def _applied(workbench: Workbench, before: _Made, transform: RouteTransform) -> _Made | Stop:
    case, scratch = workbench.case, workbench.workspace.fresh(transform.text.partition("(")[0])
    here = _case(case, before, case.key)
    step = workbench.eager.steps[0]
    names = tuple(item.name for item in step.outputs)
    request = ExportRequest(
        before.module,
        here.larger or here.inputs,
        case.shapes,
        names,
        workbench.eager.spec,
        step.constants,
        scratch,
        workbench.route.device,
    )

    def job() -> Any:
        module = copied(before.module)
        seed_all(case.seed)
        with torch.enable_grad():
            made = transform.item.apply(
                ModuleWork(
                    module,
                    calibration_samples(here),
                    replace(request, module=module),
                    calibrator(here),
                    case.hooks.finetune,
                    scratch,
                    case.timeout,
                    transform.options,
                )
            )
        transform.hold(module_faults(made))
        return made

    log = log_of(scratch)
    ending = inside(job, log=log, restore=before.module)
    if not isinstance(ending, Done):
        workbench.workspace.keep(log)
        return not_transformed(ending, transform.text, {"log": str(log)})
    inputs = str(getattr(transform.item, "INPUTS", before.inputs))
    # Counted where weights still are what they are: a quantizer keeps a zero a zero, in tensors of
    # its own.
    recount = transform.item.FLOOR in _WHOLE and (before.zeros or transform.item.FLOOR == "pruned")
    found = zeros(ending.value) if recount else before.zeros
    return _Made(
        ending.value, inputs, (*before.imports, *getattr(transform.item, "IMPORTS", ())), found
    )


#: Transforms after which other weights may be zero than before.
_WHOLE = ("pruned", "cut", "custom")


def _case(case: Case, made: _Made, key: str) -> Case:
    """The case with what became of its subject. Raises `Stop` when that takes other inputs."""

    def changed(sample: Sample) -> Sample:
        return cast(sample, made.inputs)

    inputs = name_inputs(made.module, changed(case.inputs.sample))
    names, known = (
        [item.name for item in inputs.tensors],
        [item.name for item in case.inputs.tensors],
    )
    if names != known:
        reason = (
            f"the transformed model takes {', '.join(names)}; the model takes {', '.join(known)}"
        )
        raise Stop(Stage.TRANSFORM, Outcome.ERROR, reason)
    sample: dict[int, Sample] = {}
    calls = tuple(
        Call(sample.setdefault(id(c.sample), changed(c.sample)), c.seed, c.label)
        for c in case.calls
    )
    larger = name_inputs(made.module, changed(case.larger.sample)) if case.larger else None
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
