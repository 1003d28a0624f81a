"""What a run holds: nothing of a subject whose routes are over, and what the policy says of failures."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pytest_modelport.plugin.lifetimes import AT_ONCE
from tests.plugin.test_run import FAILING, text

#: Each item writes how many models live, how many descriptors lead into the run's folder, and how
#: many folders are there, before it adds its own.
COUNTING = """
import gc, os, pathlib, weakref
MODELS = []
gc.disable()  # no cycle may hold a subject until it is collected
def held(factory):
    base = factory.getbasetemp()
    links = [os.readlink(file) for file in pathlib.Path("/proc/self/fd").iterdir() if file.is_symlink()]
    folders = [file for file in base.glob("modelport*/*") if file.is_dir() and "cleanroom" not in file.name]
    return [sum(model() is not None for model in MODELS), sum(str(base) in link for link in links), len(folders)]
@portable("torchscript", "torch_export")
@pytest.mark.parametrize("n", range(COUNT))
def test_net(modelport, n, tmp_path_factory):
    if len(MODELS) in (1, 2):
        gc.collect()  # what torch imports for the first model refers to itself, and to our frames
    before = held(tmp_path_factory)
    model = Net().eval()
    MODELS.append(weakref.ref(model))
    with open("HERE/held.txt", "a") as file:
        print(n, os.getpid(), *before, file=file)
    modelport(model, torch.randn(2, 3), dynamic_shapes={0: "batch"}, examples=3)
def teardown_module():
    gc.enable()
"""


def held(pytester: pytest.Pytester) -> list[list[int]]:
    """What each item found, in order: number, process, models, descriptors, folders."""
    lines = (pytester.path / "held.txt").read_text().splitlines()
    return [list(map(int, line.split())) for line in lines]


def counting(pytester: pytest.Pytester, count: int) -> str:
    return COUNTING.replace("COUNT", str(count)).replace("HERE", str(pytester.path))


def test_nothing_of_a_subject_outlives_its_last_route(run, pytester):
    run(counting(pytester, 4)).assert_outcomes(passed=8)
    rows = [row[2:] for row in held(pytester)]
    assert rows[2] == rows[4] == rows[6] == [0, 0, 0]
    assert all(row[0] and row[2] for row in rows[1::2]), "two routes share what the first made"


def test_the_last_route_is_known_in_any_order(run, pytester):
    result = run(
        counting(pytester, AT_ONCE + 3),
        conftest="def pytest_collection_modifyitems(items): items.sort(key=lambda item: item.name[-14:])",
    )
    result.assert_outcomes(passed=2 * (AT_ONCE + 3))
    numbers = [row[0] for row in held(pytester)]
    assert numbers[: AT_ONCE + 3] == [*range(AT_ONCE + 3)], "all of one route first"
    models = [row[2] for row in held(pytester)]
    assert max(models) <= AT_ONCE
    assert models[-1] < AT_ONCE


def test_the_processes_of_xdist_hold_no_more(run, pytester):
    run(counting(pytester, 4), "-n", "2", inline=False).assert_outcomes(passed=8)
    rows = held(pytester)
    assert len({row[1] for row in rows}) == 2
    assert max(row[2] for row in rows) <= 1


def test_a_turn_at_the_end_finds_what_was_made(pytester, run):
    """An item that is put off is not over."""
    conftest = """
from pytest_modelport.plugin import second_turn
def put_off(item, verdicts):
    if item.stash.get(second_turn.TURN, True) is False:
        item.stash[second_turn.TURN] = True
        import pytest
        pytest.skip("busy")
second_turn.put_off = put_off
"""
    body = counting(pytester, 2).replace(', "torch_export"', "") + "def test_last(): ...\n"
    run(body, conftest=conftest, inline=False).assert_outcomes(passed=3)
    rows = held(pytester)
    assert [row[0] for row in rows] == [0, 1, 0, 1]
    assert [row[4] > 0 for row in rows] == [False, True, True, True]


@pytest.mark.parametrize(
    ("ini", "kept"),
    [
        ("modelport_keep = failed", True),
        ("modelport_keep = all", True),
        ("modelport_keep = none", False),
        ("tmp_path_retention_policy = none", False),
        ("tmp_path_retention_count = 0", False),
    ],
)
def test_what_a_failure_names_is_there_or_is_not_named(run, ini, kept):
    result = run(FAILING, ini=ini)
    named = re.search(r"artifact +(/\S+)", text(result))
    assert (named is not None) == kept
    assert named is None or Path(named.group(1)).is_dir()


def test_all_folders_may_be_kept(run, tmp_path):
    body = "@portable('torchscript')\ndef test_net(modelport): modelport(Net().eval(), torch.randn(2, 3))"
    for keep, names in (("failed", set()), ("all", {"model.pt"})):
        base = tmp_path / keep
        run(body, f"--basetemp={base}", ini=f"modelport_keep = {keep}").assert_outcomes(passed=1)
        assert {file.name for file in base.rglob("*.pt")} == names


def test_a_policy_that_is_none_is_refused(run):
    result = run("def test_plain(): ...", ini="modelport_keep = always")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "modelport_keep is 'always': give failed, all or none" in "\n".join(result.errlines)
