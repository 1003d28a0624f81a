"""ExecuTorch with portable kernels only, as on a device without a backend."""

from __future__ import annotations

from pytest_modelport import executorchfile
from pytest_modelport.export import Exported, Request

REQUIRES = executorchfile.REQUIRES
DEVICES = ("cpu",)
KIND = "executorch"
RUNTIME = "executorch"
EXTRA = "executorch"
QUANTIZER = "xnnpack"
SUFFIXES = (".pte",)
CALL = "named"

inspect, warm = executorchfile.inspect, executorchfile.warm
#: The program file gives no way to read its weights from Python.
constants = None


def export(request: Request) -> Exported:
    """Export behind flat tensors and lower."""
    return executorchfile.export(request, [])
