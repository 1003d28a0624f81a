"""The classifier as a portable class."""

import pytest

from benchmarks.suites.models import batches, make


@pytest.mark.portable(
    targets=["torch_compile", "torch_export", "aotinductor", "torchscript", "onnx", "state_dict"]
)
class TestClassifier:
    dynamic_shapes = {0: "batch"}
    args, *samples = batches()

    def model(self):
        return make().eval()
