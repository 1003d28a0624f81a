"""The fixture `modelport`: hand it the subject, and the item's route is proven."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from pytest_modelport.core.errors import UsageError
from pytest_modelport.core.report import Report
from pytest_modelport.core.route import Route
from pytest_modelport.core.verdict import Outcome, Stage, Verdict, worst
from pytest_modelport.plugin import benchmarks, second_turn
from pytest_modelport.plugin.collect import rerun, route_of, subject_of
from pytest_modelport.plugin.gather import is_worker
from pytest_modelport.plugin.marker import Portable
from pytest_modelport.plugin.settings import Settings
from pytest_modelport.plugin.stash import (
    ANSWERED,
    CALLS,
    RELEASED,
    SETTINGS,
    VERDICTS,
    WORKSPACE,
)

if TYPE_CHECKING:
    from pytest_modelport.cleanroom.workspace import Workspace
    from pytest_modelport.request.budgets import Baseline
    from pytest_modelport.request.options import Artifacts, Limits, Options
    from pytest_modelport.request.search_options import InputDomain

#: What the marker says of an item: its route, and what it says of all routes of the test.
Asked = tuple[Route, Portable]


class Modelport:
    """Proves the item's route. Called in the test's body, as often as there are subjects."""

    def __init__(self, request: pytest.FixtureRequest, workspace: Workspace) -> None:
        item: pytest.Item = request.node
        asked: Asked = request.param
        self._item, self._workspace, self._request = item, workspace, request
        self._route, self._portable = asked
        self._settings: Settings = item.config.stash[SETTINGS]
        self._about: dict[str, str] = {}
        item.stash[CALLS] = item.stash[ANSWERED] = 0

    @property
    def route(self) -> Route:
        """The route this item is about."""
        return self._route

    def __call__(
        self,
        model: Any,
        args: Any = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        dynamic_shapes: Any = None,
        samples: Iterable[Any] | None = None,
        artifact: Artifacts | None = None,
        rtol: float | None = None,
        atol: float | None = None,
        undecided: float | None = None,
        threads: int | None = None,
        timeout: float | None = None,
        imports: Sequence[str] | None = None,
        examples: int | None = None,
        domain: str | None = None,
        domains: Mapping[str, InputDomain] | None = None,
        search_seconds: float | None = None,
        latency: Limits = None,
        size: Limits = None,
        memory: Limits = None,
        quality: Limits = None,
        calibrate: Callable[[Any], Any] | None = None,
        finetune: Callable[[Any], Any] | None = None,
        metric: Callable[[Any], float] | None = None,
    ) -> Report:
        """Export the subject along this item's route and prove the artifact; fails the item when it
        is not green.

        The arguments are `pytest_modelport.verify`'s; None is what the run says, else the default.
        Returns the report of this call when it is green.
        """
        options = self._options(locals())
        self._item.stash[CALLS] += 1
        try:
            verdicts = self._prove(model, args, kwargs, options)
        except UsageError as error:
            verdicts = [self._verdict("parity", Stage.RUN, Outcome.ERROR, str(error))]
        if not verdicts:
            reason = "nothing was proven: the checks named say nothing about this route"
            verdicts = [self._verdict("parity", Stage.COMPARE, Outcome.INCONCLUSIVE, reason)]
        verdicts = [replace(verdict, suite=self._suite) for verdict in verdicts]
        self._item.stash.setdefault(VERDICTS, []).extend(verdicts)
        self._item.stash[ANSWERED] += 1
        return self._conclude(verdicts)

    @property
    def _calls(self) -> int:
        return self._item.stash[CALLS]

    @property
    def _suite(self) -> str:
        return subject_of(self._item).partition("::")[0]

    @property
    def _subject(self) -> str:
        name = subject_of(self._item).partition("::")[2]
        return name if self._calls == 1 else f"{name} #{self._calls}"

    def _options(self, call: Mapping[str, Any]) -> Options:
        """What the run says, then the marker's budgets, then the call's own arguments."""
        from pytest_modelport.request.options import Options

        run = Options.of(self._settings.arguments)
        return run.given(self._portable.budgets).given(call)

    def _verdict(self, check: str, stage: Stage, outcome: Outcome, reason: str) -> Verdict:
        return Verdict(self._route, check, stage, outcome, reason, subject=self._subject)

    def _prove(self, model: Any, args: Any, kwargs: Any, options: Options) -> list[Verdict]:
        from pytest_modelport.core.seeds import seed_of
        from pytest_modelport.engine import pipeline
        from pytest_modelport.engine.build_case import build_case
        from pytest_modelport.engine.resolve import artifacts_of

        case = build_case(
            model,
            args,
            kwargs,
            replace(options, baseline=self._baseline()),
            seed=seed_of(subject_of(self._item), str(self._calls)),
            name=self._subject,
            functions=self._portable.functions,
        )
        chain = self._route.transforms
        beside = [route for route, _ in self._portable.routes if route.transforms == chain]
        files = artifacts_of(options.artifact, beside)
        case = replace(case, artifact=files.get(self._route.target))
        self._about = self._identity(case.module)
        timed = ("latency",) if self._settings.benchmark else ()
        checks = dict.fromkeys((*pipeline.checks_for(case, self._portable.checks), *timed))
        forbidden = benchmarks.forbidden(self._item.config)
        if forbidden:
            checks.pop("latency", None)
        with self._workspace.subject(subject_of(self._item)):
            verdicts = pipeline.prove(self._workspace, case, self._route, tuple(checks))
        second_turn.put_off(self._item, verdicts)
        if forbidden and case.budgets.latency.given:
            reason = f"latency budgets were not measured: {forbidden}"
            verdicts.append(self._verdict("latency", Stage.BUDGET, Outcome.SKIPPED, reason))
        benchmarks.show(self._request, verdicts)
        return verdicts

    def _identity(self, module: Any) -> dict[str, str]:
        """Which weights and code a release's artifact is of; nothing where none is written."""
        from pytest_modelport.subject.identity import identity

        return identity(module) if self._settings.release else {}

    def _baseline(self) -> Baseline | None:
        """What the last release keeps of this test's model; None where the run names none."""
        from pytest_modelport.request.budgets import Baseline

        whole = self._settings.baseline
        return Baseline(self._home(whole.folder), whole.environment) if whole else None

    def _home(self, release: Path) -> Path:
        """Where a release keeps this subject: by the names that its verdicts have."""
        from pytest_modelport.reports.release import home

        return home(release, self._suite, self._subject)

    def _conclude(self, verdicts: list[Verdict]) -> Report:
        """Green: the report. Otherwise the item ends here."""
        from pytest_modelport.engine.versions import run_versions

        report = Report(tuple(verdicts), run_versions())
        if not report.passed:
            self._end(verdicts, report)
        if self._settings.release is not None:
            from pytest_modelport.reports.release import partial

            home = self._home(partial(self._settings.release))
            released = home, self._route, Path(verdicts[0].evidence["artifact"]), self._about
            self._item.stash.setdefault(RELEASED, []).append(released)
        return report

    def _end(self, verdicts: list[Verdict], report: Report) -> NoReturn:
        from pytest_modelport.engine.versions import about
        from pytest_modelport.reports.failure_text import failure

        verdict = worst(verdicts)
        if verdict.passed:
            asked = ", ".join(dict.fromkeys(one.check for one in verdicts))
            pytest.fail(
                f"parity was not asked, only {asked}: a route is green where it is; add "
                "'parity' to checks=",
                pytrace=False,
            )
        if verdict.outcome in (Outcome.SKIPPED, Outcome.INCONCLUSIVE) and not self._settings.strict:
            pytest.skip(f"{verdict.outcome}: {verdict.reason}")
        again = rerun(self._item, self._route.target)
        pytest.fail(
            failure(verdicts, environment=about(self._route, report.environment), rerun=again),
            pytrace=False,
        )


def make(request: pytest.FixtureRequest, factory: pytest.TempPathFactory) -> Modelport:
    """The fixture's value for one item. Fails the item when it is no route."""
    route = route_of(request.node)
    if route is None:
        pytest.fail(
            "modelport is used by a test that is not marked: "
            "add @pytest.mark.portable(targets=[...])",
            pytrace=False,
        )
    return Modelport(request, _workspace(request, factory))


def _workspace(request: pytest.FixtureRequest, factory: pytest.TempPathFactory) -> Workspace:
    """One for the process: its clean rooms and finished references serve all items."""
    from pytest_modelport.cleanroom.environments import declared
    from pytest_modelport.cleanroom.workspace import Workspace
    from pytest_modelport.engine import pipeline
    from pytest_modelport.isolation.fork import die_with_parent

    stash = request.config.stash
    if WORKSPACE not in stash:
        if is_worker(request.config):  # else it goes on until its test is over
            die_with_parent(os.getppid())
        settings = stash[SETTINGS]
        stash[WORKSPACE] = Workspace(
            factory.mktemp("modelport", numbered=True),
            keep=settings.keep,
            environments=declared(request.config.rootpath),
            in_process=settings.in_process,
        )
        pipeline.expect(stash[WORKSPACE], filter(None, map(route_of, request.session.items)))
    return stash[WORKSPACE]
