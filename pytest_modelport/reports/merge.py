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
    return Report(tuple(verdicts), environment)


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
