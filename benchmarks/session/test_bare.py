"""The same twelve with the exporters' and runtimes' own calls: exported to a file, opened, run.
Nothing is compared.
"""

import pytest
import torch

from benchmarks import bare
from benchmarks.session.models import NAMES, model


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("target", [bare.onnx, bare.torchscript, bare.torch_export])
@torch.no_grad()
def test_model(name, target, tmp_path):
    subject, args = model(name)
    target(subject, args, None, tmp_path)()(args)
