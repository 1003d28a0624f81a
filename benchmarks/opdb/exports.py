"""What a plain export of a subject amounts to, with none of Modelport's code: for what Modelport calls
red or unsupported, which may be its own doing.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.opdb.suites import Subject, copied
from benchmarks.opdb.truth import answered, in_order

#: An export to a path: module, positional arguments, keyword arguments, dims that may vary.
Export = Callable[[str, nn.Module, tuple[Any, ...], dict[str, Any], Any], None]
NATURAL = ("torchscript", "torch_export")


def exported(target: str, subject: Subject) -> str:
    """`right`, `wrong`, or why a plain export, or a plain call of its file, gives no answer."""
    args, kwargs = copied((subject.args, in_order(subject)))
    module = copy.deepcopy(subject.module)
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "model.pt2")
        try:
            with torch.no_grad():
                EXPORTS[target](file, module, args, kwargs, subject.shapes)
        except Exception as error:  # noqa: BLE001 - whatever an exporter raises is its answer
            return type(error).__name__
        return answered(target, file, subject, natural=target in NATURAL)


def _onnx(
    file: str, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], shapes: Any
) -> None:
    torch.onnx.export(
        module, args, file, kwargs=kwargs, dynamo=True, verbose=False, dynamic_shapes=shapes
    )


def _torchscript(
    file: str, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], _: Any
) -> None:
    named = {} if args else {"example_kwarg_inputs": kwargs}
    traced = torch.jit.trace(module, args or None, strict=False, check_trace=False, **named)
    torch.jit.save(traced, file)


def _program(
    module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], shapes: Any
) -> torch.export.ExportedProgram:
    return torch.export.export(module, args, kwargs, dynamic_shapes=shapes, strict=False)


def _torch_export(
    file: str, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], shapes: Any
) -> None:
    torch.export.save(_program(module, args, kwargs, shapes), file)


def _executorch(
    file: str, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], shapes: Any
) -> None:
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner

    _lowered(file, _program(module, args, kwargs, shapes), [XnnpackPartitioner()])


def _portable(
    file: str, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], shapes: Any
) -> None:
    _lowered(file, _program(module, args, kwargs, shapes), [])


def _lowered(file: str, program: torch.export.ExportedProgram, partitioners: list[Any]) -> None:
    from executorch.exir import to_edge_transform_and_lower

    lowered = to_edge_transform_and_lower(program, partitioner=partitioners)
    Path(file).write_bytes(lowered.to_executorch().buffer)


EXPORTS: dict[str, Export] = {
    "onnx": _onnx,
    "torchscript": _torchscript,
    "torch_export": _torch_export,
    "executorch": _executorch,
    "executorch_portable": _portable,
}
