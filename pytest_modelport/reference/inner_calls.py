"""The calls of torch's functions that a subject makes, in order, with their places in its code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from pytest_modelport.core.sample import Call
from pytest_modelport.core.tensors import fresh, is_inexact, is_tensor, seed_all
from pytest_modelport.isolation.jobs import Done
from pytest_modelport.reference.evaluate import current_module
from pytest_modelport.reference.reference import Reference
from pytest_modelport.reference.trace import user_line
from pytest_modelport.subject.inner import Key, Watch
from pytest_modelport.subject.modules import placed


@dataclass(frozen=True)
class InnerCall:
    """One call. number: how many of that name came before. computes: it makes new numbers, where a
    view only shows some in another way. floats: of floating point. rows: how long the first axis of
    what it makes is; 0 where there is none. changed: in place, later.
    """

    name: str
    number: int
    module: str
    source: str
    computes: bool
    floats: bool
    rows: int
    changed: bool

    @property
    def key(self) -> Key:
        return self.name, self.number

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
    stored = [*module.parameters(), *module.buffers()]
    given = [leaf for leaf in tree_leaves((sample.args, dict(sample.kwargs))) if is_tensor(leaf)]
    known = _Memory([*stored, *given])
    with torch.no_grad(), current_module(module) as here:

        def seen(key: Key, tensors: list[torch.Tensor]) -> None:
            row = {
                "name": key[0],
                "number": key[1],
                "module": here(),
                "source": user_line(),
                "rows": tensors[0].shape[0] if tensors[0].dim() else 0,
                "floats": any(map(is_inexact, tensors)),
                "computes": sum(map(known.written, tensors)) > 0,
            }
            rows.append((row, [(tensor, tensor._version) for tensor in tensors]))

        with Watch(seen):
            module(*sample.args, **sample.kwargs)
    return [
        {**row, "changed": any(tensor._version != version for tensor, version in made)}
        for row, made in rows
    ]


class _Memory:
    """The memory that tensors lie in, and how often each piece has been written to."""

    def __init__(self, tensors: Sequence[torch.Tensor]) -> None:
        self._versions: dict[int, tuple[int, torch.Tensor]] = {}
        for tensor in tensors:
            self.written(tensor)

    def written(self, tensor: torch.Tensor) -> bool:
        """Whether its memory is new or has changed since this was last asked. Views of one piece
        count its changes together.
        """
        if tensor.layout is not torch.strided:
            return False
        place = tensor.untyped_storage()._cdata
        before = self._versions.get(place)
        self._versions[place] = tensor._version, tensor  # kept, so that its address stays its own
        return before is None or before[0] != tensor._version
