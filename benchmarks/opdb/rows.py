"""What rows amount to, kept in a file and written as a page."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from pytest_modelport.checks._evidence import DIGITS
from pytest_modelport.core.verdict import Outcome

#: One route of one subject: suite, subject, target, outcome, truth, export, reason, seconds.
Row = dict[str, Any]
KINDS = (
    "right",
    "false green",
    "false red",
    "precision",
    "no truth",
    "inconclusive",
    "unsupported",
    "error",
)
LISTED = ("false green", "false red", "precision", "no truth", "error")
WHAT = {
    "operators": "torch's own operator suite",
    "modules": "torch's own module suite",
    "exportdb": "torch.export's ExportDB",
    "executorch": "ExecuTorch's operator suite",
}
TITLE = "# Suites of torch and ExecuTorch"


def kind(row: Row) -> str:
    """What a row amounts to."""
    green = row["outcome"] == Outcome.PASSED
    red = row["outcome"] in (Outcome.FAILED, Outcome.CRASHED, Outcome.TIMEOUT)
    if green:
        return {"right": "right", "wrong": "false green"}.get(row["truth"], "no truth")
    if red and row["truth"] == "right":
        return "precision" if row["reason"].endswith(DIGITS) else "false red"
    return "right" if red else str(row["outcome"])


def lost(row: Row) -> bool:
    """Whether a plain export is right where Modelport's own is wrong, or is none."""
    return row.get("export") == "right" and kind(row) in ("right", "unsupported")


def kept(results: Path) -> list[Row]:
    """The rows of a file; those without a suite are of the operators."""
    if not results.exists():
        return []
    return [{"suite": "operators", **json.loads(line)} for line in results.read_text().splitlines()]


def sections(rows: list[Row], samples: int) -> dict[str, str]:
    """The text about each suite, by its heading."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["suite"], []).append(row)
    return {
        suite: "\n".join(_section(suite, samples, made)).strip() for suite, made in found.items()
    }


def written(page: Path, made: dict[str, str]) -> str:
    """A page with these sections, and with the others that it has."""
    before = page.read_text().split("\n## ")[1:] if page.exists() else []
    found = {text.split("\n", 1)[0]: text.split("\n", 1)[1].strip() for text in before}
    found.update(made)
    ordered = sorted(found, key=list(WHAT).index)
    return "\n\n".join([TITLE, *(f"## {suite}\n\n{found[suite]}" for suite in ordered)]) + "\n"


def _section(suite: str, samples: int, rows: list[Row]) -> Iterator[str]:
    targets = dict.fromkeys(row["target"] for row in rows)
    seconds = sum(row.get("seconds", 0) for row in rows)
    yield (
        f"`python -m benchmarks.opdb --suite {suite} --samples {samples}`, torch {torch.__version__}: "
        f"{len(rows)} routes of {len({row['subject'] for row in rows})} samples of {WHAT[suite]}, "
        f"{seconds:.0f} s."
    )
    yield ""
    yield f"| target | {' | '.join(KINDS)} |"
    yield f"|---|{'---|' * len(KINDS)}"
    for target in targets:
        count = Counter(kind(row) for row in rows if row["target"] == target)
        yield f"| {target} | {' | '.join(str(count[word]) for word in KINDS)} |"
    yield ""
    for word in LISTED:
        for row in rows:
            if kind(row) == word:
                yield (
                    f"- {word}: {row['subject']} on {row['target']} "
                    f"(plain: {row['truth']}): {row['reason']}"
                )
    for row in filter(lost, rows):
        yield f"- a plain export is right: {row['subject']} on {row['target']}: {row['reason']}"
