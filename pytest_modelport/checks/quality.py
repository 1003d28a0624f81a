"""Quality: what did the route's transforms cost, and did they do what they are for?

Two losses are never mixed. What a transform cost is measured by the original beside the transformed
model; what the export broke is parity's question. Only where the file itself is changed, and no
model answers as it does, the original is held beside the file.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any

from pytest_modelport.checks._answers import answers_of
from pytest_modelport.checks._quality_elsewhere import Elsewhere, elsewhere
from pytest_modelport.checks._quality_floors import (
    below,
    decibels,
    figures_of,
    given_of,
    unmeasured,
    worse,
)
from pytest_modelport.checks._quality_metric import Measured, measured
from pytest_modelport.checks._quality_stored import (
    Sizes,
    opsets,
    sizes,
    sparsity,
    stored,
    strangers,
)
from pytest_modelport.compare.fidelity import Fidelity, fidelities_of, worst_of
from pytest_modelport.core.verdict import Outcome, Stage, Verdict, jsonable
from pytest_modelport.isolation.stops import Stop
from pytest_modelport.request.quality_floors import (
    CLASS_AXIS,
    NOTHING_DB,
    OUTPUTS,
    Floors,
    floors_for,
)
from pytest_modelport.workbench.workbench import Workbench

DEFAULT = True
WHEN = (
    "runs on routes with transforms, unless `checks=` names others; even so, and on every route, "
    "when `quality=` or `metric=` is given, when a transform changes the exported file and its "
    "answers, or when a file was quantized elsewhere"
)


def run(workbench: Workbench) -> Iterator[Verdict]:
    """One verdict on a route with transforms, on a file that was quantized elsewhere, and wherever
    a floor or a metric is given; none on others. Raises `Stop`.
    """
    hooks = workbench.case.hooks
    quantized = workbench.quantized if workbench.reshaped else None
    quality, given = workbench.case.budgets.quality, given_of(workbench)
    outputs = quality.get(OUTPUTS, {})
    if not (workbench.transforms or quantized or given or outputs or hooks.metric):
        return
    rows = [transform.item.FLOOR for transform in workbench.transforms]
    rows += [quantized.floors] if quantized and not workbench.transforms else []
    floors = _floors(workbench, rows, given)
    if quantized and "size_ratio" not in given:
        floors = replace(floors, size_ratio=None)
    asked = bool({*given, *itertools.chain(*outputs.values())} & {"top1", "kl"})
    fidelities = fidelities_of(_pairs(workbench), quality.get(CLASS_AXIS), classes=asked)
    fidelity, other = worst_of(fidelities.values()), elsewhere(workbench, rows)
    metric = measured(workbench) if hooks.metric else None
    size = sizes(workbench) if floors.size_ratio is not None else None
    evidence = {
        "price": _evidence(fidelity),
        "floors": _evidence(floors),
        **({"elsewhere": _evidence(other)} if other else {}),
        **({"metric": _evidence(metric)} if metric else {}),
        **({"size": asdict(size)} if size else {}),
    }
    said = _words(fidelity, metric, size) + (f"; {quantized.said}" if quantized else "")
    wrong = [
        *_nothing(rows, fidelity),
        *_deeds(workbench, rows),
        *below(floors, fidelities, outputs),
        *worse(floors, metric),
        *(other.below(floors) if other else []),
        *_large(workbench, floors, size),
    ]
    outcome, reason = Outcome.PASSED, said
    if wrong:
        why = better(workbench, floors) if workbench.reshaped else strangers(workbench)
        outcome = Outcome.FAILED
        reason = f"{'; '.join(wrong)} ({said})" + (f": {why}" if why else "")
    elif unasked := unmeasured(given, outputs, fidelities, _figures(fidelity, metric, size)):
        outcome, reason = Outcome.INCONCLUSIVE, f"{'; '.join(unasked)} ({said})"
    elif rows and not floors.enough:
        wanted = "give quality={'sqnr_db': ..., 'top1': ...}"
        outcome = Outcome.INCONCLUSIVE
        reason = f"no quality floors for {_name(workbench)}: {wanted} ({said})"
    yield workbench.verdict("quality", Stage.TRANSFORM, outcome, reason, evidence)


def _floors(workbench: Workbench, rows: list[str], given: Mapping[str, float]) -> Floors:
    """What the route is held to: by what its transforms do, and what the user says."""
    hooks = workbench.case.hooks
    trained = hooks.finetune is not None and any(
        getattr(transform.item, "TRAINS", False) for transform in workbench.transforms
    )
    return floors_for(rows, metric=hooks.metric is not None, trained=trained, given=given)


def _evidence(figures: Fidelity | Floors | Elsewhere | Measured) -> Any:
    """Those that there are."""
    return jsonable({key: item for key, item in asdict(figures).items() if item not in (None, ())})


def better(workbench: Workbench, floors: Floors) -> str:
    """Options of the last transform with which it costs less than is asked, in words; empty where
    none of those known does.
    """
    if not workbench.transforms or workbench.transforms[-1].options:
        return ""
    last = workbench.transforms[-1]
    for options in getattr(last.item, "TRY", ()):
        text = f"{last.text}({options})"
        other = replace(
            workbench,
            route=replace(workbench.route, transforms=(*workbench.route.transforms[:-1], text)),
        )
        with contextlib.suppress(Stop):
            fidelities = fidelities_of(_pairs(other))
            if not below(floors, fidelities, {}):
                words = _words(worst_of(fidelities.values()), None, None)
                return f"the default options are the cause: {text} gives {words}"
    return ""


def _figures(fidelity: Fidelity, metric: Measured | None, size: Sizes | None) -> dict[str, Any]:
    """What was measured, by the floor that is about it."""
    of_metric = dict.fromkeys(("metric_drop", "metric_ratio"), metric)
    return {**figures_of(fidelity), **of_metric, "size_ratio": size}


def _name(workbench: Workbench) -> str:
    return "|".join(workbench.route.transforms)


def _pairs(workbench: Workbench) -> Iterator[tuple[str, Any, Any]]:
    """Each output of each call: the original's, and that of what became of it."""
    originals = workbench.untransformed.eager.steps
    for first, second in zip(originals, _others(workbench), strict=True):
        for item in first.outputs:
            other = second.get(item.name)
            if other is None or other.shape != item.eager.shape:
                shape = "nothing" if other is None else str(tuple(other.shape))
                reason = (
                    f"'{item.name}' at {first.call.label} is {shape} after {_name(workbench)}, "
                    f"{tuple(item.eager.shape)} before"
                )
                raise Stop(Stage.TRANSFORM, Outcome.FAILED, reason)
            yield item.name, item.eager.numpy(), other


def _others(workbench: Workbench) -> list[dict[str, Any]]:
    if workbench.transforms and not workbench.reshaped:
        return [
            {item.name: item.eager.numpy() for item in step.outputs}
            for step in workbench.reference.steps
        ]
    found = []
    for step, given in zip(
        workbench.reference.steps, answers_of(workbench, workbench.reference.steps), strict=True
    ):
        if isinstance(given, Stop):
            raise given
        names = [item.name for item in step.outputs]
        found.append(
            dict(zip(names, (array.numpy() for _, array in given[1].outputs), strict=False))
        )
    return found


def _nothing(floor_rows: list[str], fidelity: Fidelity) -> list[str]:
    """Whether what had to change numbers has changed none."""
    names = [name for name in floor_rows if name not in ("exact", "custom")]
    if names and fidelity.sqnr_db is not None and fidelity.sqnr_db >= NOTHING_DB:
        return [
            f"nothing was changed: the answers are the original's ({decibels(fidelity.sqnr_db)})"
        ]
    return []


def _deeds(workbench: Workbench, floor_rows: list[str]) -> list[str]:
    """What is wrong with the artifact itself."""
    return [*(sparsity(workbench) if "pruned" in floor_rows else []), *opsets(workbench)]


def _large(workbench: Workbench, floors: Floors, size: Sizes | None) -> list[str]:
    if floors.size_ratio is None or size is None or size.stored <= floors.size_ratio:
        return []
    return [
        f"the artifact stores {size.stored:.2f}x what the untransformed one does, "
        f"at most {floors.size_ratio:g}x is allowed: it has {stored(workbench)}"
    ]


def _words(fidelity: Fidelity, metric: Measured | None, size: Sizes | None) -> str:
    parts = [decibels(fidelity.sqnr_db)] if fidelity.sqnr_db is not None else []
    parts += [f"top-1 {fidelity.top1:.3f} of {fidelity.rows}"] if fidelity.top1 is not None else []
    parts += (
        [f"cosine {fidelity.cosine:.3f}"]
        if fidelity.cosine is not None and fidelity.top1 is None
        else []
    )
    parts += [f"neighbours {fidelity.neighbours:.3f}"] if fidelity.neighbours is not None else []
    parts += [f"metric {metric.original:.4g} -> {metric.port:.4g}"] if metric else []
    parts += [f"stores x{size.stored:.2f}, files x{size.files:.2f}"] if size else []
    return ", ".join(parts) or "no output to compare"
