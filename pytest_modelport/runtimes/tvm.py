"""TVM's compiled libraries, run by Relax's virtual machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pytest_modelport import ordered
from pytest_modelport.artifact import Manifest
from pytest_modelport.feed import Answer, Feed
from pytest_modelport.setting import Setting

REQUIRES = {"tvm": "apache-tvm>=0.20"}
DEVICES = ("cpu",)
OPENS = ("tvm",)
EXTRA = "tvm"


class TvmSession:
    """The library's function `main`."""

    def __init__(self, path: Path, manifest: Manifest, setting: Setting) -> None:
        os.environ["TVM_NUM_THREADS"] = str(setting.threads)
        import tvm
        from tvm import relax

        self._runtime = tvm.runtime
        self._machine = relax.VirtualMachine(tvm.runtime.load_module(str(path)), tvm.cpu())
        self._manifest = manifest
        self.options = {"intra_op_threads": setting.threads, "tvm": tvm.__version__}

    def run(self, feed: Feed) -> Answer:
        """One call."""
        given = [self._runtime.tensor(array) for array in ordered.arrays(self._manifest, feed)]
        results: Any = self._machine["main"](*given)
        found = [results] if hasattr(results, "numpy") else list(results)
        return ordered.answer(self._manifest, [result.numpy() for result in found])


def open(folder: Path, manifest: Manifest, setting: Setting) -> TvmSession:
    """Load the library. Raises what TVM raises."""
    return TvmSession(folder / manifest.entry, manifest, setting)
