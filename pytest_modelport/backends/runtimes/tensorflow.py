"""TensorFlow: a SavedModel's default signature."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pytest_modelport.backends.export import versions
from pytest_modelport.backends.kit import ordered
from pytest_modelport.backends.session_options import SessionOptions
from pytest_modelport.core.artifact import Manifest
from pytest_modelport.core.feed import Answer, Feed

REQUIRES = {"tensorflow": "tensorflow>=2.19"}
DEVICES = ("cpu",)
OPENS = ("tensorflow",)
EXTRA = ""
ENVIRONMENT = "tensorflow"


class TensorflowSession:
    """A signature: inputs by name, outputs `output_0`, `output_1` ... in the ONNX file's order."""

    def __init__(self, folder: Path, manifest: Manifest, session_options: SessionOptions) -> None:
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(session_options.threads)
        self._loaded: Any = tf.saved_model.load(str(folder))  # the signature needs it alive
        self._call = self._loaded.signatures["serving_default"]
        self._manifest = manifest
        self.options = {
            "device": "cpu",
            "intra_op_threads": session_options.threads,
            **versions("tensorflow"),
        }

    def run(self, feed: Feed) -> Answer:
        """One call."""
        import tensorflow as tf

        given = {name: tf.constant(ordered.dense(array)) for name, array in feed.inputs.items()}
        results = self._call(**given)
        found = [
            results[name] for name in sorted(results, key=lambda name: int(name.rpartition("_")[2]))
        ]
        return ordered.answer(self._manifest, [result.numpy() for result in found])


def open(folder: Path, manifest: Manifest, session_options: SessionOptions) -> TensorflowSession:
    """Load the model. Raises what TensorFlow raises."""
    return TensorflowSession(folder, manifest, session_options)
