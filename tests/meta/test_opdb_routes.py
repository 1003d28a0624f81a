"""Suites of torch and ExecuTorch as subjects, beside plain calls of the same files; all of them with
`--full`, else a part that changes from commit to commit.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.docs.pages import ROOT

#: Called wrong where plain calls in torch's own process are right, each with the reason.
KNOWN = {
    "operators of torch that a fresh process does not have": {
        "nn.functional.linear_cross_entropy.chunked 0",
        "nn.functional.linear_cross_entropy.chunked_none 0",
    },
}
#: Into how many parts each suite is cut: some eight subjects each, less than a minute.
PARTS = {"operators": 80, "modules": 14, "exportdb": 4, "executorch": 57}


def today() -> str:
    """The suite and the part of it for this commit."""
    said = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    every = [f"{suite} {n + 1}/{parts}" for suite, parts in PARTS.items() for n in range(parts)]
    return every[int(said.stdout[:8], 16) % len(every) if said.returncode == 0 else 0]


WHOLE = pytest.mark.full, pytest.mark.timeout(7200)


@pytest.mark.parametrize(
    "what", [today(), *(pytest.param(f"{suite} 1/1", marks=WHOLE) for suite in PARTS)]
)
def test_no_subject_is_called_what_plain_calls_do_not_call_it(what, tmp_path):
    from benchmarks.opdb.rows import kind

    suite, part = what.split()
    if suite == "executorch":
        pytest.importorskip("executorch")
    results = tmp_path / "results.jsonl"
    command = [sys.executable, "-m", "benchmarks.opdb", "--suite", suite, "--samples", "1"]
    done = subprocess.run(
        [*command, "--part", part, "--results", str(results)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in results.read_text().splitlines()]
    assert len({row["subject"] for row in rows}) >= 6
    known = set.union(*KNOWN.values())
    wrong = [row for row in rows if kind(row).startswith("false") and row["subject"] not in known]
    assert not wrong, wrong
