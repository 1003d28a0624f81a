"""Copies of models that `copy.deepcopy` refuses."""

from __future__ import annotations

import copy
from types import ModuleType
from typing import Any

import torch
from torch import nn


def copied(module: nn.Module) -> nn.Module:
    """A deep copy. Where something in the module refuses to be copied, the copy has a tensor's
    values without its history (`weight_norm`, masks of pruning, features kept from a forward pass),
    and shares what is no tensor (locks, generators, frozen dicts). Raises what `copy.deepcopy` does
    where the module itself refuses.
    """
    try:
        return copy.deepcopy(module)
    except Exception:  # noqa: BLE001 - anybody's `__deepcopy__` and `__reduce__` may raise anything
        memo: dict[int, Any] = {}
        _prepare(module, memo, set())
        return copy.deepcopy(module, memo)


def _prepare(value: Any, memo: dict[int, Any], seen: set[int]) -> None:
    """Put into `memo`, by `id`, what is to stand in the copy for what refuses to be copied."""
    if id(value) in seen or isinstance(value, type):
        return
    seen.add(id(value))
    if isinstance(value, torch.Tensor):
        if not value.is_leaf:
            memo[id(value)] = value.detach().clone()
        return
    if isinstance(value, ModuleType):  # all of a package is no part of the model
        memo[id(value)] = value
        return
    for part in _parts(value):
        _prepare(part, memo, seen)
    # A container with a class of its own may refuse where its content does not.
    if not isinstance(value, nn.Module) and type(value) not in (dict, list, tuple):
        try:
            copy.deepcopy(value, dict(memo))
        except Exception:  # noqa: BLE001 - as above
            memo[id(value)] = value


def _parts(value: Any) -> list[Any]:
    """What a container or an object holds."""
    held = list(vars(value).values()) if hasattr(value, "__dict__") else []
    if isinstance(value, dict):
        held += value.values()
    elif isinstance(value, (list, tuple, set, frozenset)):
        held += value
    return held
