"""One route, one item; and what could prove nothing is refused when it is collected."""

from __future__ import annotations

import pytest


def ids(result: pytest.RunResult) -> list[str]:
    return [line for line in result.outlines if "::" in line]


def collect(run, body: str, *options: str, **more: str) -> list[str]:
    result = run(body, "--collect-only", "-q", *options, **more)
    assert result.ret == 0, result.outlines
    return ids(result)


def test_every_route_is_an_item_with_a_canonical_id(run):
    assert collect(
        run,
        """
@pytest.mark.portable(targets=["torch_export", "onnx", "onnx:onnxruntime", "onnx:reference"], devices=["cpu", "cuda:1"])
def test_net(modelport): ...
""",
    ) == [
        "test_it.py::test_net[torch_export-cpu]",
        "test_it.py::test_net[torch_export-cuda:1]",
        "test_it.py::test_net[onnx-cpu]",
        "test_it.py::test_net[onnx-cuda:1]",
        "test_it.py::test_net[onnx:reference-cpu]",
        "test_it.py::test_net[onnx:reference-cuda:1]",
    ]


def test_without_targets_the_default_ones_are_asked(run):
    body = "@pytest.mark.portable\ndef test_net(modelport): ..."
    assert collect(run, body) == [
        f"test_it.py::test_net[{t}-cpu]" for t in ("onnx", "torchscript", "torch_export")
    ]


def test_the_ini_file_sets_the_default_targets(run):
    body = "@pytest.mark.portable\ndef test_net(modelport): ..."
    assert collect(run, body, ini="modelport_targets = torchscript") == [
        "test_it.py::test_net[torchscript-cpu]"
    ]


def test_the_closest_marker_wins_keyword_by_keyword(run):
    assert collect(
        run,
        """
pytestmark = pytest.mark.portable(targets=["onnx", "torchscript"], devices=["cuda"])
@pytest.mark.portable(devices=["cpu"])
class TestNet:
    def test_class(self, modelport): ...
    @pytest.mark.portable(targets=["torch_export"])
    def test_method(self, modelport): ...
def test_module(modelport): ...
""",
    ) == [
        "test_it.py::TestNet::test_class[onnx-cpu]",
        "test_it.py::TestNet::test_class[torchscript-cpu]",
        "test_it.py::TestNet::test_method[torch_export-cpu]",
        "test_it.py::test_module[onnx-cuda]",
        "test_it.py::test_module[torchscript-cuda]",
    ]


def test_other_parameters_multiply(run):
    assert collect(
        run,
        """
@pytest.mark.parametrize("width", [1, 2])
@portable("onnx", "torchscript")
def test_net(modelport, width): ...
""",
    ) == [
        "test_it.py::test_net[1-onnx-cpu]",
        "test_it.py::test_net[1-torchscript-cpu]",
        "test_it.py::test_net[2-onnx-cpu]",
        "test_it.py::test_net[2-torchscript-cpu]",
    ]


def test_targets_on_the_command_line_intersect(run):
    body = "@portable('onnx', 'onnx:reference', 'torchscript')\ndef test_net(modelport): ...\ndef test_plain(): ..."
    assert collect(run, body, "--targets=torchscript,onnx:onnxruntime") == [
        "test_it.py::test_net[onnx-cpu]",
        "test_it.py::test_net[torchscript-cpu]",
        "test_it.py::test_plain",
    ]
    assert collect(run, body, "--modelport-targets", "onnx:reference") == [
        "test_it.py::test_net[onnx:reference-cpu]",
        "test_it.py::test_plain",
    ]


def test_device_replaces_the_default_device_only(run):
    body = "@portable('onnx')\ndef test_any(modelport): ...\n@portable('onnx', devices=['cpu'])\ndef test_cpu(modelport): ..."
    assert collect(run, body, "--device=cuda") == [
        "test_it.py::test_any[onnx-cuda]",
        "test_it.py::test_cpu[onnx-cpu]",
    ]
    assert collect(run, body, "--modelport-device=cuda:1")[0] == "test_it.py::test_any[onnx-cuda:1]"


def test_k_selects_routes(run):
    body = "@portable('onnx', 'torchscript')\ndef test_net(modelport): ..."
    assert collect(run, body, "-k", "torchscript") == ["test_it.py::test_net[torchscript-cpu]"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("@portable('onxx')\ndef test_net(modelport): ...", "unknown target 'onxx': did you mean 'onnx'?"),
        ("@portable()\ndef test_net(modelport): ...", "targets is empty: nothing would be proven"),
        ("@pytest.mark.portable(targets='onnx')\ndef test_net(modelport): ...", "targets is 'onnx': give a list"),
        ("@pytest.mark.portable('onnx')\ndef test_net(modelport): ...", "portable takes keywords only: write portable(targets="),
        ("@portable('onnx', target=['x'])\ndef test_net(modelport): ...", "unknown keyword of portable 'target': did you mean 'targets'"),
        ("@portable('onnx', transforms=['int9'])\ndef test_net(modelport): ...", "unknown transform 'int9'"),
        ("@portable('onnx', devices=['gpu'])\ndef test_net(modelport): ...", "unknown device 'gpu'"),
        ("@portable('onnx', checks=['party'])\ndef test_net(modelport): ...", "unknown check 'party': did you mean 'parity'"),
        ("@portable('onnx')\ndef test_net(): ...", "must take the argument 'modelport' and call it"),
        (
            "@portable('onnx')\ndef test_net(modelport): ...\n@pytest.fixture\ndef modelport(): ...",
            "hides Modelport's own: rename it",
        ),
        (
            "@pytest.mark.portable(targets=[pytest.param('onnx', 'torchscript')])\ndef test_net(modelport): ...",
            "pytest.param in targets holds 2 values",
        ),
    ],
)  # fmt: skip
def test_what_could_prove_nothing_is_refused(run, body, message):
    result = run(body)
    result.assert_outcomes(errors=1)
    assert any(message in line for line in result.outlines), result.outlines
    assert any("test_it.py::test_net" in line for line in result.outlines)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--targets=onxx", "unknown target 'onxx': did you mean 'onnx'?"),
        ("--device=cudda", "unknown device 'cudda': did you mean 'cuda'?"),
    ],
)
def test_unknown_names_on_the_command_line_are_usage_errors(run, option, message):
    result = run("@portable('onnx')\ndef test_net(modelport): ...", option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert any(message in line for line in result.errlines), result.errlines


def test_the_marker_is_registered(run):
    result = run("def test_plain(): ...", "--markers")
    assert any("portable(*, targets" in line for line in result.outlines)


def test_the_fixture_without_the_marker_says_what_to_add(run):
    result = run("def test_net(modelport): modelport(Net(), torch.ones(1, 3))")
    result.assert_outcomes(errors=1)
    assert any("add @pytest.mark.portable(targets=[...])" in line for line in result.outlines)


@pytest.mark.parametrize("name", ["--device", "--targets", "--benchmark"])
def test_a_short_option_that_somebody_else_has_is_left_to_them(run, name):
    conftest = (
        f"def pytest_addoption(parser): parser.addoption('{name}', dest='theirs', default='unset')"
    )
    body = "def test_plain(request): assert request.config.getoption('theirs') == 'mine'"
    run(body, f"{name}=mine", conftest=conftest).assert_outcomes(passed=1)


OTHERS = {
    "a number": ("--targets", "type=int, default=1"),
    "a choice": ("--device", "choices=['cpu', 'mps'], default='cpu'"),
    "a flag": ("--benchmark", "action='store_true', default=False"),
    "a file": ("--targets", "type=argparse.FileType('w'), default=None"),
    "an action": ("--benchmark", "action=Ends, nargs=0, default=None"),
    "several": ("--device", "nargs=2, default=None"),
    "one that raises": ("--device", "type=lambda text: text.no_such_attribute, default=None"),
}


@pytest.mark.parametrize(("name", "kind"), OTHERS.values(), ids=OTHERS)
def test_no_kind_of_option_of_somebody_else_ends_the_run(run, pytester, name, kind):
    conftest = f"""
import argparse
class Ends(argparse.Action):
    def __call__(self, *_): raise SystemExit("this option was not given")
def pytest_addoption(parser): parser.addoption({name!r}, dest="theirs", {kind})
"""
    run("def test_plain(): ...", conftest=conftest).assert_outcomes(passed=1)
    made = {path.name for path in pytester.path.iterdir() if not path.name.startswith((".", "_"))}
    assert made == {"conftest.py", "test_it.py"}


def test_a_wrong_value_of_somebody_elses_option_is_reported_as_theirs(run):
    conftest = "def pytest_addoption(parser): parser.addoption('--device', choices=['cpu', 'mps'])"
    result = run("def test_plain(): ...", "--device=cuda", conftest=conftest)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert any("invalid choice: 'cuda'" in line for line in result.errlines)


def test_a_conftest_that_is_loaded_late_may_define_our_short_names(run, pytester):
    late = pytester.mkdir("late")
    names = ("--device", "--targets", "--benchmark")
    (late / "conftest.py").write_text(
        "def pytest_addoption(parser):\n"
        + "".join(f"    parser.addoption({name!r}, default='late')\n" for name in names)
    )
    (late / "test_late.py").write_text("def test_plain(pytestconfig): ...\n")
    run("def test_plain(): ...", ".").assert_outcomes(passed=2)


def test_a_short_option_that_is_free_is_ours(run):
    body = """
def test_plain(request):
    option = request.config.getoption
    assert (option("modelport_device"), option("modelport_targets"), option("modelport_benchmark")) == ("cuda", "onnx", True)
"""
    run(body, "--device=cuda", "--targets=onnx", "--benchmark").assert_outcomes(passed=1)
    run(body, "--device", "cuda", "--targets", "onnx", "--benchmark").assert_outcomes(passed=1)
