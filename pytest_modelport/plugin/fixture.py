"""The fixture `modelport`: hand it the subject, and the item's route is proven."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from pytest_modelport.errors import UsageError
from pytest_modelport.plugin import benchmarks, later
from pytest_modelport.plugin.collect import rerun, route_of, subject_of
from pytest_modelport.plugin.keys import CALLS, RELEASED, SETTINGS, VERDICTS, WORKSPACE
from pytest_modelport.plugin.marker import Portable
from pytest_modelport.plugin.settings import Settings
from pytest_modelport.route import Route
from pytest_modelport.verdict import Outcome, Report, Stage, Verdict, worst

if TYPE_CHECKING:
    from pytest_modelport.budget import Budgets
    from pytest_modelport.request import Artifacts
    from pytest_modelport.searching import Given, Search
    from pytest_modelport.workspace import Workspace


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
        item.stash[CALLS] = 0

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
        samples: Iterable[Any] = (),
        artifact: Artifacts | None = None,
        rtol: float | None = None,
        atol: float | None = None,
        undecided: float = 0.0,
        threads: int = 1,
        timeout: float | None = None,
        imports: Sequence[str] = (),
        examples: int | None = None,
        domain: str = "finite",
        domains: Mapping[str, Given] | None = None,
        search_seconds: float | None = None,
        latency: Mapping[str, Any] | None = None,
        size: Mapping[str, Any] | None = None,
        memory: Mapping[str, Any] | None = None,
        quality: Mapping[str, Any] | None = None,
        calibrate: Callable[[Any], Any] | None = None,
        finetune: Callable[[Any], Any] | None = None,
        metric: Callable[[Any], float] | None = None,
    ) -> Report:
        """Export the subject along this item's route and prove the artifact; fails the item when it is not green.

        The arguments are `pytest_modelport.verify`'s. Returns the report of this call when it is green.
        """
        from pytest_modelport.case import hooks_of

        self._item.stash[CALLS] += 1
        try:
            verdicts = self._prove(
                model,
                args,
                kwargs,
                dynamic_shapes=dynamic_shapes,
                samples=samples,
                artifact=artifact,
                tolerances=(
                    self._settings.rtol if rtol is None else rtol,
                    self._settings.atol if atol is None else atol,
                    undecided,
                ),
                threads=threads,
                imports=imports,
                search=self._search(examples, domain, domains, search_seconds),
                budgets=self._limits({"latency": latency, "size": size, "memory": memory, "quality": quality}),
                hooks=hooks_of(calibrate, finetune, metric, self._portable.functions),
                timeout=self._settings.timeout if timeout is None else timeout,
            )
        except UsageError as error:
            verdicts = [Verdict(self._route, "parity", Stage.RUN, Outcome.ERROR, str(error), subject=self._subject)]
        verdicts = [replace(verdict, suite=self._suite) for verdict in verdicts]
        self._item.stash.setdefault(VERDICTS, []).extend(verdicts)
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

    def _prove(
        self,
        model: Any,
        args: Any,
        kwargs: Any,
        *,
        artifact: Artifacts | None,
        tolerances: tuple[float | None, float | None, float],
        **options: Any,
    ) -> list[Verdict]:
        from pytest_modelport import pipeline
        from pytest_modelport.request import artifacts_of
        from pytest_modelport.seed import seed_of
        from pytest_modelport.tolerance import Tolerance

        seed = seed_of(subject_of(self._item), str(self._calls))
        case = pipeline.case_of(
            model,
            args,
            kwargs,
            tolerance=Tolerance(*tolerances),
            seed=seed,
            name=self._subject,
            **options,
        )
        case = replace(case, artifact=artifacts_of(artifact, [self._route]).get(self._route.target))
        self._about = self._identity(case.module)
        timed = ("latency",) if self._settings.benchmark else ()
        checks = dict.fromkeys((*pipeline.checks_for(case, self._portable.checks), *timed))
        forbidden = benchmarks.forbidden(self._item.config)
        if forbidden:
            checks.pop("latency", None)
        verdicts = pipeline.prove(self._workspace, case, self._route, tuple(checks))
        later.put_off(self._item, verdicts)
        if forbidden and case.budgets.latency.given:
            said = f"latency budgets not asked: {forbidden}"
            verdicts.append(Verdict(self._route, "latency", Stage.BUDGET, Outcome.SKIPPED, said, subject=self._subject))
        benchmarks.show(self._request, verdicts)
        return verdicts

    def _identity(self, module: Any) -> dict[str, str]:
        """Which weights and code a release's artifact is of; nothing where none is written."""
        from pytest_modelport.subject import identity

        return identity(module) if self._settings.release else {}

    def _search(
        self,
        examples: int | None,
        domain: str,
        domains: Mapping[str, Given] | None,
        seconds: float | None,
    ) -> Search:
        from pytest_modelport.recipes import parse
        from pytest_modelport.searching import search_of

        replay = parse(self._settings.replay) if self._settings.replay else None
        return search_of(
            self._settings.examples if examples is None else examples,
            domain,
            domains,
            replay,
            self._settings.search_seconds if seconds is None else seconds,
        )

    def _limits(self, given: Mapping[str, Any]) -> Budgets:
        """The marker's budgets, and those of the call where it has any."""
        from pytest_modelport.budget import Baseline, budgets_of

        said = {name: value for name, value in given.items() if value is not None}
        whole = self._settings.baseline
        last = Baseline(self._home(whole.folder), whole.environment) if whole else None
        return budgets_of(**{**self._portable.budgets, **said}, baseline=last)

    def _home(self, release: Path) -> Path:
        """Where a release keeps this subject: by the names that its verdicts have."""
        from pytest_modelport.release import home

        return home(release, self._suite, self._subject)

    def _conclude(self, verdicts: list[Verdict]) -> Report:
        """Green: the report. Otherwise the item ends here."""
        from pytest_modelport.surroundings import environment

        report = Report(tuple(verdicts), environment())
        if not report.passed:
            self._end(verdicts, report)
        if self._settings.release is not None:
            from pytest_modelport.release import partial

            home = self._home(partial(self._settings.release))
            released = home, self._route, Path(verdicts[0].evidence["artifact"]), self._about
            self._item.stash.setdefault(RELEASED, []).append(released)
        return report

    def _end(self, verdicts: list[Verdict], report: Report) -> NoReturn:
        from pytest_modelport.explain import failure
        from pytest_modelport.surroundings import about

        verdict = worst(verdicts)
        if verdict.outcome in (Outcome.SKIPPED, Outcome.INCONCLUSIVE) and not self._settings.strict:
            pytest.skip(f"{verdict.outcome}: {verdict.reason}")
        again = rerun(self._item, self._route.target)
        pytest.fail(failure(verdicts, environment=about(self._route, report.environment), rerun=again), pytrace=False)


def make(request: pytest.FixtureRequest, factory: pytest.TempPathFactory) -> Modelport:
    """The fixture's value for one item. Fails the item when it is no route."""
    route = route_of(request.node)
    if route is None:
        pytest.fail("modelport is used by a test that is not marked: add @pytest.mark.portable(targets=[...])", pytrace=False)
    return Modelport(request, _workspace(request, factory))


def _workspace(request: pytest.FixtureRequest, factory: pytest.TempPathFactory) -> Workspace:
    """One for the process: its clean rooms and finished references serve all items."""
    from pytest_modelport import pipeline
    from pytest_modelport.environments import declared
    from pytest_modelport.workspace import Workspace

    stash = request.config.stash
    if WORKSPACE not in stash:
        folder, in_process = factory.mktemp("modelport", numbered=True), stash[SETTINGS].in_process
        stash[WORKSPACE] = Workspace(folder, environments=declared(request.config.rootpath), in_process=in_process)
        pipeline.expect(stash[WORKSPACE], filter(None, map(route_of, request.session.items)))
    return stash[WORKSPACE]
