"""torch.autocast to bfloat16 around the model's forward: weights stay float32, most products are
computed in bfloat16.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from pytest_modelport.backends.transform_work import ModuleWork

if TYPE_CHECKING:
    from torch import nn

REQUIRES = {"torch": "torch"}
EXTRA = ""
ON = "subject"
FLOOR = "autocast"


def apply(work: ModuleWork) -> nn.Module:
    """The module as an instance of a subclass whose forward runs under autocast: names, paths and
    signature stay.
    """
    import torch

    kind, device = type(work.module), torch.device(work.request.device).type

    def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
        with torch.autocast(device, torch.bfloat16):
            return kind.forward(self, *args, **kwargs)

    forward.__signature__ = inspect.signature(kind.forward)  # type: ignore[attr-defined]
    work.module.__class__ = type(f"{kind.__name__}UnderAutocast", (kind,), {"forward": forward})
    return work.module
