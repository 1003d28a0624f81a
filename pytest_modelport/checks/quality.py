"""Quality: what did the route's transforms cost, and did they do what they are for?

Two losses are never mixed. What a transform cost is measured by the original beside the transformed
model; what the export broke is parity's question. Only where the file itself is changed, and no
model answers as it does, the original is held beside the file.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any

from pytest_modelport.checks._answers import answers_of
from pytest_modelport.checks._quality_metric import Measured, measured
from pytest_modelport.checks._quality_stored import (
    Sizes,
    opsets,
    sizes,
    sparsity,
    stored,
    strangers,
)
from pytest_modelport.compare.fidelity import Fidelity, fidelity_of
from pytest_modelport.core.verdict import Outcome, Stage, Verdict, jsonable
from pytest_modelport.isolation.stops import Stop
from pytest_modelport.request.quality_floors import CLASS_AXIS, NOTHING_DB, Floors, floors_for
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
    given = dict(workbench.case.budgets.quality)
    if not (workbench.transforms or quantized or given or hooks.metric):
        return
    class_axis = given.pop(CLASS_AXIS, None)
    floor_rows = [transform.item.FLOOR for transform in workbench.transforms]
    floor_rows += [quantized.floors] if quantized and not workbench.transforms else []
    trained = hooks.finetune is not None and any(
        getattr(transform.item, "TRAINS", False) for transform in workbench.transforms
    )
    floors = floors_for(
        floor_rows,
        metric=hooks.metric is not None,
        trained=trained,
        given=given,
    )
    if quantized and "size_ratio" not in given:
        floors = replace(floors, size_ratio=None)
    asked = bool(given.keys() & {"top1", "kl"})
    fidelity = fidelity_of(_pairs(workbench), class_axis, classes=asked)
    metric = measured(workbench) if hooks.metric else None
    size = sizes(workbench) if floors.size_ratio is not None else None
    evidence = {
        "price": jsonable(
            {key: value for key, value in asdict(fidelity).items() if value not in (None, ())}
        ),
        "floors": jsonable(
            {key: value for key, value in asdict(floors).items() if value is not None}
        ),
        **({"metric": jsonable(asdict(metric))} if metric else {}),
        **({"size": asdict(size)} if size else {}),
    }
    said = _words(fidelity, metric, size) + (f"; {quantized.said}" if quantized else "")
    wrong = [
        *_nothing(floor_rows, fidelity),
        *_deeds(workbench, floor_rows),
        *_under(floors, fidelity, metric),
        *_large(workbench, floors, size),
    ]
    if wrong:
        why = better(workbench, floors) if workbench.reshaped else strangers(workbench)
        reason = f"{'; '.join(wrong)} ({said})" + (f": {why}" if why else "")
        yield workbench.verdict("quality", Stage.TRANSFORM, Outcome.FAILED, reason, evidence)
    elif unasked := _unasked(given, fidelity, metric, size):
        reason = f"{'; '.join(map(_unmeasured, unasked))} ({said})"
        yield workbench.verdict("quality", Stage.TRANSFORM, Outcome.INCONCLUSIVE, reason, evidence)
    elif floor_rows and not floors.enough:
        reason = (
            f"no quality floors for {_name(workbench)}: "
            f"give quality={{'sqnr_db': ..., 'top1': ...}} ({said})"
        )
        yield workbench.verdict("quality", Stage.TRANSFORM, Outcome.INCONCLUSIVE, reason, evidence)
    else:
        yield workbench.verdict("quality", Stage.TRANSFORM, Outcome.PASSED, said, evidence)


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
            fidelity = fidelity_of(_pairs(other))
            if not _under(floors, fidelity, None):
                words = _words(fidelity, None, None)
                return f"the default options are the cause: {text} gives {words}"
    return ""


def _unasked(
    given: Mapping[str, Any], fidelity: Fidelity, metric: Measured | None, size: Sizes | None
) -> list[str]:
    """The user's floors, and at least one of any, for which these answers and this artifact have no
    figure.
    """
    figures = {
        **asdict(fidelity),
        "metric_drop": metric,
        "metric_ratio": metric,
        "slice_db": fidelity.slices,
        "size_ratio": size,
    }
    missing = [name for name in given if figures[name] is None]
    return missing or (
        [] if fidelity.sqnr_db is not None or fidelity.top1 is not None else ["answers"]
    )


#: Why a floor cannot be measured, by its name.
_LACKS = {
    "sqnr_db": "no output has finite floating point numbers",
    "cosine": "no output has finite rows of several numbers",
    "top1": "no output is a row of scores",
    "kl": "no output is a row of scores",
    "metric_drop": "no metric= is given",
    "metric_ratio": "no metric= is given",
    "slice_db": "no output has slices of several finite numbers",
    "size_ratio": "the weights that the files store cannot be read",
}


def _unmeasured(name: str) -> str:
    if name not in _LACKS:
        return "quality cannot be measured: no output can be compared"
    return f"quality floor {name!r} cannot be measured: {_LACKS[name]}"


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
            f"nothing was changed: the answers are the original's ({_decibels(fidelity.sqnr_db)})"
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


def _under(floors: Floors, fidelity: Fidelity, metric: Measured | None) -> list[str]:
    found = (
        [f"{fidelity.nonfinite} elements are NaN or infinite, and finite in the original"]
        if fidelity.nonfinite
        else []
    )
    for name, value, limit in (
        ("top-1 agreement", fidelity.top1, floors.top1),
        ("cosine of the worst row", fidelity.cosine, floors.cosine),
    ):
        if limit is not None and value is not None and value < limit:
            found.append(f"{name} is {value:.3f}, at least {limit:g} is required")
    if (
        floors.sqnr_db is not None
        and fidelity.sqnr_db is not None
        and fidelity.sqnr_db < floors.sqnr_db
    ):
        found.append(
            f"signal over error is {_decibels(fidelity.sqnr_db)}, "
            f"at least {floors.sqnr_db:g} dB is required"
        )
    if fidelity.constant:
        others = len(fidelity.constant) - 1
        more = f" and {others} more slice{'s' * (others > 1)}" if others else ""
        found.append(f"{fidelity.constant[0]} became constant{more}")
    worst = fidelity.slices
    if floors.slice_db is not None and worst is not None and worst.sqnr_db < floors.slice_db:
        found.append(
            f"signal over error of {worst.place} is {_decibels(worst.sqnr_db)}, "
            f"at least {floors.slice_db:g} dB is required of each slice"
        )
    if floors.kl is not None and fidelity.kl is not None and fidelity.kl > floors.kl:
        found.append(f"KL divergence is {fidelity.kl:.3g} nats, at most {floors.kl:g} is allowed")
    if (
        floors.metric_drop is not None
        and metric is not None
        and not metric.drop <= floors.metric_drop
    ):
        found.append(
            f"the metric falls from {metric.original:.4g} to {metric.port:.4g}, "
            f"by at most {floors.metric_drop:g} is allowed"
        )
    if (
        floors.metric_ratio is not None
        and metric is not None
        and not metric.ratio >= floors.metric_ratio
    ):
        found.append(
            f"the metric keeps {metric.ratio:.4g} of {metric.original:.4g}, "
            f"at least {floors.metric_ratio:g} is required"
        )
    return found


def _words(fidelity: Fidelity, metric: Measured | None, size: Sizes | None) -> str:
    parts = [_decibels(fidelity.sqnr_db)] if fidelity.sqnr_db is not None else []
    parts += [f"top-1 {fidelity.top1:.3f} of {fidelity.rows}"] if fidelity.top1 is not None else []
    parts += (
        [f"cosine {fidelity.cosine:.3f}"]
        if fidelity.cosine is not None and fidelity.top1 is None
        else []
    )
    parts += [f"metric {metric.original:.4g} -> {metric.port:.4g}"] if metric else []
    parts += [f"stores x{size.stored:.2f}, files x{size.files:.2f}"] if size else []
    return ", ".join(parts) or "no output to compare"


def _decibels(value: float) -> str:
    return "identical" if value == math.inf else f"{value:.1f} dB"
