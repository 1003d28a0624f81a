from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from pytest_modelport.checks._weight_matches import Matcher, Norm, missing
from pytest_modelport.reference.provenance import KnownTensor

RANDOM = np.random.default_rng(0)


def floats(*shape):
    return RANDOM.standard_normal(shape).astype(np.float32)


WEIGHT, BIAS, CONV = floats(6, 4), floats(6), floats(3, 2, 5, 5)
IH, HH, BI, BH = floats(16, 3), floats(16, 4), floats(16), floats(16)
COMPUTED = np.cos(floats(9, 8))
STORED = {"weight": WEIGHT, "bias": BIAS, "conv": CONV, "ih": IH, "hh": HH, "bi": BI, "bh": BH}
NORM = Norm(("norm.weight", "norm.running_var"), floats(3), floats(3), floats(3))


def matcher(**options):
    known = [KnownTensor(name, (name,), values) for name, values in STORED.items()]
    options = {"gated": frozenset({"ih", "hh", "bi", "bh"}), **options}
    return Matcher(
        [*known, KnownTensor("cos", ("table",), COMPUTED, computed=True)], [NORM], **options
    )


def changed(values, factor=1.01, index=0):
    copy = values.copy()
    copy.flat[index] *= np.float32(factor)
    return copy


def gates(values, order=(0, 3, 1, 2)):
    """An LSTM's gates in ONNX's order."""
    return np.concatenate([np.split(values, 4)[i] for i in order])


@pytest.mark.parametrize(
    ("constant", "kind", "sources"),
    [
        (WEIGHT, "same", ("weight",)),
        (WEIGHT.T, "same", ("weight",)),
        (WEIGHT.reshape(2, 3, 4), "same", ("weight",)),
        (CONV.transpose(1, 0, 2, 3), "same", ("conv",)),
        (np.broadcast_to(BIAS, (3, 1, 6)), "same", ("bias",)),
        (gates(IH)[None], "rearranged", ("ih",)),
        (np.concatenate([gates(BI), gates(BH)])[None], "rearranged", ("bi", "bh")),
        (CONV * NORM.scale[:, None, None, None], "folded", ("conv", *NORM.sources)),
        (NORM.shift.copy(), "folded", NORM.sources),
        (COMPUTED * np.float32(1 + 3e-7), "folded", ("table",)),
        (changed(WEIGHT), "damaged", ("weight",)),
        (changed(WEIGHT).T, "damaged", ("weight",)),
        (changed(WEIGHT, 1 + 2e-7, 5), "damaged", ("weight",)),
        (WEIGHT.astype(np.float16).astype(np.float32), "damaged", ("weight",)),
        (WEIGHT.astype(np.float16), "damaged", ("weight",)),
        ((WEIGHT * np.float32(1.000001)), "damaged", ("weight",)),
        (changed(gates(IH))[None], "damaged", ("ih",)),
        (changed(CONV * NORM.scale[:, None, None, None]), "damaged", ("conv", *NORM.sources)),
        (changed(COMPUTED), "damaged", ("table",)),
        (floats(6, 4), "unexplained", ()),
    ],
)  # fmt: skip
def test_what_a_constant_is(constant, kind, sources):
    match = matcher().match("c", np.ascontiguousarray(constant))
    assert (match.kind, match.sources) == (kind, sources)


@pytest.mark.parametrize(
    "constant",
    [np.float32(3.0), np.zeros((4, 4), np.float32), np.array([0.0, -np.inf, 0.0], np.float32)],
)
def test_fills_and_masks_say_nothing(constant):
    assert matcher().match("c", np.asarray(constant)) is None


def test_a_changed_element_is_named_with_both_values():
    match = matcher().match("c", changed(WEIGHT, index=9))
    assert "1 of 24 elements differ from weight, at [2, 1]" in match.detail


def test_what_calling_the_subject_changes_is_state():
    assert matcher(state=frozenset({"weight"})).match("c", changed(WEIGHT)).kind == "state"
    assert matcher(state=frozenset({"bias"})).match("c", changed(WEIGHT)).kind == "damaged"


def test_needed_tensors_that_no_constant_comes_from_are_missing():
    found = [matcher().match("c", WEIGHT)]
    stored = {**STORED, "zeros": np.zeros(3, np.float32)}
    assert missing(found, ["weight", "bias", "zeros"], stored) == {"bias": 0.0}


def test_a_real_batch_norm_folds():
    torch.manual_seed(0)
    conv, norm = nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3).eval()
    with torch.no_grad():
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
        norm.weight.normal_()
        norm.bias.normal_()
        fused = nn.utils.fusion.fuse_conv_bn_eval(conv.eval(), norm)
        scale = (norm.weight / (norm.running_var + norm.eps).sqrt()).numpy()
        shift = (norm.bias - norm.running_mean * torch.from_numpy(scale)).numpy()
    known = [
        KnownTensor(name, (name,), value.detach().numpy())
        for name, value in conv.named_parameters()
    ]
    made = Matcher(known, [Norm(("norm",), scale, shift, norm.running_mean.numpy())])
    assert made.match("w", fused.weight.detach().numpy()).kind == "folded"
    assert made.match("b", fused.bias.detach().numpy()).kind == "folded"
