from __future__ import annotations

from pathlib import Path

import pytest

from pytest_modelport import Route, UsageError
from pytest_modelport.backends import registry, requirements
from pytest_modelport.engine.resolve import artifacts_of, checks_of, routes_of


def test_routes_are_canonical_and_not_repeated():
    routes = routes_of(["onnx", "onnx:onnxruntime", "onnx:reference"], ["none"], ["cpu", "cuda"])
    assert [route.id for route in routes] == [
        "onnx-cpu",
        "onnx-cuda",
        "onnx:reference-cpu",
        "onnx:reference-cuda",
    ]


@pytest.mark.parametrize(
    ("targets", "transforms", "devices", "message"),
    [
        (["onxx"], ["none"], ["cpu"], "unknown target 'onxx': did you mean 'onnx'"),
        (["onnx:referense"], ["none"], ["cpu"], "did you mean 'onnx:reference'"),
        (["onnx;prod"], ["none"], ["cpu"], "unknown target 'onnx;prod'"),
        (["torch_compile@prod"], ["none"], ["cpu"], "only in this process"),
        ([], ["none"], ["cpu"], "targets is empty"),
        ("onnx", ["none"], ["cpu"], "targets is 'onnx': give a list"),
        (["onnx"], ["fp61"], ["cpu"], "unknown transform 'fp61'"),
        (["onnx"], ["none"], ["cdua"], "unknown device 'cdua': did you mean 'cuda'"),
        (["onnx"], ["none"], ["cuda:x"], "unknown device 'cuda:x'"),
        (["onnx"], ["none"], [0], "unknown device 0"),
    ],
)
def test_unknown_names_come_with_the_nearest_match(targets, transforms, devices, message):
    with pytest.raises(UsageError, match=message):
        routes_of(targets, transforms, devices)


def test_the_shelf_knows_names_without_importing_what_they_name():
    assert {"onnx", "torchscript", "torch_export"} <= set(registry.names("formats"))
    assert {"onnx", "onnx:reference", "torchscript", "torch_export"} <= set(registry.targets())


def test_checks_are_known_by_name():
    assert checks_of(None) is None
    assert checks_of(["parity", "parity"]) == ("parity",)
    with pytest.raises(UsageError, match="did you mean 'parity'"):
        checks_of(["partity"])
    with pytest.raises(UsageError, match="checks is empty"):
        checks_of([])


def test_artifacts_belong_to_targets_that_were_asked_for():
    routes = [Route("onnx"), Route("torchscript")]
    assert artifacts_of(None, routes) == {}
    assert artifacts_of("m.onnx", routes[:1]) == {"onnx": Path("m.onnx")}
    assert artifacts_of({"onnx:onnxruntime": "m.onnx"}, routes) == {"onnx": Path("m.onnx")}
    with pytest.raises(UsageError, match="unknown target of artifact 'torch_export'"):
        artifacts_of({"torch_export": "m.pt2"}, routes)
    with pytest.raises(UsageError, match="artifact with transforms"):
        artifacts_of("m.onnx", [Route("onnx", "cpu", ("int8",))])


def test_missing_packages_are_found_without_importing():
    assert requirements.missing({"torch": "torch", "surely_not_here": "surely-not-here>=1"}) == (
        "surely-not-here>=1",
    )
