"""From items to verdicts, for all who want the whole run: reports, a release, GitHub."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_modelport.core.report import Report
from pytest_modelport.core.route import MISSING, Route
from pytest_modelport.core.verdict import TEST, Outcome, Stage, Verdict, unheard
from pytest_modelport.plugin.collect import route_of, subject_of
from pytest_modelport.plugin.stash import DESELECTED, ROWS, SETTINGS, UNHEARD, VERDICTS

if TYPE_CHECKING:
    from pytest_modelport.plugin.settings import Settings

#: Where continuous integration says which run this is: GitHub, GitLab, Azure, Jenkins.
_RUNS = ("GITHUB_RUN_ID", "CI_PIPELINE_ID", "BUILD_BUILDID", "BUILD_TAG")
#: How pytest ends where every test was run, whatever came of them. After `-x` too: what it left
#: out, the session says.
_COMPLETE = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)


def rows(
    item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport
) -> list[dict[str, Any]]:
    """The verdicts that one phase of an item has added, as JSON values. A test that fails around
    green ports is not green.
    """
    found: list[Verdict] = []
    if call.when == "call" and VERDICTS in item.stash:
        found = item.stash[VERDICTS]
        del item.stash[VERDICTS]  # items live as long as the run; and one may be run again
    known = getattr(report, "wasxfail", None)
    if known is not None:
        found = [
            replace(verdict, evidence={**verdict.evidence, "xfail": known or "expected"})
            for verdict in found
        ]
    if report.failed and all(verdict.passed for verdict in found):
        said = call.excinfo.exconly().splitlines()[0] if call.excinfo else "failed"
        found.append(_about(item, Outcome.ERROR, f"the test itself fails in {call.when}: {said}"))
    elif report.skipped and known is not None and all(verdict.passed for verdict in found):
        said = (
            f"fails in {call.when}, around exported models that pass" if found else "proves nothing"
        )
        about = _about(item, Outcome.ERROR, f"the test itself {said}")
        unasked = {} if found else {"unasked": True}
        found.append(replace(about, evidence={"xfail": known or "expected", **unasked}))
    elif report.skipped and known is None and all(verdict.passed for verdict in found):
        said = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else "skipped"
        found.append(
            _about(item, Outcome.SKIPPED, f"the test is skipped: {said.removeprefix('Skipped: ')}")
        )
    item.user_properties += [(f"modelport.{v.check}", f"{v.outcome}: {v.reason}") for v in found]
    return [_portable(verdict, item.config.rootpath).to_dict() for verdict in found]


def _part(shard: str) -> dict[str, str]:
    """Which part of which run this is, where the machine that runs it says: parts of two runs are
    not merged.
    """
    run = next((os.environ[name] for name in _RUNS if os.environ.get(name)), "")
    return {"shard": shard, **({"run": run} if run else {})} if shard else {}


def _cut_short(session: pytest.Session, exitstatus: int) -> Verdict:
    why = session.shouldfail or session.shouldstop or f"pytest ended with {int(exitstatus)}"
    said = f"the run ended early; tests after this point are unknown: {why}"
    return unheard(Outcome.ERROR, said, "the run")


def _portable(verdict: Verdict, root: Path) -> Verdict:
    """Files of the project by their names inside it: where it lies is nobody's business."""
    here = f"{root}/"
    notes = tuple(note.replace(here, "") for note in verdict.notes)
    return replace(verdict, reason=verdict.reason.replace(here, ""), notes=notes)


def _about(item: pytest.Item, outcome: Outcome, reason: str) -> Verdict:
    suite, _, name = subject_of(item).partition("::")
    route = route_of(item) or Route(MISSING)
    return Verdict(route, TEST, Stage.RUN, outcome, reason, subject=name, suite=suite)


def finish(session: pytest.Session, exitstatus: int) -> None:
    """Write what was asked for of the whole run."""
    from pytest_modelport.engine.versions import run_versions

    settings: Settings = session.config.stash[SETTINGS]
    verdicts = [Verdict.from_dict(row) for row in session.config.stash[ROWS]]
    complete = exitstatus in _COMPLETE and not (session.shouldfail or session.shouldstop)
    if complete and (unheard := session.config.stash.get(UNHEARD, [])):
        verdicts += map(Verdict.from_dict, unheard)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        _say(session, f"modelport: {len(unheard)} tests were selected and have no verdict")
    left_out = session.config.stash.get(DESELECTED, [])
    if settings.shard and left_out and exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
        session.exitstatus = pytest.ExitCode.OK  # there are fewer models than parts
    deselected = tuple((suite, subject, route) for suite, subject, route in left_out)
    report = Report(tuple(verdicts), {**run_versions(), **_part(settings.shard)}, deselected)
    if not complete and exitstatus != pytest.ExitCode.NO_TESTS_COLLECTED:
        report = replace(report, verdicts=(*report.verdicts, _cut_short(session, exitstatus)))
    try:
        for path in settings.reports:
            _write(path, report)
        if settings.release is not None:
            _release(settings.release, report, complete=complete)
        if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
            from pytest_modelport.reports.markdown import render

            with Path(summary).open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(render(report) + "\n")
    except OSError as error:
        session.exitstatus = pytest.ExitCode.INTERNAL_ERROR
        _say(session, f"cannot write {error.filename}: {error.strerror}")
    if os.environ.get("GITHUB_ACTIONS") == "true":
        _annotate(session, report)


def _annotate(session: pytest.Session, report: Report) -> None:
    from pytest_modelport.reports.markdown import workflow

    for number, line in enumerate(workflow(report)):
        if number == 0:
            _say(session, "")  # ends the line of dots: a command begins its line
        _say(session, line)


def _write(path: Path, report: Report) -> None:
    from pytest_modelport.reports.write import written

    path.parent.mkdir(parents=True, exist_ok=True)
    written(path, report)


def _release(folder: Path, report: Report, *, complete: bool) -> None:
    """Complete the release, unless the run did not come to its end: then there is none."""
    import shutil

    from pytest_modelport.reports.release import finish as close
    from pytest_modelport.reports.release import only_green, partial

    if complete and report.verdicts:
        only_green(partial(folder), report)
        close(folder, report)
    else:
        shutil.rmtree(partial(folder), ignore_errors=True)


def _say(session: pytest.Session, line: str) -> None:
    reporter: Any = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        reporter.write_line(line)
