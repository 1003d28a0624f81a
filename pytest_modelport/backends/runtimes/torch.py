"""Back into PyTorch: an ONNX file read by onnx2torch, in an environment of its own (it needs
torchvision).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pytest_modelport.backends.export import versions
from pytest_modelport.backends.kit import ordered
from pytest_modelport.backends.session_options import SessionOptions
from pytest_modelport.core.artifact import Manifest
from pytest_modelport.core.feed import Answer, Feed

REQUIRES = {"onnx2torch": "onnx2torch>=1.5", "torchvision": "torchvision"}
DEVICES = ("cpu",)
OPENS = ("onnx",)
EXTRA = ""
ENVIRONMENT = "onnx2torch"


class Onnx2torchSession:
    """The module that onnx2torch makes of a file. It takes the file's inputs by position."""

    def __init__(self, path: Path, manifest: Manifest, session_options: SessionOptions) -> None:
        import onnx2torch
        import torch

        torch.set_num_threads(session_options.threads)
        self._module: Any = onnx2torch.convert(str(path)).eval()
        self._manifest = manifest
        self.options = {
            "intra_op_threads": session_options.threads,
            **versions("onnx2torch", "torch", "torchvision"),
        }

    def run(self, feed: Feed) -> Answer:
        """One call. Results are copied: a module may return what it was given."""
        import torch

        from pytest_modelport.core.tensors import to_array, to_tensor

        given = [to_tensor(array, "cpu") for array in ordered.placed(self._manifest, feed).values()]
        with torch.no_grad():
            results = self._module(*given)
        found = results if isinstance(results, (tuple, list)) else (results,)
        return ordered.answer(self._manifest, [to_array(result.clone()) for result in found])


def open(folder: Path, manifest: Manifest, session_options: SessionOptions) -> Onnx2torchSession:
    """Convert the file. Raises what onnx2torch raises, for operators that it does not know among
    others.
    """
    return Onnx2torchSession(folder / manifest.entry, manifest, session_options)
