"""The one place that sequences the stages. Knows no concrete format, runtime or check."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pytest_modelport import shelf
from pytest_modelport.availability import preload, unavailable
from pytest_modelport.bench import Bench
from pytest_modelport.budget import Budgets
from pytest_modelport.case import Case, Hooks
from pytest_modelport.dims import Shapes
from pytest_modelport.errors import UsageError, unknown
from pytest_modelport.isolate import forks
from pytest_modelport.request import (
    imports_of,
    limits,
)
from pytest_modelport.route import Route
from pytest_modelport.sample import Sample, sequence
from pytest_modelport.searching import Search
from pytest_modelport.stopped import Stopped
from pytest_modelport.tolerance import Tolerance
from pytest_modelport.transforming import prepared
from pytest_modelport.verdict import Outcome, Stage, Verdict
from pytest_modelport.workspace import Workspace

TIMEOUT = 600.0
_NO_FORK = "no fork on this system or with CUDA in use: exports run in this process, one after the other"


def expect(workspace: Workspace, routes: Iterable[Route], threads: int = 1) -> None:
    """Say early which routes will come, so that the clean room can import what they need in the meantime."""
    for route in routes:
        preload(workspace, route, threads)


def default_checks() -> tuple[str, ...]:
    """The checks asked without being named, parity first."""
    return tuple(sorted((n for n in shelf.names("checks") if shelf.check(n).DEFAULT), key=lambda name: name != "parity"))


def checks_for(case: Case, named: Sequence[str] | None = None) -> tuple[str, ...]:
    """Those named, else the default ones and shapes where dims may vary; and, named or not, what else the user said calls for.

    A budget, a replay or a domain that no check asked about would be green without proof.
    """
    varies = case.shapes.dynamic and case.search.examples
    asked = named or (*default_checks(), *(("shapes",) if varies else ()))
    further = {"shapes": case.search.wanted, "quality": case.hooks.metric is not None}
    return tuple(dict.fromkeys((*asked, *(name for name, wanted in further.items() if wanted), *case.budgets.checks)))


def case_of(
    model: Any,
    args: Any = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    dynamic_shapes: Any = None,
    samples: Iterable[Any] = (),
    tolerance: Tolerance | None = None,
    seed: int = 0,
    threads: int = 1,
    timeout: float = TIMEOUT,
    name: str = "",
    imports: Sequence[str] = (),
    search: Search | None = None,
    budgets: Budgets | None = None,
    hooks: Hooks | None = None,
) -> Case:
    """Everything the user said about the subject, checked. Raises `UsageError`."""
    from pytest_modelport import subject
    from pytest_modelport.loading import load
    from pytest_modelport.sampling import samples_of
    from pytest_modelport.search import built, enlarged

    limits(timeout, threads)
    loaded = load(model)
    module, unsaid = loaded.module, isinstance(args, tuple) and not args and not kwargs
    if unsaid and loaded.sample is None:
        raise UsageError(f"no inputs for {type(module).__name__}: give args, or let the factory return (module, args)")
    given = loaded.sample if unsaid and loaded.sample is not None else Sample.of(args, kwargs)
    first = subject.inputs(module, given)
    shapes, found = _shapes(dynamic_shapes, module, first, timeout)
    notes = (*loaded.notes, *subject.modes(module), *found, *(() if forks() else (_NO_FORK,)))
    case = Case(
        module=module,
        inputs=first,
        calls=(),
        shapes=shapes,
        tolerance=tolerance or Tolerance(),
        key="",
        seed=seed,
        name=name or type(module).__name__,
        timeout=timeout,
        threads=threads,
        notes=notes,
        factory=loaded.factory,
        imports=imports_of(imports),
        search=search or Search(),
        budgets=budgets or Budgets(),
        hooks=hooks or Hooks(),
    )
    case = enlarged(case)
    others, left_out = samples_of(built(case, samples), first.sample)
    further = tuple(subject.inputs(module, sample).sample for sample in others)
    return replace(
        case,
        calls=sequence(first.sample, further, seed),
        key=f"{subject.fingerprint(module, first.sample, *further)}-{seed}",
        notes=(*case.notes, *left_out),
    )


def _shapes(asked: Any, module: Any, inputs: Any, timeout: float) -> tuple[Shapes, tuple[str, ...]]:
    """Which dims may vary, and a note that can be pasted into the test where the subject said it. Raises `UsageError`."""
    from pytest_modelport.dims import normalise
    from pytest_modelport.infer import inferred, pasted

    if not isinstance(asked, str):
        shaped = tuple((item.name, item.path, item.tensor.dim()) for item in inputs.tensors)
        return normalise(asked, shaped, inputs.parameters), ()
    if asked != "infer":
        raise unknown("dynamic_shapes", asked, ("infer",))
    shapes = inferred(module, inputs, timeout)
    return shapes, (f"dynamic_shapes={pasted(shapes)} (inferred)",)


def prove(workspace: Workspace, case: Case, route: Route, named: Sequence[str]) -> list[Verdict]:
    """Every check's verdicts on one route. The first stage that fails ends the route."""
    bench, checks = Bench(case, route, workspace), dict.fromkeys(named)
    verdicts: list[Verdict] = []
    try:
        absent = unavailable(bench)
        if absent is not None:
            return [absent]
        bench = prepared(bench)
        if bench.reshaped:  # parity says nothing of the values in a file that was changed
            checks = dict.fromkeys((*checks, "quality"))
        for name in checks:
            if getattr(shelf.check(name), "ONLY_GREEN", False) and any(_wrong(verdict) for verdict in verdicts):
                continue
            started = time.perf_counter()
            found, ended = _asked(bench, name)
            seconds = time.perf_counter() - started
            verdicts += [replace(verdict, seconds=round(seconds / len(found), 3)) for verdict in found]
            if ended:
                break
    except Stopped as end:
        verdicts.append(bench.verdict(named[0], end.stage, end.outcome, end.reason, end.evidence))
    except OSError as error:
        # Scratch files could not be written or read: the disk's fault, not the port's.
        said = f"cannot write: {error.strerror or error}: {error.filename or workspace.folder}"
        verdicts.append(bench.verdict(named[0], Stage.RUN, Outcome.ERROR, said))
    if bench.moves and not all(verdict.passed for verdict in verdicts):
        verdicts = [_blamed(bench, verdict) if verdict.check == "parity" else verdict for verdict in verdicts]
    if not all(verdict.passed for verdict in verdicts) and "artifact" in bench.__dict__:
        workspace.keep(bench.artifact.folder)
    return verdicts


def _blamed(bench: Bench, verdict: Verdict) -> Verdict:
    """What a port of a transformed model cannot do, with whether the untransformed one can."""
    if verdict.passed or verdict.stage is Stage.TRANSFORM:
        return verdict
    plain = _asked(bench.untransformed, "parity")[0][0]
    chain = "|".join(bench.route.transforms)
    if plain.passed:
        return replace(verdict, notes=(*verdict.notes, f"without {chain} this target passes"))
    said = f"{verdict.reason} (and without {chain} it is {plain.outcome}: {plain.reason})"
    return replace(verdict, reason=said, evidence={**verdict.evidence, "untransformed": str(plain.outcome)})


def _wrong(verdict: Verdict) -> bool:
    """Whether this says that the port is not the subject, rather than that it costs too much."""
    return not verdict.passed and verdict.stage is not Stage.BUDGET


def _asked(bench: Bench, check: str) -> tuple[list[Verdict], bool]:
    """One check's verdicts, and whether the route ends with them."""
    try:
        return list(shelf.check(check).run(bench)), False
    except Stopped as stopped:
        return [bench.verdict(check, stopped.stage, stopped.outcome, stopped.reason, stopped.evidence)], True
    except UsageError as error:
        return [bench.verdict(check, Stage.RUN, Outcome.ERROR, str(error))], True
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001 - a stage border: a fault of our own must not take the other routes along
        log = bench.workspace.folder / f"fault-{bench.route.id.replace('/', '_')}.log"
        log.write_text("".join(traceback.format_exception(error)))
        bench.workspace.keep(log)
        reason = f"Modelport itself failed in {check}: {type(error).__name__}: {error}; please report it with the log"
        return [bench.verdict(check, Stage.COMPARE, Outcome.ERROR, reason, {"log": str(log)})], True
