"""The calls of torch's functions that a subject makes, in order, with their places in its code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.overrides import resolve_name

from pytest_modelport.core.sample import Call
from pytest_modelport.core.tensors import fresh, seed_all
from pytest_modelport.isolation.jobs import Done
from pytest_modelport.reference.evaluate import current_module
from pytest_modelport.reference.reference import Reference
from pytest_modelport.reference.trace import user_line
from pytest_modelport.subject.inner import Watch
from pytest_modelport.subject.modules import placed


@dataclass(frozen=True)
class InnerCall:
    """One call. computes: it makes new numbers, where a view only shows some in another way. rows:
    how long the first axis of what it makes is; 0 where there is none. changed: in place, later.
    """

    name: str
    module: str
    source: str
    computes: bool
    rows: int
    changed: bool

    def __str__(self) -> str:
        return f"{self.name} in {self.module}, {self.source}"


def inner_calls(reference: Reference) -> list[InnerCall]:
    """What the subject calls in its first call; nothing where that cannot be had."""
    ending = reference.jobs.run_one("inner", watched, reference.calls[:1])
    return [InnerCall(**row) for row in ending.value] if isinstance(ending, Done) else []


def watched(
    module: nn.Module,
    calls: Sequence[Call],
    device: str,
    out: Path,  # noqa: ARG001
) -> list[dict[str, Any]]:
    """Every inner call of one call of the subject. A job for `isolation.jobs`."""
    module = placed(module, device)
    sample = fresh(calls[0].sample, device)
    seed_all(calls[0].seed)
    rows: list[tuple[dict[str, Any], list[tuple[torch.Tensor, int]]]] = []
    with torch.no_grad(), current_module(module) as here:

        def seen(_: int, func: Any, tensors: list[torch.Tensor]) -> None:
            name = resolve_name(func) or getattr(func, "__name__", str(func))
            row = {
                "name": name,
                "module": here(),
                "source": user_line(),
                "rows": tensors[0].shape[0] if tensors[0].dim() else 0,
                "computes": name.endswith("_") or not all(tensor._is_view() for tensor in tensors),
            }
            rows.append((row, [(tensor, tensor._version) for tensor in tensors]))

        with Watch(seen):
            module(*sample.args, **sample.kwargs)
    return [
        {**row, "changed": any(tensor._version != version for tensor, version in made)}
        for row, made in rows
    ]
