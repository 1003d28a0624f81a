"""ExecuTorch, lowered to XNNPACK where it has the operator and to portable kernels elsewhere."""

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
#: Weights are packed by the backends, which give no way to read them.
constants = None


def export(request: ExportRequest) -> Exported:
    """Export behind flat tensors and lower."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner

    return _executorch.export(request, [XnnpackPartitioner()])
