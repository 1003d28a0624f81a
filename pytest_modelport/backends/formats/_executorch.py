"""ExecuTorch programs. Shared by the formats, which differ in their backends."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pytest_modelport.backends.export import Exported, ExportRequest, versions
from pytest_modelport.backends.kit import programs
from pytest_modelport.core.artifact import TensorSpec

REQUIRES = {"torch": "torch", "executorch": "executorch>=1.0"}
ENTRY = "model.pte"
inspect, warm = programs.opaque, programs.warm


def export(request: ExportRequest, partitioners: list[Any]) -> Exported:
    """Lower the program for these backends. Raises what ExecuTorch raises, for dims without an
    upper bound among others.
    """
    from executorch.exir import to_edge_transform_and_lower

    most = request.shapes.most
    program = programs.flat_program(request, most)
    promise = programs.promise(program, request)
    unbounded = _unbounded(*promise)
    if unbounded:
        raise ValueError(
            f"no upper bound for {unbounded}: ExecuTorch plans memory for the largest size; "
            "declare one, as torch.export.Dim(name, max=...)"
        )
    lowered = to_edge_transform_and_lower(program, partitioner=partitioners).to_executorch()
    (request.folder / ENTRY).write_bytes(lowered.buffer)
    sizes = ", ".join(f"{name} up to {size}" for name, size in most.items())
    bounds = (f"memory is planned for {sizes}, as inferred: declare dims for more",)
    return Exported(
        ENTRY,
        "flat",
        *promise,
        versions("torch", "executorch"),
        (programs.UNREADABLE, *(bounds if most else ())),
    )


def _unbounded(inputs: Iterable[TensorSpec], _: object, ranges: programs.Ranges) -> str:
    """The first axis of an input that may grow without end."""
    found = (
        f"axis {axis} of {value.name}"
        for value in inputs
        for axis, size in enumerate(value.shape or ())
        if isinstance(size, str) and ranges.get(size, (0, None))[1] is None
    )
    return next(found, "")
