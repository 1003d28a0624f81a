"""timm: image models by name, with weights of seed 0: `timm:resnet18?num_classes=10`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pytest_modelport.core.errors import unknown
from pytest_modelport.core.sample import Sample
from pytest_modelport.request.model_names import converted

if TYPE_CHECKING:
    from torch import nn

REQUIRES = {"timm": "timm>=1"}


def build(name: str, options: Mapping[str, str]) -> tuple[nn.Module, Sample]:
    """The model in eval mode, and two images of the size it is made for. options:
    `timm.create_model`'s.
    """
    import timm
    import torch

    if not timm.is_model(name):
        raise unknown("model of timm", name, timm.list_models())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model: nn.Module = timm.create_model(
            name, pretrained=False, **{key: converted(text) for key, text in options.items()}
        )
        return model.eval(), Sample(
            (torch.randn(2, *timm.data.resolve_data_config({}, model=model)["input_size"]),)
        )
