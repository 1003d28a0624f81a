"""OpenVINO IR files: saved without halving the weights, and what they store. Shared by the formats
that make them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pytest_modelport.backends.kit import openvino_tensors
from pytest_modelport.core.arrays import Array
from pytest_modelport.core.artifact import Manifest, TensorSpec

ENTRY = "model.xml"
#: compress_to_fp16: OpenVINO's own default when it saves; weights then lose three decimal digits.
OPTIONS = {"compress_to_fp16": bool}


def save(model: Any, path: Path, options: dict[str, Any]) -> None:
    """Write the .xml and the .bin beside it."""
    import openvino

    openvino.save_model(model, path, compress_to_fp16=options.get("compress_to_fp16", False))


def constants(folder: Path, manifest: Manifest) -> Iterator[tuple[str, Array]]:
    """Every Constant of the graph."""
    import openvino

    for node in openvino.Core().read_model(folder / manifest.entry).get_ordered_ops():
        if (
            node.get_type_name() == "Constant"
            and node.get_element_type().is_real() | node.get_element_type().is_integral()
        ):
            kind = node.get_element_type()
            yield node.get_friendly_name(), openvino_tensors.array_of(kind, node.get_data())


def inspect(path: Path) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...], tuple[str, ...]]:
    """The weights' file; names are read when the model is opened. Raises `ValueError` when it is no
    IR.
    """
    if b"<net" not in path.read_bytes()[:4096]:
        raise ValueError(f"{path.name} is not a model that OpenVINO has written")
    weights = path.with_suffix(".bin")
    return (), (), (weights.name,) if weights.exists() else ()
