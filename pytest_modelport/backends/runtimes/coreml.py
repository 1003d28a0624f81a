"""Core ML packages on macOS. On other systems they are converted and not run."""

from __future__ import annotations

import platform
from pathlib import Path

from pytest_modelport.backends.kit import ordered
from pytest_modelport.backends.session_options import SessionOptions
from pytest_modelport.core.artifact import Manifest
from pytest_modelport.core.errors import CannotJudge
from pytest_modelport.core.feed import Answer, Feed

REQUIRES = {"coremltools": "coremltools>=9.0"}
DEVICES = ("cpu",)
OPENS = ("coreml",)
EXTRA = "coreml"


class CoremlSession:
    """A model on the CPU."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        import coremltools

        self._model = coremltools.models.MLModel(
            str(path), compute_units=coremltools.ComputeUnit.CPU_ONLY
        )
        description = self._model.get_spec().description
        self._inputs = [item.name for item in description.input]
        self._outputs = [item.name for item in description.output]
        self._manifest = manifest
        self.options = {"compute_units": "CPU_ONLY", "coremltools": coremltools.__version__}

    def run(self, feed: Feed) -> Answer:
        """One call."""
        given = ordered.arrays(self._manifest, feed)
        results = self._model.predict(dict(zip(self._inputs, given, strict=True)))
        return ordered.answer(self._manifest, [results[name] for name in self._outputs])


def open(folder: Path, manifest: Manifest, session_options: SessionOptions) -> CoremlSession:  # noqa: ARG001
    """Load the package. Raises `CannotJudge` where Core ML does not run."""
    if platform.system() != "Darwin":
        raise CannotJudge(
            "converted, and not run: Core ML runs on macOS only, "
            "so whether its answers are right is unknown here"
        )
    return CoremlSession(folder / manifest.entry, manifest)
