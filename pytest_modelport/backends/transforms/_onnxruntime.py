"""What the transforms of ONNX files share: ONNX Runtime's preprocessing, calibration data as it
reads it, operators counted.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_modelport.backends.transform_work import FileWork
from pytest_modelport.core.errors import CannotTransform

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import onnx

REQUIRES = {"onnx": "onnx>=1.17", "onnxruntime": "onnxruntime>=1.20"}


@contextlib.contextmanager
def prepared(work: FileWork) -> Iterator[Path]:
    """The file as ONNX Runtime's quantizers want it: shapes inferred, constants folded, unless
    `preprocess=false`.

    Exporters leave shapes in a file that hold for other values after quantizing; the quantizers
    then refuse it.
    """
    if not work.options.get("preprocess", True):
        yield work.source
        return
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory(dir=work.target.parent.parent) as folder:
        path = Path(folder, "prepared.onnx")
        quant_pre_process(str(work.source), str(path))
        yield path


def reader(feeds: Sequence[Mapping[str, npt.NDArray[np.generic]]]) -> Any:
    """The calibration data, one feed after the other."""
    from onnxruntime.quantization import CalibrationDataReader

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._left = iter(feeds)

        def get_next(self) -> Any:
            return next(self._left, None)

    return Reader()


def told(work: FileWork, made: Sequence[str]) -> Iterator[str]:
    """A note on what the written file has of these operators. Raises `CannotTransform` where it has
    none.
    """
    import onnx

    model = onnx.load(work.target)
    found = counted(model, made)
    if not found:
        raise CannotTransform(
            f"nothing was changed: the file has {_all(model)} and none of {', '.join(made)}"
        )
    yield found


def counted(model: onnx.ModelProto, operators: Sequence[str]) -> str:
    """`3 MatMul, 1 Gemm`; empty when there are none."""
    count = Counter(node.op_type for node in model.graph.node if node.op_type in operators)
    return ", ".join(f"{number} {name}" for name, number in count.most_common())


def _all(model: onnx.ModelProto) -> str:
    count = Counter(node.op_type for node in model.graph.node)
    return ", ".join(f"{number} {name}" for name, number in count.most_common(5))


def nodes(model: onnx.ModelProto) -> int:
    """Nodes of the graph."""
    return len(model.graph.node)
