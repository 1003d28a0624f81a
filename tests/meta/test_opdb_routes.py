"""torch's operators as subjects, beside plain calls of the same files; all of them with `--full`, else
a part that changes from commit to commit.
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
PARTS = 40


def today() -> str:
    """The part for this commit."""
    said = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    number = int(said.stdout[:8], 16) % PARTS if said.returncode == 0 else 0
    return f"{number + 1}/{PARTS}"


@pytest.mark.parametrize("part", [today(), pytest.param("1/1", marks=pytest.mark.full)])
def test_no_operator_is_called_what_plain_calls_do_not_call_it(part, tmp_path):
    from benchmarks.opdb import kind

    results = tmp_path / "results.jsonl"
    command = [sys.executable, "-m", "benchmarks.opdb", "--samples", "1", "--part", part]
    done = subprocess.run(
        [*command, "--results", str(results)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in results.read_text().splitlines()]
    assert len({row["subject"] for row in rows}) >= 10
    known = set.union(*KNOWN.values())
    wrong = [row for row in rows if kind(row).startswith("false") and row["subject"] not in known]
    assert not wrong, wrong
