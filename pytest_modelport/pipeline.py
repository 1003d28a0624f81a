"""The one place that sequences the stages. Knows no concrete format, runtime or check."""

from __future__ import annotations

import platform
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_modelport import __version__, shelf
from pytest_modelport.availability import preload, unavailable
from pytest_modelport.bench import Bench
from pytest_modelport.budget import Budgets, budgets_of
from pytest_modelport.case import Case, Hooks, hooks_of
from pytest_modelport.dims import Shapes
from pytest_modelport.environments import Environment, declared, require
from pytest_modelport.errors import UsageError, unknown
from pytest_modelport.export import versions
from pytest_modelport.isolate import forks
from pytest_modelport.recipes import Recipe
from pytest_modelport.request import (
    Artifacts,
    artifacts_of,
    checks_of,
    functions_of,
    imports_of,
    limits,
    routes_of,
    transform_of,
)
from pytest_modelport.route import Route
from pytest_modelport.sample import Sample, sequence
from pytest_modelport.searching import Search, search_of
from pytest_modelport.stopped import Stopped
from pytest_modelport.tolerance import Tolerance
from pytest_modelport.transforming import prepared
from pytest_modelport.verdict import Outcome, Report, Stage, Verdict
from pytest_modelport.workspace import Workspace

TIMEOUT = 600.0
_NO_FORK = "no fork on this system or with CUDA in use: exports run in this process, one after the other"


def verify(
    model: Any,
    args: Any = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    targets: Sequence[str],
    transforms: Sequence[Any] = ("none",),
    devices: Sequence[str] = ("cpu",),
    checks: Sequence[str] | None = None,
    dynamic_shapes: Any = None,
    samples: Iterable[Any] = (),
    artifact: Artifacts | None = None,
    rtol: float | None = None,
    atol: float | None = None,
    undecided: float = 0.0,
    seed: int = 0,
    threads: int = 1,
    timeout: float = TIMEOUT,
    workdir: str | Path | None = None,
    imports: Sequence[str] = (),
    examples: int = Search.examples,
    domain: str = "finite",
    domains: Mapping[str, tuple[float, float]] | None = None,
    search_seconds: float = Search.seconds,
    replay: Mapping[str, Any] | None = None,
    latency: Mapping[str, Any] | None = None,
    size: Mapping[str, Any] | None = None,
    memory: Mapping[str, Any] | None = None,
    quality: Mapping[str, Any] | None = None,
    calibrate: Callable[[Any], Any] | None = None,
    finetune: Callable[[Any], Any] | None = None,
    metric: Callable[[Any], float] | None = None,
    baseline: str | Path | None = None,
    in_process: bool = False,
) -> Report:
    """Export `model` along every route and prove each artifact against it.

    model: an `nn.Module` in the modes it is to be verified in, a factory, `package.module:name`, or a name in a model library
    (`transformers:BertConfig?tiny`). args, kwargs: the sample it is exported with; a non-tuple is one positional argument;
    not needed where the model brings inputs (see `loading.load`). samples: further ones: an iterable of argument tuples,
    `Sample` objects, `recipe(...)` or files, or a data loader (see `sampling.samples_of`). dynamic_shapes: torch.export's form;
    a string is a dim that must be dynamic; or "infer", to ask the subject. artifact: a file, or `{target: file}`, to prove
    instead of exporting. rtol, atol: replace the measured allowance. undecided: share of integer elements that may differ where
    the subject's own evaluations disagree. timeout: seconds for each export, opening and call. workdir: where artifacts are
    kept; without it only those of routes that did not pass are, in a temporary folder. imports: modules the clean room imports
    before it opens an artifact: those that register custom operators. in_process: export and run ports in this process, where a
    debugger sees them; a crash ends it and nothing is timed out.

    Further samples that the check `shapes` makes inside the declared dims: examples: how many. domain: `finite` or `ieee` (also
    NaN, infinities, huge numbers). domains: bounds of inputs by name, `{"input_ids": (0, 30521)}`. replay: the one sample to
    make instead, a `recipe`. search_seconds: for the subject to try them, for each port, and to shrink what fails.

    Budgets, each held by the check of its name: latency `{"p95_ms": 5, "load_ms": 300, "speedup_vs_eager": 1.3,
    "max_regression": "5%"}`, size `{"mb": 5, "parameters": 1e6}`, memory `{"mb": 200}`. baseline: a folder with the last
    release's artifacts by route, which max_regression is about.

    transforms: what is done to the model or to its file before it ships, each a route: names, functions that take and return a
    module, chains `T.prune_global(amount=0.4) | T.pt2e_static()`. calibrate: runs data through the model it is given, for
    ranges; without it the samples do. finetune: trains the module it is given, after pruning or for quantization. metric: takes
    something to call as the model, returns a number, more is better; asked of the original and of the port. quality: floors for
    what is left of the original, `{"sqnr_db": 20, "top1": 0.98, "metric_drop": 0.01}`, instead of those of the transforms.

    A bad port is a verdict. Raises `UsageError` when the request itself makes no sense.
    """
    routes = routes_of(targets, transforms, devices)
    functions = functions_of(map(transform_of, transforms))
    asked = checks_of(checks)
    case = case_of(
        model,
        args,
        kwargs,
        dynamic_shapes=dynamic_shapes,
        samples=samples,
        tolerance=Tolerance(rtol, atol, undecided),
        seed=seed,
        threads=threads,
        timeout=timeout,
        imports=imports,
        search=search_of(examples, domain, domains or {}, None if replay is None else Recipe(replay), search_seconds),
        budgets=budgets_of(latency, size, memory, quality, _release(baseline)),
        hooks=hooks_of(calibrate, finetune, metric, functions),
    )
    asked = checks_for(case, asked)
    files = artifacts_of(artifact, routes)
    environments = declared(Path.cwd())
    require(routes, environments)
    with _workspace(workdir, environments, in_process=in_process) as workspace:
        expect(workspace, routes, threads)
        verdicts = [
            verdict
            for route in routes
            for verdict in prove(workspace, replace(case, artifact=files.get(route.target)), route, asked)
        ]
    return Report(tuple(verdicts), environment())


def _workspace(workdir: str | Path | None, environments: Mapping[str, Environment], *, in_process: bool) -> Workspace:
    folder = Path(workdir) if workdir is not None else None
    try:
        return Workspace(folder, keep_all=workdir is not None, environments=environments, in_process=in_process)
    except OSError as error:
        raise UsageError(f"workdir {workdir} cannot be used: {error.strerror}") from error


def _release(baseline: str | Path | None) -> Path | None:
    if baseline is not None and not Path(baseline).is_dir():
        raise UsageError(f"baseline {str(baseline)!r} is no folder: give the one with the last release's artifacts by route")
    return Path(baseline) if baseline is not None else None


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
    return tuple(dict.fromkeys((*asked, *(("shapes",) if case.search.wanted else ()), *case.budgets.checks)))


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


def prove(workspace: Workspace, case: Case, route: Route, checks: Sequence[str]) -> list[Verdict]:
    """Every check's verdicts on one route. The first stage that fails ends the route."""
    bench = Bench(case, route, workspace)
    verdicts: list[Verdict] = []
    try:
        absent = unavailable(bench)
        if absent is not None:
            return [absent]
        bench = prepared(bench)
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
        verdicts.append(bench.verdict(checks[0], end.stage, end.outcome, end.reason, end.evidence))
    except OSError as error:
        # Scratch files could not be written or read: the disk's fault, not the port's.
        said = f"cannot write: {error.strerror or error}: {error.filename or workspace.folder}"
        verdicts.append(bench.verdict(checks[0], Stage.RUN, Outcome.ERROR, said))
    if not all(verdict.passed for verdict in verdicts) and "artifact" in bench.__dict__:
        workspace.keep(bench.artifact.folder)
    return verdicts


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


def environment() -> dict[str, str]:
    """Versions the verdicts are about."""
    return {
        "pytest-modelport": __version__,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        **versions("torch", "onnx", "onnxscript", "onnxruntime", "numpy"),
    }
