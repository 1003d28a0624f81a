"""Rows of a table: each of the model's, once, in an order that an exporter makes."""

from __future__ import annotations

import warnings

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from pytest_modelport import Outcome
from pytest_modelport.checks._weight_rows import Pieces, share
from pytest_modelport.reference.provenance import KnownTensor

RANDOM = np.random.default_rng(0)
TABLE, OTHER, GATES = (
    RANDOM.standard_normal(shape).astype(np.float32) for shape in ((40, 4), (6, 4), (12, 4))
)
KNOWN = [
    KnownTensor(name, (name,), values)
    for name, values in (("table", TABLE), ("other", OTHER), ("gates", GATES))
]


def found(rows):
    """The misplaced tensor, if any, and how much of each tensor there is."""
    pieces = Pieces(KNOWN, 4, np.dtype(np.float32))
    runs = pieces.runs(rows)
    wrong = pieces.misplaced(runs, frozenset({"gates"}))
    covered = {name: round(share(parts), 3) for name, parts in pieces.covered(runs).items()}
    return wrong and wrong[1], covered


def permuted(values, *order):
    return np.concatenate([values[part] for part in order])


@pytest.mark.parametrize(
    ("rows", "wrong", "covered"),
    [
        (np.concatenate([OTHER, TABLE]), None, {"other": 1.0, "table": 1.0}),
        (TABLE[10:30], None, {"table": 0.5}),
        (np.concatenate([TABLE[:4], TABLE[30:]]), None, {"table": 0.35}),
        (permuted(GATES, slice(3, 6), slice(0, 3), slice(9, 12), slice(6, 9)), None, {"gates": 1}),
        (permuted(TABLE, slice(10, 20), slice(0, 10), slice(20, 40)), "table", {"table": 1.0}),
        (TABLE[::-1], "table", {"table": 1.0}),
        (permuted(TABLE, slice(0, 7), slice(3, 4), slice(8, 40)), "table", {"table": 0.975}),
        (GATES[[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 10]], "gates", {"gates": 1.0}),
    ],
    ids=[
        "joined",
        "slice",
        "two slices",
        "gates",
        "blocks swapped",
        "reversed",
        "copied",
        "gates row",
    ],
)
def test_where_rows_may_stand(rows, wrong, covered):
    assert found(np.ascontiguousarray(rows)) == (wrong, covered)


class Text(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Embedding(200, 8, padding_idx=0)
        self.head = nn.Linear(8, 5)

    def forward(self, ids):
        return self.head(self.table(ids).mean(1))


IDS = torch.tensor([[5, 7, 9, 11], [3, 2, 1, 4]])


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "text.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(Text().eval(), (IDS,), str(path), dynamo=True, verbose=False)
    return path


def swapped(table):
    table[[170, 171]] = table[[171, 170]]
    return table


def copied(table):
    table[170] = table[5]
    return table


def zeroed(table):
    table[170] = 0
    return table


def shifted(table):
    return np.concatenate([table[:100], np.roll(table[100:], 1, 0)])


def cut(table):
    return table[:12]


def strange(table):
    table[12:] = np.random.default_rng(1).standard_normal(table[12:].shape)
    return table


def rounded(table):
    return table.astype(np.float16).astype(np.float32)


@pytest.mark.parametrize("change", [swapped, copied, zeroed, shifted, cut, strange, rounded])
def test_a_table_that_is_not_the_models_is_red_in_the_file(prove, exported, tmp_path, change):
    model = onnx.load(exported)
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.shape == (200, 8):
            changed = np.ascontiguousarray(change(values.copy()))
            tensor.CopyFrom(numpy_helper.from_array(changed, tensor.name))
    onnx.save(model, tmp_path / "text.onnx")
    verdict = prove(
        ["onnx"], Text().eval(), IDS, artifact=tmp_path / "text.onnx", checks=("weights",)
    ).verdicts[0]
    assert verdict.outcome is Outcome.FAILED, verdict.reason
    assert "table.weight" in verdict.reason


def test_the_table_as_it_was_exported_is_green(prove, exported):
    verdict = prove(["onnx"], Text().eval(), IDS, artifact=exported, checks=("weights",))
    assert verdict.verdicts[0].passed, verdict.verdicts[0].reason
