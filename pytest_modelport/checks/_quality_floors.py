"""Which floors a route is held to, and what lies below them, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pytest_modelport.backends import registry
from pytest_modelport.checks._quality_metric import Measured
from pytest_modelport.compare.fidelity import Fidelity
from pytest_modelport.core.errors import unknown
from pytest_modelport.request.quality_floors import OUTPUTS, TRANSFORMS, Floors, floors_of
from pytest_modelport.workbench.workbench import Workbench


def given_of(workbench: Workbench) -> dict[str, float]:
    """The user's floors for this route: those of every route, then those of its transforms.

    Raises `UsageError` for a transform that is not there.
    """
    quality, functions = workbench.case.budgets.quality, workbench.case.hooks.functions
    chain = [transform.text for transform in workbench.transforms]
    bare = [transform.text.partition("(")[0] for transform in workbench.transforms]
    known = {*registry.names("transforms"), *functions}
    for text in quality.get(TRANSFORMS, {}):
        for step in text.split("|"):
            if step.partition("(")[0].strip() not in known:
                raise unknown("transform in quality", text, sorted(known))
    return floors_of(quality, [*bare, *chain, "|".join(chain)])


def below(
    floors: Floors, fidelities: Mapping[str, Fidelity], asked: Mapping[str, Mapping[str, float]]
) -> list[str]:
    """What is lost of each output. asked: floors of single outputs, by name; the others share
    `floors`. Raises `UsageError` for an output that is not there.
    """
    for name in asked:
        if name not in fidelities:
            raise unknown(f"output in quality {OUTPUTS}", name, fidelities)
    found: dict[str, None] = {}
    for name, fidelity in fidelities.items():
        own = asked.get(name)
        limits = floors if own is None else floors.but(own)
        where = "" if len(fidelities) == 1 else f"'{name}': "
        found |= dict.fromkeys(f"{where}{said}" for said in _lost(limits, fidelity))
    return list(found)


def _lost(floors: Floors, fidelity: Fidelity) -> list[str]:
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
            f"signal over error is {decibels(fidelity.sqnr_db)}, "
            f"at least {floors.sqnr_db:g} dB is required"
        )
    if fidelity.constant:
        others = len(fidelity.constant) - 1
        more = f" and {others} more slice{'s' * (others > 1)}" if others else ""
        found.append(f"{fidelity.constant[0]} became constant{more}")
    worst = fidelity.slices
    if floors.slice_db is not None and worst is not None and worst.sqnr_db < floors.slice_db:
        found.append(
            f"signal over error of {worst.place} is {decibels(worst.sqnr_db)}, "
            f"at least {floors.slice_db:g} dB is required of each slice"
        )
    alike = floors.top1 if floors.neighbours is None else floors.neighbours
    if alike is not None and fidelity.neighbours is not None and fidelity.neighbours < alike:
        found.append(
            f"{fidelity.neighbours:.3f} of the embeddings keep their nearest neighbour, "
            f"at least {alike:g} is required"
        )
    if floors.kl is not None and fidelity.kl is not None and fidelity.kl > floors.kl:
        found.append(f"KL divergence is {fidelity.kl:.3g} nats, at most {floors.kl:g} is allowed")
    return found


def worse(floors: Floors, metric: Measured | None) -> list[str]:
    """What the user's metric lost beyond what it may."""
    if metric is None:
        return []
    found = []
    if floors.metric_drop is not None and not metric.drop <= floors.metric_drop:
        found.append(
            f"the metric falls from {metric.original:.4g} to {metric.port:.4g}, "
            f"by at most {floors.metric_drop:g} is allowed"
        )
    if floors.metric_ratio is not None and not metric.ratio >= floors.metric_ratio:
        found.append(
            f"the metric keeps {metric.ratio:.4g} of {metric.original:.4g}, "
            f"at least {floors.metric_ratio:g} is required"
        )
    return found


#: Why a floor cannot be measured, by its name.
_LACKS = {
    "sqnr_db": "no output has finite floating point numbers",
    "cosine": "no output has finite rows of several numbers",
    "top1": "no output is a row of scores",
    "kl": "no output is a row of scores",
    "neighbours": "no output is embeddings, rows of length 1 or named so, with clear neighbours",
    "metric_drop": "no metric= is given",
    "metric_ratio": "no metric= is given",
    "slice_db": "no output has slices of several finite numbers",
    "size_ratio": "the weights that the files store cannot be read",
}


def unmeasured(
    given: Mapping[str, Any],
    outputs: Mapping[str, Mapping[str, float]],
    fidelities: Mapping[str, Fidelity],
    figures: Mapping[str, Any],
) -> list[str]:
    """The user's floors, of all and of single outputs, and at least one of any, for which these
    answers and this artifact have no figure; in words.
    """
    found = [_lacks(name, "") for name in given if figures[name] is None]
    found += [
        _lacks(name, f" of '{output}'")
        for output, asked in outputs.items()
        for name in asked
        if figures_of(fidelities[output])[name] is None
    ]
    if found or figures["sqnr_db"] is not None or figures["top1"] is not None:
        return found
    return ["quality cannot be measured: no output can be compared"]


def _lacks(name: str, where: str) -> str:
    return f"quality floor {name!r}{where} cannot be measured: {_LACKS[name]}"


def figures_of(fidelity: Fidelity) -> dict[str, Any]:
    """What was measured of answers, by the floor that is about it."""
    return {**vars(fidelity), "slice_db": fidelity.slices}


def decibels(value: float) -> str:
    return "identical" if value == math.inf else f"{value:.1f} dB"
