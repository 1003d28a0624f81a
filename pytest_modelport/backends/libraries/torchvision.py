"""torchvision: models by name, with weights of seed 0: `torchvision:resnet18?num_classes=10`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pytest_modelport.core.errors import unknown
from pytest_modelport.core.sample import Sample
from pytest_modelport.request.model_names import converted

if TYPE_CHECKING:
    from torch import nn

REQUIRES = {"torchvision": "torchvision>=0.20"}


def build(name: str, options: Mapping[str, str]) -> tuple[nn.Module, Sample]:
    """The model in eval mode, and two images. options: the model's own; `size`: of the images, 224
    unless said.
    """
    import torch
    from torchvision import models

    if name not in models.list_models():
        raise unknown("model of torchvision", name, models.list_models())
    size = int(options.get("size", "224"))
    settings = {key: converted(text) for key, text in options.items() if key != "size"}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model: nn.Module = models.get_model(name, weights=None, **settings)
        return model.eval(), Sample((torch.randn(2, 3, size, size),))
