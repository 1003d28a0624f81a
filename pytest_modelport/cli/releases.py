"""The commands about releases and reports: `release verify | show`, `gate`, `merge`, `report`,
`plot`.
"""

from __future__ import annotations

import argparse
import datetime as dt
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pytest_modelport.core.errors import UsageError
from pytest_modelport.core.plain import printable, without_commands
from pytest_modelport.core.report import Report
from pytest_modelport.core.verdict import Outcome, Verdict, worst
from pytest_modelport.reports import release
from pytest_modelport.reports.gate import Change, Exit, decided, policy_of
from pytest_modelport.reports.merge import merged
from pytest_modelport.reports.write import checked, saved
from pytest_modelport.request.project import gate_policy


def add(commands: Any) -> dict[str, Callable[[argparse.Namespace], int]]:
    """Register the commands; the functions that run them, by name."""
    one = commands.add_parser("release", help="a folder that `pytest --modelport-release` wrote")
    actions = one.add_subparsers(dest="action", required=True, metavar="ACTION")
    for action, said in (
        ("verify", "check that every file is still the one that was verified"),
        ("show", "list its routes and versions"),
    ):
        actions.add_parser(action, help=said).add_argument("folder", type=Path, metavar="DIR")
    gate = commands.add_parser(
        "gate",
        help="decide whether to release: exit code 0 yes, 1 no, 2 wrong usage, 3 undecided",
        description=decided.__doc__,
    )
    gate.add_argument("new", type=Path, metavar="NEW", help="a release, or a report in JSON")
    gate.add_argument(
        "--baseline", type=Path, metavar="OLD", help="the last release, or its report"
    )
    gate.add_argument(
        "--write",
        type=Path,
        metavar="FILE",
        help="write the report with what changed: FILE.html or .md",
    )
    merge = commands.add_parser(
        "merge", help="join the reports of several machines; a missing part fails"
    )
    merge.add_argument("target", type=Path, metavar="OUT.json")
    merge.add_argument("reports", type=Path, nargs="+", metavar="REPORT.json")
    report = commands.add_parser(
        "report", help="turn a JSON report into a page, a summary or a badge"
    )
    report.add_argument("report", type=Path, metavar="REPORT.json")
    report.add_argument("target", type=Path, metavar="OUT", help="OUT.html, .md, .svg or .json")
    plot = commands.add_parser(
        "plot", help="plot every timed route: distribution, comparisons, trend"
    )
    plot.add_argument(
        "reports",
        type=Path,
        nargs="+",
        metavar="REPORT",
        help="reports or releases, the oldest first",
    )
    plot.add_argument(
        "--to", type=Path, default=Path("plots"), metavar="DIR", help="(default: %(default)s)"
    )
    plot.add_argument("--png", action="store_true", help="write PNG instead of SVG")
    return {"release": _release, "gate": _gate, "merge": _merge, "report": _report, "plot": _plot}


def read(path: Path) -> Report:
    """The report of a release, or in a file; whether a release's files are still those is
    `release.problems`. Raises `UsageError`.
    """
    if not path.is_dir():
        try:
            return Report.from_json(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{path} cannot be read: {error}") from error
    return release.read(path).report


def _release(options: argparse.Namespace) -> int:
    found = release.read(options.folder)
    if options.action == "show":
        for (suite, subject, route), verdicts in found.report.items.items():
            print(f"{worst(verdicts).outcome:<12} {suite}::{subject} {route}")
        size = sum(int(row["size"]) for row in found.files.values())
        print(
            f"{len(found.files)} files, {size / 1e6:.3g} MB; "
            + ", ".join(f"{k} {v}" for k, v in found.report.environment.items())
        )
        return 0
    problems = list(release.problems(options.folder))
    for problem in problems:
        print(without_commands(printable(problem)))
    print(
        f"{len(problems)} problems"
        if problems
        else f"{len(found.files)} files are those that were verified"
    )
    return 1 if problems else 0


def _gate(options: argparse.Namespace) -> int:
    if options.write is not None:
        checked(options.write)
    new, old = read(options.new), read(options.baseline) if options.baseline is not None else None
    given = gate_policy(Path.cwd())
    policy = policy_of(given or {})
    code, changes = decided(new, old, policy, dt.datetime.now(dt.timezone.utc).date())
    folders = [path for path in (options.new, options.baseline) if path and path.is_dir()]
    broken = [f"{folder}: {said}" for folder in folders for said in release.problems(folder)]
    if broken:
        code, changes = (
            Exit.FAILED,
            (*(Change("release", Outcome.FAILED, said) for said in broken), *changes),
        )
    for change in changes:
        sign = (
            " " if change.outcome is Outcome.PASSED else "?" if code is Exit.INCONCLUSIVE else "!"
        )
        print(f"{sign} {change.kind:<11} {change.said}")
    if options.write is not None:
        saved(
            options.write,
            new,
            [(change.kind, change.said) for change in changes],
            code is Exit.PASSED,
        )
    words = {
        Exit.PASSED: "passed",
        Exit.FAILED: "failed",
        Exit.INCONCLUSIVE: "undecided: run the routes that were skipped or inconclusive again",
    }
    without = "" if given else f"; no policy: no [tool.modelport.gate] in {Path.cwd()} or above"
    print(f"gate {words[code]}: {len(new.items)} routes{without}")
    return int(code)


def _merge(options: argparse.Namespace) -> int:
    checked(options.target)
    report = merged([read(path) for path in options.reports])
    saved(options.target, report)
    outcome = "passed" if report.as_expected else "not passed"
    print(f"{len(options.reports)} reports, {len(report.items)} routes: {outcome}")
    return 0 if report.as_expected else 1


def _report(options: argparse.Namespace) -> int:
    checked(options.target)
    report = read(options.report)
    saved(options.target, report)
    return 0 if report.as_expected else 1


def _plot(options: argparse.Namespace) -> int:
    if importlib.util.find_spec("matplotlib") is None:
        raise UsageError("plots need matplotlib: pip install 'pytest-modelport[plots]'")
    from pytest_modelport.reports.plot import plotted

    reports = [(path.stem, read(path)) for path in options.reports]
    suffix = ".png" if options.png else ".svg"

    def place(verdict: Verdict) -> Path:
        folder = release.place(
            release.home(options.to, verdict.suite, verdict.subject), verdict.route
        )
        return folder.with_name(f"{folder.name}{suffix}")

    try:
        made = plotted(reports, place)
    except OSError as error:
        raise UsageError(f"{options.to} cannot be written: {error.strerror}") from error
    for path in made:
        print(path)
    if not made:
        raise UsageError(
            f"nothing to plot: no route in {options.reports[-1]} was timed; ask with --benchmark"
        )
    return 0
