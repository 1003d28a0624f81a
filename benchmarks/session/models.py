"""The four subjects of every session, with their inputs."""

from __future__ import annotations

import torch
from torch import nn

from fixtures import digits, hub


def model(name: str) -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """A model in eval mode and the arguments it is exported with."""
    if name in digits.MODELS:
        return digits.load(name), (digits.images(8, name=name),)
    torch.manual_seed(0)
    built, args, _ = hub.ARCHITECTURES[name]()
    return First(built).eval(), args


class First(nn.Module):
    """Only the first output: pytest-torch's TorchScript helper takes no model that returns a dict."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, *args):
        return self.inner(*args)[0]


NAMES = ("cnn", "encoder", "bert", "vit")
