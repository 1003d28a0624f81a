"""The classifier as a pytest-torch ModelSuite: the same six ports, each check with what it can
take.
"""

from pytest_torch import ModelSuite

from benchmarks.suites.models import batches, make


class TestClassifier(ModelSuite):
    checks = ("compile", "export", "aoti", "torchscript", "onnx", "checkpoint")
    check_options = {
        "compile_parity": {"backend": "inductor"},
        "aoti_parity": {"dynamic_batch": True},
    }
    dynamic_batch = True

    def make_model(self):
        return make()

    def make_inputs(self, make_tensor):
        return batches()[0]
