"""TVM's compiled libraries, run by Relax's virtual machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pytest_modelport.backends.kit import ordered
from pytest_modelport.backends.session_options import SessionOptions
from pytest_modelport.core.artifact import Manifest
from pytest_modelport.core.feed import Answer, Feed

REQUIRES = {"tvm": "apache-tvm>=0.20"}
DEVICES = ("cpu",)
OPENS = ("tvm",)
EXTRA = "tvm"


class TvmSession:
    """The library's function `main`."""

    def __init__(self, path: Path, manifest: Manifest, session_options: SessionOptions) -> None:
        os.environ["TVM_NUM_THREADS"] = str(session_options.threads)
        import tvm
        from tvm import relax

        self._runtime = tvm.runtime
        self._machine = relax.VirtualMachine(tvm.runtime.load_module(str(path)), tvm.cpu())
        self._manifest = manifest
        self.options = {"intra_op_threads": session_options.threads, "tvm": tvm.__version__}

    def run(self, feed: Feed) -> Answer:
        """One call."""
        given = [self._runtime.tensor(array) for array in ordered.arrays(self._manifest, feed)]
        results: Any = self._machine["main"](*given)
        found = [results] if hasattr(results, "numpy") else list(results)
        return ordered.answer(self._manifest, [result.numpy() for result in found])


def open(folder: Path, manifest: Manifest, session_options: SessionOptions) -> TvmSession:
    """Load the library. Raises what TVM raises."""
    return TvmSession(folder / manifest.entry, manifest, session_options)
