"""MNN models on its CPU backend at high precision. MNN has no 64-bit integers: inputs are
narrowed to 32 bits and outputs widened again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pytest_modelport.backends.kit import ordered
from pytest_modelport.backends.session_options import SessionOptions
from pytest_modelport.core.artifact import Manifest
from pytest_modelport.core.feed import Answer, Feed

REQUIRES = {"MNN": "MNN>=3.2"}
DEVICES = ("cpu",)
OPENS = ("mnn",)
EXTRA = "mnn"
#: It convolves by Winograd's transforms, whose rounding errors are several times those of a direct
#: sum (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016). Measured on the
#: digits: up to 4.5 times the noise.
ROUNDING = 4.0
OPTIONS = {"precision": ("high", "normal", "low")}


class MnnSession:
    """A module loaded with the promised names; with its own where nothing is promised."""

    def __init__(self, path: Path, manifest: Manifest, session_options: SessionOptions) -> None:
        import MNN

        precision = session_options.options.get("precision", "high")
        config = {"precision": precision, "backend": 0, "numThread": session_options.threads}
        self._manager = MNN.nn.create_runtime_manager((config,))
        names = (
            [value.file_name for value in manifest.inputs],
            [value.file_name for value in manifest.outputs],
        )
        self._module = MNN.nn.load_module_from_file(
            str(path), *names, runtime_manager=self._manager
        )
        self._manifest = manifest
        self.options = {
            "precision": precision,
            "intra_op_threads": session_options.threads,
            "mnn": MNN.version(),
            "integers": "int32",
        }

    def run(self, feed: Feed) -> Answer:
        """One call."""
        import MNN
        import numpy as np

        given = [_variable(MNN.expr, array) for array in ordered.arrays(self._manifest, feed)]
        found = self._module.forward(given)
        dtypes = [value.dtype for value in self._manifest.outputs] or [""] * len(
            found
        )  # a brought file promises nothing
        results = []
        for value, dtype in zip(found, dtypes, strict=True):
            dense = MNN.expr.convert(value, MNN.expr.data_format.NCHW)
            array = np.array(dense.read()).reshape(dense.shape)
            results.append(ordered.widened(array, dtype))
        return ordered.answer(self._manifest, results)


def _variable(expr: Any, array: Any) -> Any:
    """An input. Raises `TypeError` for dtypes and `OverflowError` for integers that MNN does not
    have.
    """
    import numpy as np

    if array.dtype.kind == "f" and array.dtype == np.float32:
        return expr.const(array, list(array.shape), expr.data_format.NCHW, expr.dtype.float)
    if array.dtype.kind not in "iub":
        raise TypeError(f"MNN takes float32 and integers only, not {array.dtype}")
    narrow = array.astype(np.int32)
    if (narrow != array).any():
        raise OverflowError("MNN takes integers of 32 bits only: this input has larger numbers")
    return expr.const(narrow, list(array.shape), expr.data_format.NCHW, expr.dtype.int)


def open(folder: Path, manifest: Manifest, session_options: SessionOptions) -> MnnSession:
    """Load the model. Raises what MNN raises."""
    return MnnSession(folder / manifest.entry, manifest, session_options)
