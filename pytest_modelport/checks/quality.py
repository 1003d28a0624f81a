"""Quality: what did the route's transforms cost, and did they do what they are for?

Two prices are never mixed: what a transform cost is the original beside the transformed model, what a port broke is parity.
Only where the file itself is changed, and no model answers as it does, the original is held beside the file.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

from pytest_modelport.asking import asked
from pytest_modelport.bench import Bench
from pytest_modelport.floors import NOTHING_DB, Floors, floors_for
from pytest_modelport.metric import Measured, measured
from pytest_modelport.price import Price, price_of
from pytest_modelport.remains import Sizes, opsets, sizes, sparsity, stored, strangers
from pytest_modelport.stopped import Stopped
from pytest_modelport.verdict import Outcome, Stage, Verdict, jsonable

DEFAULT = True


def run(bench: Bench) -> Iterator[Verdict]:
    """One verdict on a route with transforms, none on others. Raises `Stopped`."""
    if not bench.moves:
        return
    prices = [move.transform.PRICE for move in bench.moves]
    hooks = bench.case.hooks
    trained = hooks.finetune is not None and any(getattr(move.transform, "TRAINS", False) for move in bench.moves)
    floors = floors_for(prices, metric=hooks.metric is not None, trained=trained, given=bench.case.budgets.quality)
    price, metric = price_of(_pairs(bench)), measured(bench) if hooks.metric else None
    size = sizes(bench) if floors.size_ratio is not None else None
    evidence = {
        "price": jsonable({key: value for key, value in asdict(price).items() if value is not None}),
        "floors": jsonable({key: value for key, value in asdict(floors).items() if value is not None}),
        **({"metric": jsonable(asdict(metric))} if metric else {}),
        **({"size": asdict(size)} if size else {}),
    }
    said = _words(price, metric, size)
    wrong = [*_nothing(prices, price), *_deeds(bench, prices), *_under(floors, price, metric), *_large(bench, floors, size)]
    if wrong:
        why = better(bench, floors) if bench.reshaped else strangers(bench)
        reason = f"{'; '.join(wrong)} ({said})" + (f": {why}" if why else "")
        yield bench.verdict("quality", Stage.TRANSFORM, Outcome.FAILED, reason, evidence)
    elif unasked := _unasked(bench, price, metric, size):
        reason = f"quality asks for {', '.join(unasked)}, and there is nothing to measure that on ({said})"
        yield bench.verdict("quality", Stage.TRANSFORM, Outcome.INCONCLUSIVE, reason, evidence)
    elif not floors.enough:
        reason = f"no floors say what {_name(bench)} may cost ({said}): give quality={{'sqnr_db': ..., 'top1': ...}}"
        yield bench.verdict("quality", Stage.TRANSFORM, Outcome.INCONCLUSIVE, reason, evidence)
    else:
        yield bench.verdict("quality", Stage.TRANSFORM, Outcome.PASSED, said, evidence)


def better(bench: Bench, floors: Floors) -> str:
    """Options of the last transform with which it costs less than is asked, in words; empty where none of those known does."""
    last = bench.moves[-1]
    if last.options:
        return ""
    for options in getattr(last.transform, "TRY", ()):
        text = f"{last.text}({options})"
        other = replace(bench, route=replace(bench.route, transforms=(*bench.route.transforms[:-1], text)))
        with contextlib.suppress(Stopped):
            price = price_of(_pairs(other))
            if not _under(floors, price, None):
                return f"the default options are the cause: {text} gives {_words(price, None, None)}"
    return ""


def _unasked(bench: Bench, price: Price, metric: Measured | None, size: Sizes | None) -> list[str]:
    """The user's floors, and at least one of any, for which these answers and this artifact have no figure."""
    figures = {**asdict(price), "metric_drop": metric, "size_ratio": size}
    missing = [name for name in bench.case.budgets.quality if figures[name] is None]
    return missing or ([] if price.sqnr_db is not None or price.top1 is not None else ["answers"])


def _name(bench: Bench) -> str:
    return "|".join(bench.route.transforms)


def _pairs(bench: Bench) -> Iterator[tuple[str, Any, Any]]:
    """Each output of each call: the original's, and that of what became of it."""
    originals = bench.untransformed.law.steps
    for first, second in zip(originals, _others(bench), strict=True):
        for item in first.outputs:
            other = second.get(item.name)
            if other is None or other.shape != item.eager.shape:
                shape = "nothing" if other is None else str(tuple(other.shape))
                reason = (
                    f"'{item.name}' at {first.call.label} is {shape} after {_name(bench)}, {tuple(item.eager.shape)} before"
                )
                raise Stopped(Stage.TRANSFORM, Outcome.FAILED, reason)
            yield item.name, item.eager.numpy(), other


def _others(bench: Bench) -> list[dict[str, Any]]:
    if not bench.reshaped:
        return [{item.name: item.eager.numpy() for item in step.outputs} for step in bench.reference.steps]
    found = []
    for step, given in zip(bench.reference.steps, asked(bench, bench.reference), strict=True):
        if isinstance(given, Stopped):
            raise given
        names = [item.name for item in step.outputs]
        found.append(dict(zip(names, (array.numpy() for _, array in given[1].outputs), strict=False)))
    return found


def _nothing(prices: list[str], price: Price) -> list[str]:
    """Whether what had to change numbers has changed none."""
    names = [name for name in prices if name not in ("exact", "custom")]
    if names and price.sqnr_db is not None and price.sqnr_db >= NOTHING_DB:
        return [f"nothing was changed: the answers are the original's ({_decibels(price.sqnr_db)})"]
    return []


def _deeds(bench: Bench, prices: list[str]) -> list[str]:
    """What is wrong with the artifact itself."""
    return [*(sparsity(bench) if "pruned" in prices else []), *opsets(bench)]


def _large(bench: Bench, floors: Floors, size: Sizes | None) -> list[str]:
    if floors.size_ratio is None or size is None or size.stored <= floors.size_ratio:
        return []
    what = f"the artifact stores {size.stored:.2f}x what the untransformed one does, at most {floors.size_ratio:g}x is asked"
    return [f"{what}: it has {stored(bench)}"]


def _under(floors: Floors, price: Price, metric: Measured | None) -> list[str]:
    found = [f"{price.nonfinite} elements are NaN or infinite and were not"] if price.nonfinite else []
    for name, value, limit in (
        ("top-1 agreement", price.top1, floors.top1),
        ("cosine of the worst row", price.cosine, floors.cosine),
    ):
        if limit is not None and value is not None and value < limit:
            found.append(f"{name} is {value:.3f}, at least {limit:g} is asked")
    if floors.sqnr_db is not None and price.sqnr_db is not None and price.sqnr_db < floors.sqnr_db:
        found.append(f"signal over error is {_decibels(price.sqnr_db)}, at least {floors.sqnr_db:g} dB is asked")
    if floors.kl is not None and price.kl is not None and price.kl > floors.kl:
        found.append(f"KL divergence is {price.kl:.3g} nats, at most {floors.kl:g} is asked")
    if floors.metric_drop is not None and metric is not None and not metric.drop <= floors.metric_drop:
        found.append(
            f"the metric falls from {metric.original:.4g} to {metric.port:.4g}, by at most {floors.metric_drop:g} is asked"
        )
    return found


def _words(price: Price, metric: Measured | None, size: Sizes | None) -> str:
    parts = [_decibels(price.sqnr_db)] if price.sqnr_db is not None else []
    parts += [f"top-1 {price.top1:.3f} of {price.rows}"] if price.top1 is not None else []
    parts += [f"cosine {price.cosine:.3f}"] if price.cosine is not None and price.top1 is None else []
    parts += [f"metric {metric.original:.4g} -> {metric.port:.4g}"] if metric else []
    parts += [f"stores x{size.stored:.2f}, files x{size.files:.2f}"] if size else []
    return ", ".join(parts) or "no output to compare"


def _decibels(value: float) -> str:
    return "identical" if value == math.inf else f"{value:.1f} dB"
