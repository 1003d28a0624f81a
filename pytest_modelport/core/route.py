"""A route: transforms + target + device. One pytest item, one row of the matrix."""

from __future__ import annotations

from dataclasses import dataclass

#: In place of a target, where a test or a part of a run is missing.
MISSING = "missing"
#: What a test or command that names no target is about.
DEFAULT_TARGETS = ("onnx", "torchscript", "torch_export")


@dataclass(frozen=True)
class Route:
    """One way from the subject to a running artifact.

    `target` is canonical: `onnx` stands for ONNX opened by its default runtime, `onnx:reference`
    names another one.
    """

    target: str
    device: str = "cpu"
    transforms: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """Stable identifier, used as pytest's parameter id: `int8_static-onnx:openvino-cpu`."""
        return "-".join((*self.transforms, self.target, self.device))

    def __str__(self) -> str:
        return self.id
