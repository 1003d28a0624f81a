"""ExecuTorch programs in its Python runtime."""

from __future__ import annotations

from pathlib import Path

from pytest_modelport.backends.kit import ordered
from pytest_modelport.backends.session_options import SessionOptions
from pytest_modelport.core.artifact import Manifest
from pytest_modelport.core.feed import Answer, Feed

REQUIRES = {"torch": "torch", "executorch": "executorch>=1.0"}
DEVICES = ("cpu",)
OPENS = ("executorch",)
EXTRA = "executorch"
PRELOAD = ("executorch.runtime",)


class ExecutorchSession:
    """The program's method `forward`."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        import importlib.metadata

        from executorch.runtime import Runtime

        self._program = Runtime.get().load_program(
            path
        )  # the method lives only as long as its program
        self._method = self._program.load_method("forward")
        if self._method is None:
            raise RuntimeError("the program has no method 'forward'")
        self._manifest = manifest
        self.options = {"executorch": importlib.metadata.version("executorch")}

    def run(self, feed: Feed) -> Answer:
        """One call. What it returns is copied: its memory belongs to the program."""
        from pytest_modelport.core.tensors import to_array, to_tensor

        given = ordered.placed(self._manifest, feed).values()
        results = self._method.execute([to_tensor(array, "cpu").contiguous() for array in given])
        return ordered.answer(self._manifest, [to_array(result.clone()) for result in results])


def open(folder: Path, manifest: Manifest, session_options: SessionOptions) -> ExecutorchSession:  # noqa: ARG001
    """Load the program. Raises what ExecuTorch raises."""
    return ExecutorchSession(folder / manifest.entry, manifest)
