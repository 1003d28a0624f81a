"""ExecuTorch with portable kernels only, as on a device without a backend."""

from __future__ import annotations

from pytest_modelport.backends.export import Exported, ExportRequest
from pytest_modelport.backends.formats import _executorch

REQUIRES = _executorch.REQUIRES
DEVICES = ("cpu",)
KIND = "executorch"
RUNTIME = "executorch"
EXTRA = "executorch"
QUANTIZER = "xnnpack"
SUFFIXES = (".pte",)
CALL = "named"
inspect, warm = _executorch.inspect, _executorch.warm
#: The program file gives no way to read its weights from Python.
constants = None


def export(request: ExportRequest) -> Exported:
    """Export behind flat tensors and lower."""
    return _executorch.export(request, [])
