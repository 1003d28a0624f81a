"""A report in the form that a file's name asks for."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from pytest_modelport.core.errors import UsageError
from pytest_modelport.core.report import Report

#: What is otherwise than in the last release: kind and words.
Changes = Sequence[tuple[str, str]]
#: A decision that goes beyond the report: the gate's. None: what the verdicts say.
Passed = bool | None


def _json(report: Report, changes: Changes, passed: Passed) -> str:  # noqa: ARG001
    return report.to_json() + "\n"


def _html(report: Report, changes: Changes, passed: Passed) -> str:
    from pytest_modelport.reports.html import render

    return render(report, changes, passed=passed)


def _markdown(report: Report, changes: Changes, passed: Passed) -> str:
    from pytest_modelport.reports.markdown import render

    return render(report, changes, passed=passed) + "\n"


def _badge(report: Report, changes: Changes, passed: Passed) -> str:  # noqa: ARG001
    from pytest_modelport.reports.badge import render

    return render(report, passed=passed)


FORMS: dict[str, Callable[[Report, Changes, Passed], str]] = {
    ".json": _json,
    ".html": _html,
    ".md": _markdown,
    ".svg": _badge,
}


def checked(path: Path) -> Path:
    """The path. Raises `UsageError` for a name that asks for no form."""
    if path.suffix not in FORMS:
        raise UsageError(
            f"report {path} ends in {path.suffix or 'nothing'}: known are {', '.join(FORMS)}"
        )
    return path


def written(path: Path, report: Report, changes: Changes = (), passed: Passed = None) -> None:
    """Write the report, whole or not at all. Raises `OSError`."""
    text = FORMS[path.suffix](report, changes, passed)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".report-")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def saved(path: Path, report: Report, changes: Changes = (), passed: Passed = None) -> None:
    """The same for a command. Raises `UsageError`."""
    try:
        written(path, report, changes, passed)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error
