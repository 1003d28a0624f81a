"""ExecuTorch, lowered to XNNPACK where XNNPACK has the operator and to portable kernels elsewhere."""

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
#: Weights are packed by the backends, which give no way to read them.
constants = None


def export(request: Request) -> Exported:
    """Export behind flat tensors and lower."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner

    return executorchfile.export(request, [XnnpackPartitioner()])
