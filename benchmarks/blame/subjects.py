"""Models that faults are planted in, and models and samples that are at fault themselves."""

from __future__ import annotations

import ast
import random
from collections.abc import Iterator
from typing import Any

import onnx
import torch
from torch import nn

from fixtures import digits, hub
from pytest_modelport.cleanroom.workspace import Workspace
from pytest_modelport.engine.build_case import build_case
from pytest_modelport.engine.resolve import routes_of
from pytest_modelport.request.options import Options
from pytest_modelport.workbench.workbench import Workbench

#: Model, part, and what is wrong with it in the exported file.
PARTS = (
    ("cnn", "features.0", "scaled"),
    ("cnn", "features.4", "epsilon"),
    ("cnn", "features.6", "no bias"),
    ("cnn", "hidden", "no bias"),
    ("cnn", "classifier", "rounded"),
    ("encoder", "embedding", "scaled"),
    ("encoder", "encoder.layers.0.norm1", "epsilon"),
    ("encoder", "encoder.layers.1.linear1", "no bias"),
    ("encoder", "encoder.layers.1.linear2", "scaled"),
    ("bert", "encoder.layer.1.intermediate.dense", "scaled"),
    ("bert", "encoder.layer.0.output.LayerNorm", "scaled"),
)
#: What a format cannot express.
NOT_TAKEN = {("bert", "mnn"), ("bert", "executorch"), ("encoder", "mnn")}
#: Model, operator of its ONNX file, and which of these.
NODES = (
    ("cnn", "Relu", 1),
    ("cnn", "Gemm", 0),
    ("encoder", "LayerNormalization", 1),
    ("encoder", "Softmax", 0),
    ("encoder", "MatMul", 3),
    ("bert", "LayerNormalization", 2),
)


def make(name: str) -> tuple[nn.Module, Any]:
    """A model and its sample."""
    if name in digits.MODELS:
        return digits.load(name), (digits.images(4, name=name),)
    torch.manual_seed(0)
    module, args, _ = hub.ARCHITECTURES[name]()
    return module.eval(), args


def node(module: nn.Module, sample: Any, operator: str, number: int) -> str:
    """The part of the model that a node of the exported file comes from, as torch's exporter wrote it
    down.
    """
    route = routes_of(["onnx(debug=true)"], ["none"], ["cpu"])[0]
    with Workspace() as workspace:
        case = build_case(module, sample, options=Options())
        artifact = Workbench(case, route, workspace).artifact
        graph = onnx.load(artifact.folder / artifact.manifest.entry).graph
    found = [item for item in graph.node if item.op_type == operator][number]
    written = {item.key: item.value for item in found.metadata_props}
    scope = str(ast.literal_eval(written["pkg.torch.onnx.name_scopes"])[-2])
    return scope.removeprefix("subject.")


class Linear(nn.Module):
    """One layer, and something of its own in `own`."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.drop = nn.Linear(4, 4), nn.Dropout(0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.own(self.layer(x))

    def own(self, y: torch.Tensor) -> torch.Tensor:
        return y


class Drops(Linear):
    def own(self, y: torch.Tensor) -> torch.Tensor:
        return self.drop(y)


class Draws(Linear):
    """From Python's generator, which no file has."""

    def own(self, y: torch.Tensor) -> torch.Tensor:
        return y * random.random()


class Counts(Linear):
    calls = 0

    def own(self, y: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return y * self.calls


class Cancels(Linear):
    """Its answer is what rounding left of it."""

    def own(self, y: torch.Tensor) -> torch.Tensor:
        return (y + 1e8) - 1e8


class Refuses(Linear):
    def own(self, y: torch.Tensor) -> torch.Tensor:
        if y.shape[0] > 2:
            raise ValueError("two rows at most")
        return y


def own() -> Iterator[tuple[str, str, nn.Module, Any, tuple[Any, ...]]]:
    """Name, whose fault it is, model, sample, further samples."""
    x, other = torch.randn(2, 4), torch.randn(2, 4) * 2
    yield "dropout in train mode", "model", Drops().train(), (x,), ((other,),)
    yield "Python's random numbers", "model", Draws().eval(), (x,), ((other,),)
    yield "counts its calls", "model", Counts().eval(), (x,), ((other,),)
    yield "cancellation", "model", Cancels().eval(), (x,), ((other,),)
    yield (
        "a sample that the model refuses",
        "samples",
        Refuses().eval(),
        (x,),
        ((torch.randn(3, 4),),),
    )
    yield "a sample of another width", "samples", Linear().eval(), (x,), ((torch.randn(2, 5),),)
    yield "a sample of another dtype", "samples", Linear().eval(), (x,), ((x.double(),),)
