"""Structured pruning by torch-pruning: channels that matter least are cut out, with everything that
depends on them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_modelport.backends.transform_work import ModuleWork
from pytest_modelport.backends.transforms._pruning import amount_of, trained
from pytest_modelport.core.errors import CannotTransform

if TYPE_CHECKING:
    from torch import nn

REQUIRES = {"torch": "torch", "torch_pruning": "torch-pruning>=1.5"}
EXTRA = "pruning"
ON = "subject"
FLOOR = "cut"
TRAINS = True
OPTIONS = {"amount": float, "round_to": int}


def apply(work: ModuleWork) -> nn.Module:
    """`amount` (0.5): the share of each layer's channels. `round_to` (8): channels stay a
    multiple of it. The last layer is kept.

    Raises `CannotTransform` for recurrent layers, which torch-pruning cannot cut, and where nothing
    got smaller.
    """
    import torch
    import torch_pruning
    from torch import nn

    amount = amount_of(work, 0.5)
    recurrent = next(
        (path for path, part in work.module.named_modules() if isinstance(part, nn.RNNBase)), None
    )
    if recurrent is not None:
        raise CannotTransform(f"{recurrent} is recurrent: torch-pruning cannot cut such layers")
    before = _numbers(work.module)
    pruner = torch_pruning.pruner.BasePruner(
        work.module,
        _example(work),
        importance=torch_pruning.importance.GroupMagnitudeImportance(p=2),
        pruning_ratio=amount,
        round_to=work.options.get("round_to", 8),
        ignored_layers=_last(work),
    )
    with torch.enable_grad():
        pruner.step()
    work.module.zero_grad()
    if _numbers(work.module) >= before:
        raise CannotTransform(
            f"nothing was cut: the model has {before} parameters as before; try a smaller round_to"
        )
    if work.finetune is not None:
        trained(work)
    return work.module


def _numbers(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _example(work: ModuleWork) -> Any:
    sample = work.samples[0]
    return (
        {**dict(zip(_names(work), sample.args, strict=False)), **sample.kwargs}
        if sample.kwargs
        else sample.args
    )


def _names(work: ModuleWork) -> list[str]:
    return [str(path[0]) for path in work.request.inputs.positional]


def _last(work: ModuleWork) -> list[nn.Module]:
    """The layer that runs last: its outputs are the model's."""
    import torch
    from torch import nn

    ran: list[nn.Module] = []
    layers = [
        part
        for part in work.module.modules()
        if isinstance(part, (nn.Linear, nn.modules.conv._ConvNd))
    ]
    hooks = [part.register_forward_hook(lambda part, *_: ran.append(part)) for part in layers]
    try:
        with torch.no_grad():
            work.module(*work.samples[0].args, **work.samples[0].kwargs)
    finally:
        for hook in hooks:
            hook.remove()
    return ran[-1:]
