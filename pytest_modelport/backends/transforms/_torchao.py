"""What the transforms that use torchao's `quantize_` share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_modelport.backends.transform_work import ModuleWork
from pytest_modelport.core.errors import CannotTransform

if TYPE_CHECKING:
    from torch import nn

REQUIRES = {"torch": "torch", "torchao": "torchao>=0.14"}


def quantized(work: ModuleWork, config: Any, group: int = 1) -> nn.Module:
    """The module with its linear layers quantized. Raises `CannotTransform` where there are none.

    group: what the inputs of a layer must be a multiple of; torchao raises for others.
    nn.MultiheadAttention's output layer is left out: it computes with the weight itself, past the
    layer, and a quantized one has no such thing.
    """
    from torch import nn
    from torch.nn.modules.linear import NonDynamicallyQuantizableLinear
    from torchao.quantization import quantize_

    def wanted(part: nn.Module, _: str) -> bool:
        if not isinstance(part, nn.Linear) or isinstance(part, NonDynamicallyQuantizableLinear):
            return False
        return part.in_features % group == 0

    layers = [path for path, part in work.module.named_modules() if wanted(part, path)]
    if not layers:
        fitting = f" whose inputs are a multiple of {group}" if group > 1 else ""
        raise CannotTransform(f"the model has no nn.Linear{fitting}: nothing to quantize")
    quantize_(work.module, config, filter_fn=wanted)
    return work.module.requires_grad_(requires_grad=False)
