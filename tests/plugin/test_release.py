"""Releases, reports and the gate, from pytest to the decision."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_modelport.cli.main import main
from pytest_modelport.core.report import sealed

SUITE = """
import pytest, torch
from torch import nn

@pytest.mark.portable(targets=["torchscript", "torch_export"])
def test_sound(modelport):
    torch.manual_seed(0)
    modelport(nn.Linear(4, 2), torch.ones(3, 4))
"""
BROKEN = """
class Branch(nn.Module):
    def forward(self, x):
        return x * 2 if x.sum() > 0 else x - 1

@pytest.mark.portable(targets=["torchscript"])
def test_broken(modelport):
    modelport(Branch(), torch.ones(3), samples=[torch.full((3,), -2.0)])
"""


@pytest.fixture
def run(run, pytester, monkeypatch):
    """As `run`, in a folder that commands find releases in."""
    monkeypatch.chdir(pytester.path)
    return run


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A release of the sound suite, made once."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "test_it.py").write_text(SUITE)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--modelport-release=first",
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert "2 passed" in done.stdout, done.stdout + done.stderr
    return folder / "first"


@pytest.fixture
def released(made, pytester, monkeypatch):
    """A copy of that release, in the folder of the test."""
    monkeypatch.chdir(pytester.path)
    return Path(shutil.copytree(made, pytester.path / "first"))


def test_a_release_is_complete_and_says_of_what(released, capsys):
    assert main(["release", "verify", "first"]) == 0
    assert "4 files are those that were verified" in capsys.readouterr().out
    document = json.loads((released / "release.json").read_text())
    assert set(document["files"]) == {
        f"test_it.py__test_sound/{route}/{name}"
        for route, name in (
            ("torchscript-cpu", "model.pt"),
            ("torchscript-cpu", "manifest.json"),
            ("torch_export-cpu", "model.pt2"),
            ("torch_export-cpu", "manifest.json"),
        )
    }
    manifest = json.loads(
        (released / "test_it.py__test_sound/torchscript-cpu/manifest.json").read_text()
    )
    assert manifest["subject"]["class"] == "torch.nn.modules.linear.Linear"
    assert re.fullmatch(r"[0-9a-f]{32}", manifest["subject"]["weights"])
    assert main(["release", "show", "first"]) == 0
    assert "passed       test_it.py::test_sound torchscript-cpu" in capsys.readouterr().out
    assert main(["gate", "first"]) == 0


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda folder: flip(folder / "test_it.py__test_sound/torchscript-cpu/model.pt"),
            "is not the file that was verified",
        ),
        (
            lambda folder: (folder / "test_it.py__test_sound/torchscript-cpu/model.pt").unlink(),
            "is missing",
        ),
        (
            lambda folder: (folder / "test_it.py__test_sound/further.bin").write_text("x"),
            "further.bin was added",
        ),
        (lambda folder: (folder / "link").symlink_to(folder / "release.json"), "link is a link"),
    ],
    ids=["flipped", "missing", "added", "linked"],
)
def test_a_release_that_was_changed_is_red(released, change, said, capsys):
    change(released)
    assert main(["release", "verify", "first"]) == 1
    assert said in capsys.readouterr().out
    assert main(["gate", "first"]) == 1


def test_a_release_whose_report_was_edited_is_no_release(released, capsys):
    path = released / "release.json"
    path.write_text(path.read_text().replace("torchscript-cpu", "torchscript-cuda"))
    assert main(["release", "verify", "first"]) == 2
    assert "was edited" in capsys.readouterr().err
    assert main(["gate", "first"]) == 2


def test_what_is_not_green_is_in_the_report_and_not_among_the_files(run, pytester, capsys):
    run(SUITE + BROKEN, "--modelport-release=first").assert_outcomes(passed=2, failed=1)
    assert not list(pytester.path.glob("first/*broken*"))
    assert main(["release", "verify", "first"]) == 0
    assert main(["gate", "first"]) == 1
    assert (
        "! regressed   test_it.py::test_broken torchscript-cpu is failed" in capsys.readouterr().out
    )


def test_a_release_by_xdists_workers_is_the_same(run, pytester, released):
    pytest.importorskip("xdist")
    run(SUITE, "--modelport-release=second", "-n2", inline=False).assert_outcomes(passed=2)
    assert main(["release", "verify", "second"]) == 0
    one, two = (
        json.loads((pytester.path / name / "release.json").read_text())
        for name in ("first", "second")
    )
    assert one["files"].keys() == two["files"].keys()


def test_a_target_that_disappears_is_red(run, released, capsys):
    run(
        SUITE.replace(', "torch_export"', ""),
        "--modelport-release=second",
        "--modelport-baseline=first",
    ).assert_outcomes(passed=1)
    assert main(["gate", "second"]) == 0
    assert main(["gate", "second", "--baseline", "first"]) == 1
    assert (
        "! missing     test_it.py::test_sound torch_export-cpu was in the last release and is missing"
        in capsys.readouterr().out
    )


def test_a_run_that_is_interrupted_leaves_no_release(run, pytester):
    body = SUITE + "\ndef test_stop():\n    raise KeyboardInterrupt\n"
    run(body, "--modelport-release=first", inline=False)
    assert not (pytester.path / "first").exists()
    assert not (pytester.path / ".first.partial").exists()


def test_a_run_that_ends_at_its_first_failure_makes_no_release(run, pytester):
    body = SUITE + BROKEN + SUITE.replace("test_sound", "test_later")
    run(body, "--modelport-release=first", "-x").assert_outcomes(passed=2, failed=1)
    assert not (pytester.path / "first").exists()


def test_what_ships_is_the_file_that_was_changed_last(run, pytester):
    import onnx

    body = SUITE.replace(
        'targets=["torchscript", "torch_export"]', 'targets=["onnx"], transforms=["ort_fp16"]'
    )
    run(body, "--modelport-release=first").assert_outcomes(passed=1)
    [folder] = pytester.path.glob("first/*/*")
    stored = onnx.load(folder / "model.onnx").graph.initializer
    assert {tensor.data_type for tensor in stored} == {onnx.TensorProto.FLOAT16}
    assert json.loads((folder / "manifest.json").read_text())["transforms"] == ["ort_fp16"]


def test_tests_whose_names_are_alike_keep_their_own_files(run, pytester, capsys):
    body = """
import pytest, torch
from torch import nn

@pytest.mark.parametrize("size", [2, 3, 4, 5], ids=["org/a", "org_a", "b", "b-" + 300 * "x"])
@pytest.mark.portable(targets=["torchscript"])
def test_net(modelport, size):
    modelport(nn.Linear(size, size), torch.ones(1, size))
"""
    run(body, "--modelport-release=first").assert_outcomes(passed=4)
    assert len({path.read_bytes() for path in pytester.path.glob("first/*/*/model.pt")}) == 4
    assert main(["release", "verify", "first"]) == 0


def test_a_release_is_written_where_the_run_began(run, pytester, capsys):
    body = SUITE.replace(
        "def test_sound(modelport):",
        "def test_sound(modelport, tmp_path, monkeypatch):\n    monkeypatch.chdir(tmp_path)",
    )
    run(body, "--modelport-release=first", "--modelport-report=first.json").assert_outcomes(
        passed=2
    )
    assert len(list(pytester.path.glob("first/*/*/manifest.json"))) == 2
    assert (pytester.path / "first.json").exists()


def test_a_green_route_without_its_file_is_told(released, capsys):
    shutil.rmtree(released / "test_it.py__test_sound/torchscript-cpu")
    document = json.loads((released / "release.json").read_text())
    files = {name: row for name, row in document["files"].items() if "torchscript" not in name}
    body = {key: value for key, value in document.items() if key != "sha256"} | {"files": files}
    (released / "release.json").write_text(json.dumps(sealed(body)))
    assert main(["release", "verify", "first"]) == 1
    assert "torchscript-cpu is missing, and its route passed" in capsys.readouterr().out


@pytest.mark.parametrize("workers", [(), ("-n2",)])
def test_tests_that_nobody_heard_of_are_not_green(run, pytester, capsys, workers):
    pytester.makepyfile(
        test_skipped="import pytest\nportable = pytest.importorskip('surely_not_here')"
    )
    pytester.makepyfile(test_broken="import surely_not_here  # modelport")
    package = pytester.mkpydir("package")
    (package / "__init__.py").write_text(
        "import pytest\npytest.skip('not here', allow_module_level=True)"
    )
    (package / "test_inside.py").write_text(SUITE)
    pytester.makepyfile(test_unrelated="import pytest\npytest.importorskip('surely_not_here')")
    pytester.makepyfile(test_sound=SUITE)
    options = ("--modelport-report=all.json", "--continue-on-collection-errors", *workers)
    pytester.runpytest_subprocess("-p", "no:cacheprovider", *options)
    assert main(["gate", "all.json"]) == 1
    out = capsys.readouterr().out
    assert "its tests could not be collected" in out
    assert "the whole file is skipped: could not import 'surely_not_here'" in out
    assert "the whole file is skipped: not here" in out
    assert "test_unrelated" not in out


def test_a_test_whose_worker_died_is_not_green(run, pytester, capsys):
    pytest.importorskip("xdist")
    body = (
        SUITE
        + """
@pytest.mark.portable(targets=["torchscript"])
def test_dies(modelport):
    import os
    os._exit(3)
"""
    )
    run(body, "--modelport-report=all.json", "-n2", inline=False)
    assert main(["gate", "all.json"]) == 1
    assert "test_dies" in capsys.readouterr().out


def test_a_report_of_a_run_that_was_cut_short_is_red(run, pytester, capsys):
    body = SUITE + "\ndef test_other():\n    assert False\n" + BROKEN
    run(body, "--modelport-report=all.json", "-x")
    assert main(["gate", "all.json"]) == 1
    assert "the run ended early" in capsys.readouterr().out


def test_what_fails_as_expected_around_a_green_port_is_not_proven(run, pytester, capsys):
    body = (
        SUITE
        + """
@pytest.mark.xfail(strict=True, reason="known")
@pytest.mark.portable(targets=["onnx"])
def test_expected(modelport):
    modelport(nn.ReLU(), torch.ones(3))
    assert False

@pytest.mark.xfail(run=False, reason="not now")
@pytest.mark.portable(targets=["onnx"])
def test_not_run(modelport): pass
"""
    )
    run(body, "--modelport-report=all.json")
    verdicts = json.loads((pytester.path / "all.json").read_text())["verdicts"]
    assert {one["subject"]: one["outcome"] for one in verdicts} == {
        "test_sound": "passed",
        "test_expected": "error",
        "test_not_run": "error",
    }
    assert main(["gate", "all.json"]) == 3
    assert "test_not_run onnx-cpu is error, and was never asked: " in capsys.readouterr().out
    (pytester.path / "pyproject.toml").write_text('[tool.modelport.gate]\nrequire = ["onnx"]\n')
    assert main(["gate", "all.json", "--write", "page.html"]) == 1
    assert "<title>Modelport: not passed" in (pytester.path / "page.html").read_text()
    assert main(["gate", "all.json", "--write", "badge.svg"]) == 1
    assert "#b3261e" in (pytester.path / "badge.svg").read_text()
    assert main(["gate", "all.json", "--write", "nowhere/page.html"]) == 2


def test_words_that_no_encoding_has_do_not_lose_the_report(run, pytester):
    body = (
        SUITE
        + """
@pytest.mark.portable(targets=["torchscript"])
def test_odd(modelport):
    raise ValueError("\\udcff")
"""
    )
    run(body, "--modelport-report=all.html", "--modelport-report=all.json")
    verdicts = json.loads((pytester.path / "all.json").read_text())["verdicts"]
    assert {one["subject"] for one in verdicts} == {"test_sound", "test_odd"}
    assert (pytester.path / "all.html").exists()


def test_a_report_of_a_former_run_is_not_taken_for_this_ones(run, pytester):
    run(SUITE, "--modelport-report=all.json")
    assert (pytester.path / "all.json").exists()
    assert run(SUITE, "--modelport-report=all.json", "no_such_file.py", inline=False).ret == 4
    assert main(["gate", "all.json"]) == 1


def test_two_runs_do_not_write_one_release(run, pytester):
    from filelock import FileLock

    with FileLock(pytester.path / ".first.partial.lock"):
        refused = run(SUITE, "--modelport-release=first")
    refused.stderr.fnmatch_lines(["ERROR: --modelport-release: another run is writing first"])
    run(SUITE, "--modelport-release=first").assert_outcomes(passed=2)
    assert sorted(path.name for path in pytester.path.iterdir() if "first" in path.name) == [
        "first"
    ]


def test_what_a_killed_run_left_is_not_in_the_next_release(run, pytester):
    left = pytester.path / ".first.partial"
    left.mkdir()
    (left / "old").write_text("x")
    run(SUITE, "--modelport-release=first").assert_outcomes(passed=2)
    assert main(["release", "verify", "first"]) == 0
    assert not (pytester.path / "first/old").exists()


def test_reports_in_every_form(run, pytester):
    names = ["report.json", "out/report.html", "report.md", "badge.svg"]
    run(SUITE + BROKEN, *(f"--modelport-report={name}" for name in names), "--junit-xml=junit.xml")
    report = json.loads((pytester.path / "report.json").read_text())
    assert (report["passed"], len(report["verdicts"])) == (False, 5)
    page = (pytester.path / "out/report.html").read_text()
    assert "not passed" in page
    assert "test_broken" in page
    assert "http" not in page.replace("http://www.w3.org", "")
    assert "🔴 failed | `test_it.py test_broken`" in (pytester.path / "report.md").read_text()
    assert "2 of 3 routes" in (pytester.path / "badge.svg").read_text()
    assert 'name="modelport.parity" value="failed: ' in (pytester.path / "junit.xml").read_text()


def test_on_github_the_run_is_summarised_and_failures_annotated(run, pytester, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(pytester.path / "summary.md"))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    result = run(SUITE + BROKEN)
    assert "3 routes: 2 passed, 1 failed" in (pytester.path / "summary.md").read_text()
    result.stdout.fnmatch_lines(
        ["::error file=test_it.py,title=test_broken torchscript-cpu failed::*"]
    )


THREE = (
    SUITE
    + """
@pytest.mark.portable(targets=["torchscript"])
def test_second(modelport):
    modelport(nn.ReLU(), torch.ones(3, 4))

@pytest.mark.portable(targets=["torchscript"])
def test_third(modelport):
    modelport(nn.Tanh(), torch.ones(3, 4))
"""
)


def test_parts_of_a_run_are_merged_in_any_order_and_a_missing_one_is_red(run, pytester, capsys):
    for part, (passed, left) in enumerate([(1, 3), (2, 2), (1, 3)], 1):
        options = f"--modelport-report={part}.json", f"--modelport-shard={part}/3"
        run(THREE, *options).assert_outcomes(passed=passed, deselected=left)
    assert main(["gate", "1.json"]) == 1
    assert "this report is part 1 of 3" in capsys.readouterr().out
    assert main(["merge", "all.json", "1.json", "2.json", "3.json"]) == 0
    assert main(["merge", "other.json", "3.json", "1.json", "2.json"]) == 0
    assert (pytester.path / "all.json").read_text() == (pytester.path / "other.json").read_text()
    assert main(["gate", "all.json"]) == 0
    assert main(["merge", "some.json", "1.json", "3.json"]) == 1
    assert main(["gate", "some.json"]) == 1
    assert "part 2 of 3 of the run is missing" in capsys.readouterr().out
    assert main(["merge", "twice.json", "1.json", "1.json"]) == 2


def test_a_part_that_no_model_is_left_for_is_no_fault(run):
    for part in (1, 2):
        options = f"--modelport-report={part}.json", f"--modelport-shard={part}/2"
        assert run(SUITE, *options).ret == 0
    assert main(["merge", "all.json", "1.json", "2.json"]) == 0
    assert main(["gate", "all.json"]) == 0


@pytest.mark.parametrize(
    "options", [("-k", "torch_export"), ("--targets=torch_export",), ("--deselect=test_it.py",)]
)
def test_what_a_run_leaves_out_is_not_known(run, options, capsys):
    run(SUITE, "--modelport-report=part.json", "--modelport-report=part.md", *options)
    assert main(["gate", "part.json", "--write", "page.html"]) == 3
    assert "test_sound torchscript-cpu" in capsys.readouterr().out
    assert "more left out of the run" in Path("part.md").read_text()
    assert "more were left out of the run" in Path("page.html").read_text()


def test_a_file_that_a_conftest_leaves_out_is_not_known(run, pytester, capsys):
    (pytester.path / "test_other.py").write_text(SUITE)
    run(SUITE, "--modelport-report=r.json", conftest='collect_ignore = ["test_other.py"]')
    assert main(["gate", "r.json"]) == 3
    assert "test_other.py::the whole file" in capsys.readouterr().out


def test_a_run_that_says_it_ended_well_and_left_tests_unasked_is_red(run, pytester):
    body = (
        SUITE
        + """
@pytest.mark.portable(targets=["torchscript"])
def test_end(modelport):
    pytest.exit("enough", returncode=0)

@pytest.mark.portable(targets=["torchscript"])
def test_later(modelport):
    modelport(nn.ReLU(), torch.ones(3))
"""
    )
    result = run(body, "--modelport-report=r.json", inline=False)
    assert result.ret == 1
    assert main(["gate", "r.json"]) == 1
    said = (pytester.path / "r.json").read_text()
    assert "torchscript-cpu was selected and never asked: it has no verdict" in said


def test_a_report_of_a_former_run_is_gone_when_this_one_does_not_begin(run, pytester):
    run(SUITE, "--modelport-report=r.json").assert_outcomes(passed=2)
    result = run(SUITE, "--modelport-report=r.json", "--no-such-option", inline=False)
    assert result.ret == 4
    assert not (pytester.path / "r.json").exists()


def test_a_damaged_baseline_is_not_compared_with(run, made, pytester, capsys):
    shutil.copytree(made, pytester.path / "old")
    assert main(["gate", str(made), "--baseline", "old"]) == 0
    next((pytester.path / "old").rglob("model.pt")).write_bytes(b"")
    assert main(["gate", str(made), "--baseline", "old"]) == 1
    assert "is not the file that was verified" in capsys.readouterr().out


def test_a_nearer_pyproject_does_not_hide_the_policy(run, made, pytester, monkeypatch):
    inner = pytester.path / "inner"
    inner.mkdir()
    (pytester.path / "pyproject.toml").write_text('[tool.modelport.gate]\nrequire = ["onnx"]\n')
    (inner / "pyproject.toml").write_text(
        '[tool.modelport.environments]\nold = ["onnxruntime==1.20.1"]\n'
    )
    monkeypatch.chdir(inner)
    assert main(["gate", str(made)]) == 1


def test_tests_that_fail_or_are_skipped_around_their_ports_are_in_the_report(run, pytester):
    body = (
        SUITE
        + BROKEN
        + """
@pytest.fixture
def data():
    raise OSError("no data")

@pytest.mark.portable(targets=["torchscript"])
def test_fixture(modelport, data): pass

@pytest.mark.portable(targets=["torchscript"])
def test_assertion(modelport):
    modelport(nn.ReLU(), torch.ones(3))
    assert False, "not so"

@pytest.mark.skip("later")
@pytest.mark.portable(targets=["torchscript"])
def test_skipped(modelport): pass

@pytest.mark.portable(targets=["torchscript"])
def test_half(modelport):
    modelport(nn.ReLU(), torch.ones(3))
    pytest.skip("the rest is for later")

@pytest.mark.xfail(strict=True, reason="known")
@pytest.mark.portable(targets=["torchscript"])
def test_expected(modelport):
    modelport(Branch(), torch.ones(3), samples=[torch.full((3,), -2.0)])
"""
    )
    run(body, "--modelport-report=report.json")
    verdicts = json.loads((pytester.path / "report.json").read_text())["verdicts"]
    said = {one["subject"]: one["reason"] for one in verdicts if one["outcome"] != "passed"}
    assert said["test_fixture"] == "the test itself fails in setup: OSError: no data"
    assert said["test_assertion"].startswith(
        "the test itself fails in call: AssertionError: not so"
    )
    assert said["test_skipped"] == "the test is skipped: later"
    assert said["test_half"] == "the test is skipped: the rest is for later"
    assert [one["evidence"]["xfail"] for one in verdicts if one["subject"] == "test_expected"] == [
        "known"
    ]


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (
            "--modelport-report=report.txt",
            "report report.txt ends in .txt: known are .json, .html, .md, .svg",
        ),
        ("--modelport-shard=5/4", "--modelport-shard is '5/4': give part and number of parts, 2/4"),
    ],
)
def test_options_that_make_no_sense_are_refused(run, option, said):
    run(SUITE, option).stderr.fnmatch_lines([f"ERROR: *{said}*"])


def test_a_report_that_cannot_be_written_is_no_success(run, pytester):
    (pytester.path / "taken").write_text("")
    result = run(SUITE, "--modelport-report=taken/report.json")
    assert result.ret != 0
    assert "cannot write" in result.stdout.str() + result.stderr.str()


def test_a_run_without_portable_tests_is_a_red_report_and_no_release(run, pytester, capsys):
    run(
        "def test_plain(): pass", "--modelport-report=report.json", "--modelport-release=first"
    ).assert_outcomes(passed=1)
    assert main(["gate", "report.json"]) == 1
    assert "the report has no routes: nothing was proven" in capsys.readouterr().out
    assert not (pytester.path / "first").exists()
