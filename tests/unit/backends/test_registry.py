"""The registry's door: what an item must say and have, and how little is looked at for one name."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest

from pytest_modelport.backends import item_faults, registry
from pytest_modelport.core.errors import BrokenItem

ITEMS = {
    "formats": "onnx",
    "runtimes": "onnxruntime",
    "transforms": "ort_static",
    "checks": "latency",
    "libraries": "transformers",
}
LOAD = {
    "formats": registry.format_,
    "runtimes": registry.runtime,
    "transforms": registry.transform,
    "checks": registry.check,
    "libraries": registry.library,
}


def copied(group, **changes):
    """An item with other values; None takes one away."""
    values = {**vars(LOAD[group](ITEMS[group])), **changes}
    return SimpleNamespace(**{name: value for name, value in values.items() if value is not None})


def faults(group, **changes):
    return "; ".join(item_faults.item_faults(group, copied(group, **changes)))


@pytest.mark.parametrize("group", registry.GROUPS)
def test_every_item_of_ours_keeps_the_contract(group):
    assert list(registry.broken(group)) == []
    assert registry.sound(group) == registry.names(group)


@pytest.mark.parametrize(
    ("group", "name"),
    [(group, name) for group, known in item_faults.CONSTANTS.items() for name in known],
)
def test_a_constant_that_is_left_out_or_of_another_kind_is_named(group, name):
    assert faults(group) == ""
    assert faults(group, **{name: None}).startswith(f"{name} is missing")
    assert faults(group, **{name: 3.5}).startswith(f"{name} is 3.5: it must be ")


@pytest.mark.parametrize(
    ("group", "name"),
    [(group, name) for group, known in item_faults.OPTIONAL.items() for name in known],
)
def test_an_optional_constant_of_another_kind_is_named(group, name):
    assert f"{name} is {{1: 2}}: it must be " in faults(group, **{name: {1: 2}})


@pytest.mark.parametrize(
    ("group", "name"),
    [(group, name) for group, known in item_faults.FUNCTIONS.items() for name in known],
)
def test_a_function_that_is_left_out_or_takes_something_else_is_named(group, name):
    arguments = ", ".join(item_faults.FUNCTIONS[group][name])
    assert f"{name}({arguments}) is missing" in faults(group, **{name: None})
    assert f"{name} is 3: it must be a function" in faults(group, **{name: 3})
    wrong = faults(group, **{name: lambda: None})
    assert f"{name} cannot be called as {name}({arguments}): " in wrong


@pytest.mark.parametrize(
    ("group", "changes", "message"),
    [
        ("formats", {"CALL": "nemed"}, "CALL is 'nemed': it must be 'natural' or 'named'"),
        ("formats", {"SUFFIXES": ("onnx",)}, "SUFFIXES is ('onnx',): it must be a tuple of file"),
        ("formats", {"REQUIRES": {"onnx": "onnx >> 1"}}, "REQUIRES is {'onnx': 'onnx >> 1'}"),
        ("formats", {"OPTIONS": {"opset": "int"}}, "OPTIONS is {'opset': 'int'}"),
        ("formats", {"ENVIRONMENT": "own"}, "convert(folder, manifest) is missing: ENVIRONMENT says"),
        ("runtimes", {"OPENS": "onnx"}, "OPENS is 'onnx': it must be a tuple of names"),
        ("runtimes", {"ROUNDING": 0.5}, "ROUNDING is 0.5: it must be a number of at least 1"),
        ("runtimes", {"LIVE": True}, "open cannot be called as open(folder, manifest, session_options"),
        ("transforms", {"FLOOR": "int8_statc"}, "unknown row of floors 'int8_statc': did you mean 'int8_sta"),
        ("transforms", {"INPUTS": "float32"}, "INPUTS is 'float32': it must be 'float16' or"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(group, changes, message):
    assert message in faults(group, **changes)


def test_a_format_without_constants_in_its_files_says_so_with_none():
    item = SimpleNamespace(**{**vars(registry.format_("onnx")), "constants": None})
    assert list(item_faults.item_faults("formats", item)) == []


def test_only_the_format_and_runtime_of_a_name_are_imported():
    code = (
        "import sys\n"
        "from pytest_modelport.backends import registry\n"
        "assert registry.canonical('torchscript:torch_jit') == 'torchscript'\n"
        "parts = [name.split('.')[2:] for name in sys.modules if 'backends.' in name]\n"
        "print(*sorted('.'.join(part) for part in parts if part[0] in ('formats', 'runtimes')))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [
        "formats",
        "formats.torchscript",
        "runtimes",
        "runtimes.torch_jit",
    ]


def test_a_name_is_resolved_once(monkeypatch):
    registry.canonical("onnx:openvino")
    monkeypatch.setattr(registry, "target", None)
    assert registry.canonical("onnx:openvino") == "onnx:openvino"


def test_a_default_check_of_ours_that_is_broken_is_not_left_out_in_silence(monkeypatch):
    from pytest_modelport.checks import weights

    assert "weights" in registry.default_checks()
    registry._loaded.cache_clear()
    registry.sound.cache_clear()
    monkeypatch.delattr(weights, "run")
    with pytest.raises(BrokenItem, match=r"check weights: run\(workbench\) is missing"):
        registry.default_checks()
    monkeypatch.undo()
    registry._loaded.cache_clear()
    registry.sound.cache_clear()
