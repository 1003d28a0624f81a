"""Everything in one call: from a model and the names of targets to a report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_modelport.cleanroom.environments import Environment, declared, require
from pytest_modelport.cleanroom.workspace import Workspace
from pytest_modelport.core.errors import UsageError
from pytest_modelport.core.report import Report
from pytest_modelport.core.route import Route
from pytest_modelport.engine.build_case import build_case
from pytest_modelport.engine.pipeline import checks_for, expect, prove
from pytest_modelport.engine.resolve import (
    artifacts_of,
    checks_of,
    functions_of,
    routes_of,
    transform_of,
)
from pytest_modelport.engine.versions import run_versions
from pytest_modelport.request.case import Case
from pytest_modelport.request.options import Artifacts, Limits, Options
from pytest_modelport.request.search_options import InputDomain


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
    undecided: float = Options.undecided,
    seed: int = 0,
    threads: int = Options.threads,
    timeout: float = Options.timeout,
    workdir: str | Path | None = None,
    imports: Sequence[str] = (),
    examples: int = Options.examples,
    domain: str = Options.domain,
    domains: Mapping[str, InputDomain] | None = None,
    search_seconds: float = Options.search_seconds,
    replay: Mapping[str, Any] | None = None,
    latency: Limits = None,
    size: Limits = None,
    memory: Limits = None,
    quality: Limits = None,
    calibrate: Callable[[Any], Any] | None = None,
    finetune: Callable[[Any], Any] | None = None,
    metric: Callable[[Any], float] | None = None,
    baseline: str | Path | None = None,
    in_process: bool = False,
) -> Report:
    """Export `model` along every route and prove each artifact against it.

    model: an `nn.Module` in the modes it is to be verified in, a factory, `package.module:name`, or
    a name in a model library (`transformers:BertConfig?tiny`). args, kwargs: the sample it is
    exported with; a non-tuple is one positional argument; not needed where the model brings inputs
    (see `engine.load_model.load`). samples: further ones: an iterable of argument tuples, `Sample`
    objects, `recipe(...)` or files, or a data loader (see `subject.samples.samples_of`).
    dynamic_shapes: torch.export's form; a string is a dim that must be dynamic; or "infer", to ask
    the subject. artifact: a file, or `{target: file}`, to prove instead of exporting. rtol, atol:
    replace the measured allowance. undecided: share of integer elements that may differ where the
    subject's own evaluations disagree. timeout: seconds for each export, opening and call. workdir:
    where artifacts are kept; without it only those of routes that did not pass are, in a temporary
    folder. imports: modules the clean room imports before it opens an artifact: those that register
    custom operators. in_process: export and run ports in this process, where a debugger sees them;
    a crash ends it and nothing is timed out.

    Further samples that the check `shapes` makes inside the declared dims: examples: how many (with
    0 parity asks about no other values than the samples' either).
    domain: `finite` or `ieee` (also NaN, infinities, huge numbers). domains: what inputs may be, by
    name: bounds, `{"input_ids": (0, 30521)}`, or kinds of values, `{"attention_mask": ["ones",
    "prefix"]}`. replay: the one sample to make instead, a `recipe`. search_seconds: for the subject
    to try them, for each port, to judge its answers, and to shrink what fails.

    Budgets, each held by the check of its name: latency `{"p95_ms": 5, "load_ms": 300,
    "speedup_vs_eager": 1.3, "max_regression": "5%"}`, size `{"mb": 5, "parameters": 1e6}`, memory
    `{"mb": 200}`. baseline: a folder with the last release's artifacts by route, which
    max_regression is about.

    transforms: what is done to the model or to its file before it ships, each a route: names,
    functions that take and return a module, chains `T.prune_global(amount=0.4) | T.pt2e_static()`.
    calibrate: runs data through the model it is given, for ranges; without it the samples do.
    finetune: trains the module it is given, after pruning or for quantization. metric: takes
    something to call as the model, returns a number, more is better; asked of the original and of
    the port. quality: floors for what is left of the original, `{"sqnr_db": 20, "top1": 0.98,
    "metric_drop": 0.01}`, instead of those of the transforms.

    A bad port is a verdict. Raises `UsageError` when the request itself makes no sense.
    """
    options = Options.of(locals())
    routes = routes_of(targets, transforms, devices)
    functions = functions_of(map(transform_of, transforms))
    asked = checks_of(checks)
    case = build_case(model, args, kwargs, options, seed=seed, functions=functions)
    cases = {
        route: replace(case, artifact=file) for route, file in _files(artifact, routes).items()
    }
    environments = declared(Path.cwd())
    require(routes, environments)
    with _workspace(workdir, environments, in_process=in_process) as workspace:
        expect(workspace, routes, threads)
        return _report(workspace, cases, checks_for(case, asked))


def _files(artifact: Artifacts | None, routes: Sequence[Route]) -> dict[Route, Path | None]:
    """The file that each route is to prove, where one was brought."""
    files = artifacts_of(artifact, routes)
    return {route: files.get(route.target) for route in routes}


def _report(workspace: Workspace, cases: Mapping[Route, Case], checks: Sequence[str]) -> Report:
    verdicts = [
        verdict
        for route, case in cases.items()
        for verdict in prove(workspace, case, route, checks)
    ]
    return Report(tuple(verdicts), run_versions())


def _workspace(
    workdir: str | Path | None, environments: Mapping[str, Environment], *, in_process: bool
) -> Workspace:
    folder = Path(workdir) if workdir is not None else None
    try:
        return Workspace(
            folder,
            keep="failed" if workdir is None else "all",
            environments=environments,
            in_process=in_process,
        )
    except OSError as error:
        raise UsageError(f"workdir {workdir} cannot be used: {error.strerror}") from error
