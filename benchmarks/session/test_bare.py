"""The same twelve with the exporters' and runtimes' own calls: exported to a file, opened, run. Nothing is compared."""

import pytest
import torch

from benchmarks.bare import MAKERS
from benchmarks.session.models import NAMES, model


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("target", MAKERS)
@torch.no_grad()
def test_model(name, target, tmp_path):
    subject, args = model(name)
    MAKERS[target](subject, args, None, tmp_path)()(args)
