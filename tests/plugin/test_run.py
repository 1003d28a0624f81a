"""What a run of portable tests reports."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.plugin.conftest import HEADER
from tests.processes import alive, children, gone

PASSING = """
@portable("torchscript", "torch_export")
def test_net(modelport):
    modelport(Net().eval(), torch.randn(2, 3), samples=[torch.randn(2, 3)])
"""
FAILING = """
@portable("torchscript")
def test_branch(modelport):
    modelport(Branch(), torch.ones(3), samples=[-3 * torch.ones(3)])
"""


def text(result: pytest.RunResult) -> str:
    return "\n".join(result.outlines)


def flat(result: pytest.RunResult) -> str:
    """The output without line breaks."""
    return " ".join(text(result).split())


def test_a_healthy_model_passes_and_the_matrix_says_so(run):
    result = run(PASSING)
    result.assert_outcomes(passed=2)
    assert re.search(r"test_net\n +torchscript-cpu +passed +\d\.\d\d +\d+\.\d s", text(result))
    assert "2 routes: 2 passed" in text(result)


def test_a_wrong_port_fails_with_the_fact_first_and_no_traceback(run):
    result = run(FAILING)
    result.assert_outcomes(failed=1)
    block = (
        text(result)
        .partition("test_branch[torchscript-cpu] ___")[2]
        .partition("=====")[0]
        .splitlines()[1:]
    )
    block = [line for line in block if line.strip()]
    assert block[0].startswith("'output' at samples[0] is wrong: error is ")
    assert len(block) <= 25
    body = " ".join("\n".join(block).split())
    for part in (
        "torchscript-cpu: parity failed at compare",
        "exported model -6, model -4; off by 2",
        "noise",
        "it would pass at",
        "in Branch, ",
        "test_it.py:",
        "calls args passed, args again passed, samples[0] failed",
        "Converting a tensor to a Python boolean",
        "torch 2.",
        "artifact /",
        "rerun pytest 'test_it.py::test_branch[torchscript-cpu]'",
    ):
        assert part in body, body
    assert "Traceback" not in body
    assert "fixture.py" not in body


def test_the_artifact_of_a_failure_is_kept_and_that_of_a_success_is_not(run, pytester):
    result = run(PASSING + FAILING)
    folder = Path(re.search(r"artifact +(/\S+)", text(result)).group(1))
    assert (folder / "manifest.json").exists()
    assert list(folder.parent.iterdir()) == [folder]


def test_the_rerun_line_reruns_just_that_route(run, pytester):
    result = run(PASSING + FAILING)
    line = re.search(r"rerun +pytest '(.+)'", text(result)).group(1)
    again = pytester.runpytest_inprocess(line)
    again.assert_outcomes(failed=1)


def test_an_export_that_is_refused_names_the_line(run):
    result = run(
        "@portable('torch_export')\ndef test_branch(modelport): modelport(Branch(), torch.ones(3))"
    )
    result.assert_outcomes(failed=1)
    assert "torch_export-cpu: parity unsupported at export" in text(result)
    assert "module     Branch" in text(result)
    assert re.search(
        r"source .*test_it.py:\d+: return x \* 2 if x.sum\(\) > 0 else x - 1", flat(result)
    )
    assert "Traceback" in Path(re.search(r"log +(/\S+\.log)", text(result)).group(1)).read_text()


def test_xfail_is_per_route(run):
    result = run("""
@pytest.mark.portable(targets=["state_dict", pytest.param("torchscript", marks=pytest.mark.xfail(strict=True))])
def test_branch(modelport):
    modelport(Branch(), torch.ones(3))
@pytest.mark.portable(targets=[pytest.param("torchscript", marks=pytest.mark.xfail(strict=True))])
def test_net(modelport):
    modelport(Net().eval(), torch.ones(1, 3))
""")
    result.assert_outcomes(passed=1, xfailed=1, failed=1)
    assert "XPASS(strict)" in text(result)


def test_a_test_that_never_asks_fails(run):
    result = run("@portable('torchscript')\ndef test_net(modelport): pass")
    result.assert_outcomes(failed=1)
    assert "the test never called modelport(model, ...): nothing was proven" in text(result)


def test_a_test_may_skip_itself(run):
    run(
        "@portable('torchscript')\ndef test_net(modelport): pytest.skip('not today')"
    ).assert_outcomes(skipped=1)


def test_several_subjects_in_one_test_are_rows_of_their_own(run):
    result = run("""
@portable("torchscript")
def test_two(modelport):
    report = modelport(Net().eval(), torch.ones(1, 3))
    assert report.passed and modelport.route.id == "torchscript-cpu"
    modelport(Branch(), torch.ones(3), samples=[-3 * torch.ones(3)])
""")
    result.assert_outcomes(failed=1)
    assert re.search(r"test_two\n +torchscript-cpu +passed", text(result))
    assert re.search(r"test_two #2\n +torchscript-cpu +failed", text(result))


@pytest.mark.parametrize(
    "setting",
    ["policy=failed", "policy=none", "policy=all", "count=0"],
)
def test_what_pytest_keeps_of_a_run_does_not_end_it(run, setting):
    """pytest removes the folder of the run before we do."""
    result = run(PASSING, "-o", f"tmp_path_retention_{setting}")
    result.assert_outcomes(passed=2)
    assert result.ret == 0, text(result)
    assert "Traceback" not in "\n".join([*result.outlines, *result.errlines])


FILES = """
@portable("torchscript", "torchscript_script")
def test_files(modelport, tmp_path):
    net, x = Net().eval(), torch.ones(1, 3)
    torch.jit.save(torch.jit.trace(net, x), tmp_path / "traced.pt")
    torch.jit.save(torch.jit.script(net), tmp_path / "scripted.pt")
    files = {"torchscript": "traced.pt", "torchscript_script": "scripted.pt"}
    modelport(net, x, artifact={target: tmp_path / name for target, name in files.items()})
"""


def test_each_target_has_a_file_of_its_own(run):
    run(FILES).assert_outcomes(passed=2)
    result = run(FILES.replace('"torchscript_script": "s', '"onnx": "s'))
    result.assert_outcomes(failed=2)
    assert "unknown target of artifact 'onnx'" in text(result)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("modelport(Net(), (torch.ones(1, 3), torch.ones(1)))", "inputs do not fit Net.forward(x): too many positional arguments"),
        ("modelport(Net(), torch.ones(1, 4))", "the model itself rejects args: RuntimeError: mat1 and mat2 shapes"),
        ("modelport(Net(), torch.ones(1, 3), samples=[torch.ones(1, 5)])", "the model itself rejects samples[0]"),
        ("modelport(3, torch.ones(1))", "the model is a int: give a torch.nn.Module"),
        ("modelport(Net(), torch.ones(1, 3), dynamic_shapes={'y': {0: 'b'}})", "unknown input in dynamic_shapes 'y': known: x"),
        ("modelport(Net(), torch.ones(1, 3), artifact='gone.pt')", "no artifact at gone.pt"),
        ("modelport(Net(), torch.ones(1, 3), rtol=1e-3)", "rtol without atol"),
        ("modelport(Net(), torch.ones(1, 3), samples=torch.ones(1, 3).numpy)", "samples is a"),
        ("modelport(nn.Identity(), torch.ones(0, 3))", "nothing was compared: every input is empty"),
    ],
)  # fmt: skip
def test_bad_input_is_an_error_in_one_line(run, body, message):
    result = run(f"@portable('torchscript')\ndef test_net(modelport): {body}", "--modelport-strict")
    result.assert_outcomes(failed=1)
    assert message in text(result), text(result)
    assert "Traceback" not in text(result)


def test_a_missing_package_skips_with_the_install_line_and_fails_under_strict(run, monkeypatch):
    from pytest_modelport.backends import requirements

    monkeypatch.setattr(
        requirements,
        "missing",
        lambda requires: ("onnxruntime>=1.20",) if "onnxruntime" in requires else (),
    )
    body = "@portable('onnx')\ndef test_net(modelport): modelport(Net(), torch.ones(1, 3))"
    result = run(body, "-rs")
    result.assert_outcomes(skipped=1)
    said = "not installed: onnxruntime>=1.20; pip install 'pytest-modelport[onnx]'"
    assert said in flat(result)
    assert f"skipped 1: {said}" in flat(result)
    run(body, "--modelport-strict").assert_outcomes(failed=1)


def test_a_device_that_is_not_there_is_a_skip_that_names_it(run):
    result = run(
        "@portable('torchscript', devices=['cuda'])\ndef test_net(modelport): modelport(Net(), torch.ones(1, 3))",
        "-rs",
    )
    result.assert_outcomes(skipped=1)
    assert "no cuda device: torch" in text(result)


TRACED = """
SEEN = []

class Seen(nn.Module):
    def forward(self, x):
        SEEN.append(torch.jit.is_tracing())
        return x * 2

@portable("torchscript", "onnx")
def test_net(modelport):
    modelport(Seen(), torch.ones(3))
    print("traced here:", any(SEEN))
"""


@pytest.mark.parametrize(("options", "here"), [((), False), (("--modelport-in-process",), True)])
def test_exports_run_here_only_for_a_debugger(run, options, here):
    result = run(TRACED, "-s", *options)
    result.assert_outcomes(passed=2)
    assert f"traced here: {here}" in text(result)


LONE = """
class Lone(nn.Module):
    def forward(self, x):
        return x * 2 if x.shape[0] > 1 else x - 1

@portable("torchscript")
def test_net(modelport):
    modelport(Lone(), torch.ones(3, 2), dynamic_shapes={0: "batch"})
"""


def test_what_is_found_off_the_example_is_replayed_from_its_line(run):
    said = flat(run(LONE))
    assert "fails when batch == 1 (passes at 2, 3, 4," in said
    assert """--modelport-replay='{"batch": 1}'""" in said
    run(LONE, '--modelport-replay={"batch": 1}').assert_outcomes(failed=1)
    run(LONE, '--modelport-replay={"batch": 2}').assert_outcomes(passed=1)
    for undecided in (
        run(LONE, "--modelport-examples=0", "-rs"),
        run(LONE, "-rs", ini="modelport_examples = 0"),
    ):
        undecided.assert_outcomes(skipped=1)
        assert "no other values than the sample's were tried: examples=0" in flat(undecided)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--modelport-examples=few", "modelport_examples is 'few': give a whole number"),
        (
            '--modelport-replay={"bach": 1}',
            "unknown factor of a recipe 'bach': did you mean 'batch'",
        ),
        ("--modelport-replay=batch=1", "recipe 'batch=1' is not JSON"),
    ],
)
def test_a_search_that_makes_no_sense_is_named(run, option, message):
    result = run(LONE, option)
    assert result.ret != 0
    assert message in flat(result) + " ".join(result.errlines)


def test_an_inconclusive_route_is_a_skip_with_the_reason_and_red_under_strict(run):
    body = """
class Order(nn.Module):
    def forward(self, x):
        return x.sort(descending=True)[1]
@portable("onnx")
def test_order(modelport):
    modelport(Order(), torch.randn(64), samples=[(torch.arange(64) % 4).float()])
"""
    result = run(body, "-rs")
    result.assert_outcomes(skipped=1)
    assert "own evaluations disagree" in flat(result)
    result = run(body, "--modelport-strict")
    result.assert_outcomes(failed=1)
    assert "own evaluations disagree" in flat(result)


SEEDS = """
import random, numpy
seen = {}
def numbers():
    return torch.randn(2).tolist(), float(numpy.random.rand()), random.random()
@pytest.fixture(scope="module")
def shared():
    return numbers()
@pytest.fixture
def own():
    return numbers()
@pytest.mark.parametrize("width", [3, 4])
@portable("torchscript", "torch_export")
def test_net(modelport, shared, own, width):
    mine = (shared, own, numbers())
    print("NUMBERS", width, mine)
    assert seen.setdefault(width, mine) == mine
    modelport(nn.Linear(width, 2), torch.randn(1, width))
def test_others_are_left_alone():
    assert torch.initial_seed() == START
START = torch.initial_seed()
"""


def test_every_route_of_a_test_sees_the_same_numbers_and_so_does_a_rerun(run, pytester):
    result = run(SEEDS, "-rP")
    result.assert_outcomes(passed=5)
    first = [line for line in result.outlines if line.startswith("NUMBERS")]
    assert len(set(first)) == 2
    one = pytester.runpytest_inprocess("-rP", "test_it.py::test_net[4-torch_export-cpu]")
    again = [line for line in one.outlines if line.startswith("NUMBERS")]
    assert again == [first[-1]]


def test_last_failed_reruns_only_the_failed_route(run, pytester):
    pytester.makepyfile(test_it=HEADER + PASSING + FAILING)
    pytester.runpytest_inprocess().assert_outcomes(passed=2, failed=1)
    pytester.runpytest_inprocess("--lf").assert_outcomes(failed=1)


def test_two_workers_lose_no_verdict(run):
    result = run(PASSING + FAILING, "-n", "2", inline=False)
    result.assert_outcomes(passed=2, failed=1)
    assert "3 routes: " in text(result)
    rows = re.findall(r"(torchscript-cpu|torch_export-cpu) +(passed|failed) ", text(result))
    assert sorted(rows) == [
        ("torch_export-cpu", "passed"),
        ("torchscript-cpu", "failed"),
        ("torchscript-cpu", "passed"),
    ]


def test_junit_has_an_entry_for_each_route(run, pytester):
    run(PASSING + FAILING, "--junit-xml=out.xml")
    names = {
        case.get("name"): case.find("failure")
        for case in ET.parse(pytester.path / "out.xml").iter("testcase")
    }
    assert set(names) == {
        "test_net[torchscript-cpu]",
        "test_net[torch_export-cpu]",
        "test_branch[torchscript-cpu]",
    }
    assert names["test_branch[torchscript-cpu]"] is not None
    assert names["test_net[torchscript-cpu]"] is None


def alone(monkeypatch):
    """The pytest inside is no worker of the one outside."""
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT"):
        monkeypatch.delenv(name, raising=False)


def test_benchmark_times_every_portable_test(run, monkeypatch):
    alone(monkeypatch)
    said = text(run(PASSING, "--benchmark"))
    assert re.search(r"torchscript-cpu: p50 is [\d.]+ ms \([\d.]+ to [\d.]+\)", said), said
    assert re.search(r"torchscript-cpu: [\d.]+x as fast as eager", said), said
    assert "p50 is" not in text(run(PASSING))


def test_laps_are_in_pytest_benchmarks_table_and_json(run, monkeypatch, pytester):
    pytest.importorskip("pytest_benchmark")
    alone(monkeypatch)
    said = text(run(PASSING, "--benchmark", "--benchmark-json=laps.json"))
    rows = json.loads((pytester.path / "laps.json").read_text())["benchmarks"]
    assert rows
    for row in rows:
        shown = re.search(rf"{re.escape(row['param'])}: p50 is ([\d.]+) ms", said)
        assert shown, said
        assert row["stats"]["median"] * 1e3 == pytest.approx(float(shown[1]), rel=0.02)
        assert row["extra_info"]["threads"] == 1
    assert "p50 is" not in text(run(PASSING, "--benchmark", "--benchmark-disable"))


BUDGETED = """
import os
@pytest.mark.portable(targets=["torchscript"], latency={"p50_ms": 1000, "max_regression": "50%"}, size={"mb": 1})
def test_budgeted(modelport):
    torch.manual_seed(0)
    layers = [nn.Linear(64, 64) for _ in range(int(os.environ.get("LAYERS", "3")))]
    modelport(nn.Sequential(*layers).eval(), torch.ones(8, 64))
"""


def test_a_release_is_what_the_next_one_is_timed_beside(run, monkeypatch, pytester):
    alone(monkeypatch)
    assert "max_regression was not measured: no last release" in text(run(BUDGETED))
    run(BUDGETED, "--modelport-baseline=none", "--modelport-release=first").assert_outcomes(
        passed=1
    )
    released = {
        path.name
        for path in pytester.path.glob("first/test_it.py__test_budgeted/torchscript-cpu/*")
    }
    assert released == {"model.pt", "manifest.json"}
    monkeypatch.setenv("LAYERS", "20")
    slower = run(BUDGETED, "--modelport-baseline=first", "--modelport-release=second")
    slower.assert_outcomes(failed=1)
    assert "as long as the last release" in text(slower)
    assert not list(pytester.path.glob("second/*/*"))  # what is not green is not released
    refused = run(BUDGETED, "--modelport-baseline=nowhere")
    refused.stderr.fnmatch_lines(
        ["ERROR: --modelport-baseline: no release in nowhere; write none for the first one"]
    )


def test_no_time_is_no_time(run):
    refused = run(PASSING, "--modelport-search-seconds=0")
    refused.stderr.fnmatch_lines(
        ["ERROR: modelport_search_seconds is 0: give a positive number of seconds"]
    )


def test_a_release_has_nothing_of_another_run(run, pytester):
    run(PASSING, "--modelport-release=first").assert_outcomes(passed=2)
    again = run(PASSING, "--modelport-release=first")
    again.stderr.fnmatch_lines(
        ["ERROR: --modelport-release: first is there already; a release goes into a new folder"]
    )


def test_what_a_test_refuses_after_its_calls_is_not_released(run, pytester):
    body = """
@portable("torchscript")
def test_it(modelport):
    modelport(nn.ReLU().eval(), torch.ones(3))
    assert False, "not this one"
"""
    run(body, "--modelport-release=first").assert_outcomes(failed=1)
    assert not list(pytester.path.glob("first/*/*"))


def test_budgets_are_asked_where_other_checks_are_named_and_skipped_where_timing_is_forbidden(
    run, monkeypatch
):
    alone(monkeypatch)
    named = BUDGETED.replace(
        'latency={"p50_ms": 1000, "max_regression": "50%"}',
        'checks=["parity"], latency={"p50_ms": 1e-6}',
    )
    said = run(named)
    assert said.parseoutcomes().get("passed", 0) == 0
    assert "test_budgeted torchscript-cpu: p50 is" in text(said)
    pytest.importorskip("pytest_benchmark")
    forbidden = run(BUDGETED, "--modelport-baseline=none", "--benchmark-disable")
    forbidden.assert_outcomes(skipped=1)
    assert "latency budgets were not measured: --benchmark-disable" in text(forbidden)


def test_a_release_that_cannot_be_written_is_red(run, monkeypatch, pytester):
    (pytester.path / "taken").write_text("a file")
    result = run(PASSING, "--modelport-release=taken/release")
    assert result.parseoutcomes().get("passed", 0) == 0
    assert "the release cannot be written: " in text(result)


@pytest.mark.parametrize(
    ("marker", "said"),
    [
        ("latency={'p95': 5}", "unknown latency budget 'p95': did you mean 'p95_ms'"),
        ("latency={'p99.9_ms': 5}", "p99.9_ms needs 4603 runs"),
        ("size={'kb': 5}", "unknown size budget 'kb'"),
        ("memory={'mb': -1}", "memory mb is -1: give a positive number"),
    ],
)
def test_budgets_that_make_no_sense_are_refused_at_collection(run, marker, said):
    result = run(
        f"@pytest.mark.portable(targets=['torchscript'], {marker})\ndef test_x(modelport): pass"
    )
    result.assert_outcomes(errors=1)
    assert said in text(result)


def test_ini_tolerances_are_defaults(run):
    body = """
class Off(nn.Module):
    def forward(self, x):
        return x * 1.001 if torch.jit.is_tracing() else x
@portable("torchscript")
def test_off(modelport): modelport(Off(), torch.ones(3))
@portable("torchscript")
def test_own(modelport): modelport(Off(), torch.ones(3), rtol=1e-5, atol=0)
"""
    run(body).assert_outcomes(failed=2)
    result = run(body, ini="modelport_rtol = 0.01\nmodelport_atol = 0")
    result.assert_outcomes(passed=1, failed=1)
    assert "given by the test: rtol 1e-05, atol 0" in text(result)


def test_an_ini_number_that_is_none_is_a_usage_error(run):
    result = run("def test_plain(): ...", ini="modelport_timeout = soon")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "modelport_timeout is 'soon': give a number" in "\n".join(result.errlines)


def test_unittest_style_classes_work(run):
    run("""
@portable("torchscript")
class TestNet:
    @pytest.fixture(autouse=True)
    def setup(self): self.net = Net().eval()
    def test_net(self, modelport): modelport(self.net, torch.ones(1, 3))
""").assert_outcomes(passed=1)


HANGING = """
import time
class Slow(nn.Module):
    def forward(self, x):
        time.sleep(60)
        return x
@portable("torchscript")
def test_slow(modelport):
    print("READY", flush=True)
    modelport(Slow(), torch.ones(3))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL, signal.SIGTERM])
def test_an_interrupted_session_leaves_nothing_behind(run, pytester, number):
    pytester.makepyfile(test_it=HEADER + HANGING)
    session = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-s", "-p", "no:cacheprovider"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=pytester.path,
    )
    for line in session.stdout:
        if "READY" in line:
            break
    started = time.monotonic()
    while len(children(session.pid)) < 2 and time.monotonic() - started < 60:
        time.sleep(0.1)  # the clean room, and the fork that runs the subject
    offspring = children(session.pid)
    assert len(offspring) == 2
    session.send_signal(number)
    rest, _ = session.communicate(timeout=30)
    if number == signal.SIGINT:
        assert "KeyboardInterrupt" in rest
    assert not alive(session.pid)
    assert all(gone(pid) for pid in offspring)


def test_a_doctest_that_fails_in_a_marked_module_fails_as_elsewhere(run):
    body = """
pytestmark = pytest.mark.portable(targets=["torchscript"])
def doubled(x):
    '''
    >>> doubled(2)
    5
    '''
    return 2 * x
def test_net(modelport): modelport(Net().eval(), torch.ones(1, 3))
"""
    result = run(body, "--doctest-modules")
    assert "INTERNALERROR" not in "\n".join([*result.outlines, *result.errlines])
    result.assert_outcomes(passed=1, failed=1)


def offspring(pid):
    """The process ids of all that a process has started, and those have."""
    return [each for child in children(pid) for each in (child, *offspring(child))]


def test_a_killed_session_with_workers_leaves_nothing_behind(run, pytester):
    """xdist's workers would go on until their test is over."""
    pytester.makepyfile(test_it=HEADER + HANGING, test_other=HEADER + HANGING)
    session = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-n", "2", "-p", "no:cacheprovider"],
        stdout=subprocess.DEVNULL,
        cwd=pytester.path,
    )
    started = time.monotonic()
    while len(offspring(session.pid)) < 6 and time.monotonic() - started < 90:
        time.sleep(0.1)  # two workers, each with a clean room and the fork that runs the subject
    started_by_it = offspring(session.pid)
    session.kill()
    session.wait()
    assert len(started_by_it) == 6
    assert all(gone(pid, seconds=2) for pid in started_by_it)


def test_a_subject_that_hangs_is_an_error_after_the_timeout(run):
    result = run(HANGING, ini="modelport_timeout = 3")
    result.assert_outcomes(failed=1)
    assert "the model itself takes more than 3 s in eager" in text(result)
