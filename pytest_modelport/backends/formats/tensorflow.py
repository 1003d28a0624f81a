"""A TensorFlow SavedModel, converted by onnx2tf from an ONNX file, in an environment of its own."""

from __future__ import annotations

import os
import shutil
import sysconfig
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_modelport.backends.export import Exported, ExportRequest, versions
from pytest_modelport.backends.formats import _onnx_exporters
from pytest_modelport.backends.kit import onnx_files, programs
from pytest_modelport.core.artifact import Manifest, TensorSpec

REQUIRES = {"torch": "torch", "onnx": "onnx>=1.17", "onnxscript": "onnxscript>=0.5"}
DEVICES = ("cpu",)
KIND = "tensorflow"
VIA = "onnx"
RUNTIME = "tensorflow"
EXTRA = "onnx"
ENVIRONMENT = "tensorflow"
SUFFIXES = (".pb",)
#: A file is graphs of operators, some of which read and write files.
PROGRAM = True
CALL = "named"
#: exporter: which of torch's two makes the ONNX file.
OPTIONS = {"exporter": ("dynamo", "legacy")}
_ONNX, _ENTRY = "model.onnx", "saved_model.pb"
warm = programs.warm
#: Weights are renamed and transposed by the converter.
constants = None


def inspect(path: Path) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...], tuple[str, ...]]:
    """Nothing but which files of the folder belong to it."""
    return programs.beside(path, "variables/*", "assets/*", "fingerprint.pb")


def export(request: ExportRequest) -> Exported:
    """Write the ONNX file that the converter gets."""
    path = request.folder / _ONNX
    notes = _onnx_exporters.chosen(request, path)
    inputs, outputs = onnx_files.promise(path)
    return Exported(
        _ONNX,
        CALL,
        inputs,
        onnx_files.named(outputs, request),
        {},
        versions("torch", "onnx"),
        (*notes, programs.UNREADABLE),
    )


def convert(folder: Path, manifest: Manifest) -> Manifest:
    """Make the SavedModel, its inputs as the ONNX file has them: by itself onnx2tf turns images
    into channels-last.

    Raises what onnx2tf raises, and `RuntimeError` where it only prints why it saved nothing.
    """
    os.environ["PATH"] = os.pathsep.join(
        (sysconfig.get_path("scripts"), os.environ.get("PATH", ""))
    )  # it calls onnxsim
    import onnx2tf
    from onnx2tf import onnx2tf as converter

    module: Any = converter
    module.download_test_image_data = _images
    source, made = folder / manifest.entry, folder / "made"
    names = [value.name for value in manifest.inputs]
    onnx2tf.convert(
        input_onnx_file_path=str(source),
        output_folder_path=str(made),
        keep_shape_absolutely_input_names=names,
        output_signaturedefs=True,
        verbosity="error",
    )
    if not (made / _ENTRY).exists():
        raise RuntimeError("onnx2tf saved nothing")
    for name in (_ENTRY, "fingerprint.pb", "variables"):
        if (made / name).exists():
            (made / name).replace(folder / name)
    shutil.rmtree(made)
    source.unlink()
    return replace(
        manifest,
        entry=_ENTRY,
        producers={**manifest.producers, **versions("onnx2tf", "tensorflow")},
    )


def _images() -> Any:
    """In place of the photographs that it would download to try a model on."""
    import numpy as np

    return np.random.default_rng(0).random((20, 128, 128, 3), dtype=np.float32)
