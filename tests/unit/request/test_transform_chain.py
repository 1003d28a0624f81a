"""Transforms as they are written, and what is refused before anything runs."""

from __future__ import annotations

import pytest
from torch import nn

from pytest_modelport import T, UsageError
from pytest_modelport.backends import registry
from pytest_modelport.engine.resolve import functions_of, routes_of, transform_of
from pytest_modelport.request.transform_chain import chain_of


def halve(model: nn.Module) -> nn.Module:
    return model


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("fp16", "fp16"),
        ("none", ""),
        (T.fp16(), "fp16"),
        (T.prune_global(amount=0.4), "prune_global(amount=0.4)"),
        ("prune_global( amount = 0.40 )", "prune_global(amount=0.4)"),
        (T.prune_global(permanent=False, amount=0.4), "prune_global(amount=0.4,permanent=false)"),
        (
            T.prune_global(amount=0.4) | T.pt2e_static(quantizer="xnnpack"),
            "prune_global(amount=0.4)|pt2e_static(quantizer=xnnpack)",
        ),
        ("prune_l1|fp16", "prune_l1|fp16"),
        (halve, "halve"),
        (T.prune_l1() | halve, "prune_l1|halve"),
    ],
)
def test_every_way_to_write_a_transform_has_one_canonical_text(written, text):
    assert str(transform_of(written)) == text


def test_a_function_before_a_named_transform():
    assert str(chain_of(halve) | "fp16") == "halve|fp16"


def test_every_name_of_the_shelf_can_be_completed():
    assert set(dir(T)) == set(registry.names("transforms"))


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("pf16", "unknown transform 'pf16': did you mean 'fp16'?"),
        (
            T.prune_global(amout=0.4),
            "unknown option of prune_global 'amout': did you mean 'amount'?",
        ),
        ("prune_global(amount=many)", "option amount of prune_global is 'many': give a number"),
        ("prune_global(amount=nan)", "give a number"),
        ("fp16@prod", "is not spelled NAME or NAME(OPTION=VALUE,...)"),
        (3, "transform 3 is not one"),
        (lambda model: model, "give a function made with def"),
    ],
)
def test_what_is_no_transform_is_refused(written, said):
    with pytest.raises(UsageError) as caught:
        transform_of(written)
    assert said in str(caught.value)


def test_a_function_may_not_hide_a_transform_of_ours():
    def fp16(model):
        return model

    with pytest.raises(UsageError, match="is the name of one of Modelport's"):
        transform_of(fp16)


def test_two_functions_of_one_name_are_refused():
    def other():
        def halve(model):
            return model

        return halve

    with pytest.raises(UsageError, match="two transforms are called halve"):
        functions_of([transform_of(halve), transform_of(other())])


def test_what_works_on_files_needs_a_target_that_makes_them():
    with pytest.raises(
        UsageError,
        match="transform ort_static works on onnx files, and target torchscript makes none",
    ):
        routes_of(["torchscript"], ["ort_static"], ["cpu"])


def test_models_come_before_files():
    with pytest.raises(
        UsageError, match="transform fp16 works on the model, so it cannot come after ort_static"
    ):
        routes_of(["onnx"], ["ort_static|fp16"], ["cpu"])


def test_executorch_gets_the_quantizer_that_it_knows():
    (route,) = routes_of(["executorch"], ["pt2e_static"], ["cpu"])
    assert route.transforms == ("pt2e_static(quantizer=xnnpack)",)
    (chosen,) = routes_of(["executorch"], ["pt2e_static(quantizer=x86)"], ["cpu"])
    assert chosen.transforms == ("pt2e_static(quantizer=x86)",)
    (other,) = routes_of(["onnx"], ["pt2e_static"], ["cpu"])
    assert other.transforms == ("pt2e_static",)


def test_a_chain_is_in_the_routes_name():
    (route,) = routes_of(["onnx"], [T.prune_l1(amount=0.5) | T.ort_static()], ["cpu"])
    assert route.id == "prune_l1(amount=0.5)-ort_static-onnx-cpu"
