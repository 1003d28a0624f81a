"""What a format is given to make an artifact, and what it says it made."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_modelport.core.artifact import Manifest, TensorSpec
from pytest_modelport.request.dynamic_shapes import Shapes

if TYPE_CHECKING:
    from torch import nn

    from pytest_modelport.subject.inputs import Inputs


@dataclass(frozen=True)
class ExportRequest:
    """One export.

    module: the subject, live; the export runs where changing it does no harm. outputs: the names
    its tensors have. containers: the kinds of containers among inputs and outputs (`tuple`, `dict`,
    `object`, `constant` ...), so that a format can tell whether it can carry them.
    output_constants: Python values among the outputs, by name. options: what the route asks for
    among the format's OPTIONS.
    """

    module: nn.Module
    inputs: Inputs
    shapes: Shapes
    outputs: tuple[str, ...]
    output_spec: Any
    output_constants: Mapping[str, Any]
    folder: Path
    device: str = "cpu"
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def file_outputs(self) -> tuple[str, ...]:
        """Names for files in which an output may not be called as an input is: a cache that comes
        in and goes out, say.
        """
        taken = {item.name for item in self.inputs.tensors}
        names: list[str] = []
        for name in self.outputs:
            own = name
            while own in taken:
                own += "_out"
            taken.add(own)
            names.append(own)
        return tuple(names)

    def value(self, name: str, shape: tuple[int | str | None, ...] | None = None) -> TensorSpec:
        """The promise for one of the request's inputs when the file itself does not say more."""
        from pytest_modelport.core.tensors import dtype_name

        tensor = next(item.tensor for item in self.inputs.tensors if item.name == name)
        return TensorSpec(
            name, dtype_name(tensor.dtype), tuple(tensor.shape) if shape is None else shape
        )


@dataclass(frozen=True)
class Exported:
    """What an export wrote: the file to open, how it is called, and what it promises."""

    entry: str
    call: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    ranges: Mapping[str, tuple[int, int | None]] = field(default_factory=dict)
    producers: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def manifest(self, format_name: str, kind: str, request: ExportRequest) -> Manifest:
        """The manifest of this artifact, still without its files."""
        return Manifest(
            format=format_name,
            kind=kind,
            entry=self.entry,
            call=self.call,
            options=dict(request.options),
            inputs=self.inputs,
            outputs=self.outputs,
            constants=dict(request.output_constants),
            baked=dict(request.inputs.constants) if self.call == "flat" else {},
            ranges=self.ranges,
            producers=self.producers,
            notes=self.notes,
        )


def versions(*distributions: str) -> dict[str, str]:
    """Installed versions of the distributions that took part."""
    found = {}
    for name in distributions:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
