"""IREE modules on its CPU driver, and ONNX files compiled to one when they are opened."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from pytest_modelport.backends.kit import iree_files, ordered
from pytest_modelport.backends.kit.converters import convert
from pytest_modelport.backends.session_options import SessionOptions
from pytest_modelport.core.artifact import Manifest
from pytest_modelport.core.feed import Answer, Feed

REQUIRES = iree_files.REQUIRES
DEVICES = ("cpu",)
OPENS = ("iree", "onnx")
EXTRA = "iree"


class IreeSession:
    """A module's one public function, run synchronously in one thread."""

    def __init__(self, module: bytes, manifest: Manifest) -> None:
        import iree.compiler.version
        import iree.runtime

        context = iree.runtime.SystemContext(config=iree.runtime.Config("local-sync"))
        loaded = iree.runtime.VmModule.copy_buffer(context.instance, module)
        context.add_vm_module(loaded)
        (name,) = [
            name
            for name in loaded.function_names
            if not name.startswith("_") and not name.endswith("$async")
        ]
        self._function = context.modules[loaded.name][name]
        self._manifest = manifest
        self.options = {
            "driver": "local-sync",
            "intra_op_threads": 1,
            "iree": iree.compiler.version.VERSION,
        }

    def run(self, feed: Feed) -> Answer:
        """One call."""
        results: Any = self._function(*ordered.arrays(self._manifest, feed))
        found = results if isinstance(results, (tuple, list)) else (results,)
        return ordered.answer(self._manifest, [result.to_host() for result in found])


def open(folder: Path, manifest: Manifest, session_options: SessionOptions) -> IreeSession:  # noqa: ARG001
    """Load the module, or import and compile an ONNX file first. Raises what IREE raises."""
    path = folder / manifest.entry
    return IreeSession(_compiled(path) if path.suffix == ".onnx" else path.read_bytes(), manifest)


def _compiled(onnx: Path) -> bytes:
    """The module made of an ONNX file. The artifact's own folder stays as it is."""
    with tempfile.TemporaryDirectory(prefix="modelport-iree-") as scratch:
        folder = Path(scratch)
        imported, module = folder / "model.mlir", folder / "model.vmfb"
        command = [
            sys.executable,
            "-m",
            "iree.compiler.tools.import_onnx",
            str(onnx.absolute()),
            "-o",
            str(imported),
        ]
        convert("IREE", command, folder, imported)
        iree_files.compile_to(imported, module, "onnx")
        return module.read_bytes()
