from __future__ import annotations

import pytest

from pytest_modelport import UsageError
from pytest_modelport.backends import registry
from pytest_modelport.core.target import listed
from pytest_modelport.request.model_names import converted
from pytest_modelport.request.model_names import parse as parse_query


@pytest.mark.parametrize(
    ("spelled", "canonical"),
    [
        ("onnx", "onnx"),
        (" onnx:onnxruntime ", "onnx"),
        ("onnx( opset = 20 )", "onnx(opset=20)"),
        ("onnx(optimize=false,opset=20):reference", "onnx(opset=20,optimize=false):reference"),
        ("onnx(opset=20):onnxruntime", "onnx(opset=20)"),
        ("litert:litert@litert", "litert"),
        ("litert(x64=true)@production", "litert(x64=true)@production"),
        ("torchscript()", "torchscript"),
        (
            "torch_compile(backend=aot_eager,dynamic=true)",
            "torch_compile(backend=aot_eager,dynamic=true)",
        ),
    ],
)
def test_a_target_has_one_spelling(spelled, canonical):
    assert registry.canonical(spelled) == canonical
    assert registry.canonical(canonical) == canonical


def test_options_have_values():
    assert registry.target("onnx(opset=20,optimize=false)").options == (
        ("opset", 20),
        ("optimize", False),
    )


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("onnx(opst=20)", "unknown option of onnx 'opst': did you mean 'opset'"),
        ("onnx(opset=new)", "option opset of onnx is 'new': give a whole number"),
        ("onnx(optimize=yes)", "unknown option optimize of onnx 'yes'"),
        ("onnx(opset=20,opset=21)", "option opset of onnx is given twice"),
        ("torch_compile(backend=inducter)", "did you mean 'inductor'"),
        ("torch_export(opset=20)", "unknown option of torch_export 'opset': known: debug"),
        ("onnx(opset=20", "is not spelled"),
        ("onnx:torch_jit", "unknown target 'onnx:torch_jit'"),
    ],
)
def test_what_is_no_target_is_named(target, message):
    with pytest.raises(UsageError, match=message):
        registry.target(target)


def test_commas_between_parentheses_belong_to_a_target():
    assert listed("onnx(opset=20,optimize=false):reference, torchscript,") == [
        "onnx(opset=20,optimize=false):reference",
        "torchscript",
    ]


def test_a_name_in_a_library_has_options():
    assert parse_query("BertConfig?hidden_size=64&tiny") == (
        "BertConfig",
        {"hidden_size": "64", "tiny": ""},
    )
    assert parse_query("resnet18") == ("resnet18", {})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("64", 64),
        ("1e-3", 1e-3),
        ("true", True),
        ("", True),
        ("none", None),
        ("[1,2]", [1, 2]),
        ("gelu", "gelu"),
    ],
)
def test_option_values(text, value):
    assert converted(text) == value
