"""Reports of several machines as one."""

from __future__ import annotations

from pytest_modelport.core.errors import UsageError
from pytest_modelport.core.report import Report
from pytest_modelport.core.verdict import Outcome, Verdict, unheard


def merged(reports: list[Report]) -> Report:
    """Reports of several machines as one, in an order of its own, whatever theirs was. Raises
    `UsageError`.

    Where they say which part they are, each must be there once: one that is missing is an error
    among the verdicts.
    """
    if not reports:
        raise UsageError("nothing to merge: give at least one report")
    shards = [report.environment.get("shard", "") for report in reports]
    counts = {shard.partition("/")[2] for shard in shards if shard}
    if len(counts) > 1:
        raise UsageError(
            f"reports of runs in {' and '.join(sorted(counts))} parts: they are not of one run"
        )
    runs = sorted({report.environment["run"] for report in reports if "run" in report.environment})
    if len(runs) > 1:
        raise UsageError(f"reports of the runs {' and '.join(runs)}: they are not of one run")
    twice = {shard for shard in shards if shard and shards.count(shard) > 1}
    if twice:
        raise UsageError(f"part {min(twice)} is there twice")
    environment: dict[str, str] = {}
    for report in reports:
        for name, value in report.environment.items():
            if name != "shard" and environment.setdefault(name, value) != value:
                environment[name] = " and ".join(sorted({*environment[name].split(" and "), value}))
    verdicts = sorted((verdict for report in reports for verdict in report.verdicts), key=_order)
    verdicts += [
        _absent(part, count)
        for count in counts
        for part in range(1, int(count) + 1)
        if f"{part}/{count}" not in shards
    ]
    verdicts += [
        unheard(Outcome.ERROR, f"{_name(report, number)} has no verdicts", _name(report, number))
        for number, report in enumerate(reports, 1)
        if not report.verdicts and not report.deselected  # a part may have been left no model
    ]
    ran = {(verdict.suite, verdict.subject, verdict.route.id) for verdict in verdicts}
    left_out = {key for report in reports for key in report.deselected} - ran
    return Report(tuple(verdicts), environment, tuple(sorted(left_out)))


def _name(report: Report, number: int) -> str:
    return f"part {report.environment.get('shard', number)}"


def _absent(part: int, count: str) -> Verdict:
    said = f"part {part} of {count} of the run is missing"
    return unheard(Outcome.ERROR, said, f"part {part} of {count}")


def _order(verdict: Verdict) -> tuple[str, ...]:
    return (
        verdict.suite,
        verdict.subject,
        verdict.route.id,
        verdict.check,
        str(verdict.stage),
        verdict.reason,
    )
