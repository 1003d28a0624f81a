"""Every operation of one call of the subject, with its place in the user's code and a signature of
what it computed.
"""

from __future__ import annotations

import linecache
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from pytest_modelport.core.cause import is_machinery
from pytest_modelport.core.tensor_stats import TensorStats, stats_of
from pytest_modelport.core.tensors import to_array
from pytest_modelport.reference.dispatch import is_view, mutated


class Tracer(TorchDispatchMode):
    """While active, writes down every operation that computes something.

    here: names the submodule being executed.
    """

    def __init__(self, here: Callable[[], str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations: list[dict[str, Any]] = []
        self._here = here
        self._writers: dict[int, tuple[int, torch.UntypedStorage]] = {}

    def producer(self, tensor: torch.Tensor) -> int | None:
        """The operation that last wrote a tensor's memory; None for inputs and stored tensors."""
        found = (
            self._writers.get(tensor.untyped_storage()._cdata)
            if tensor.layout is torch.strided
            else None
        )
        return found[0] if found else None

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        operands = [
            value for value in tree_flatten((args, kwargs))[0] if isinstance(value, torch.Tensor)
        ]
        sources = [self.producer(operand) for operand in operands]
        result = func(*args, **kwargs)
        made = [value for value in tree_flatten(result)[0] if isinstance(value, torch.Tensor)]
        if not is_view(func) and made:
            changed = mutated(func, args, kwargs)
            known = {tensor.untyped_storage()._cdata for tensor in changed if _dense(tensor)}
            new = [
                tensor
                for tensor in made
                if _dense(tensor) and tensor.untyped_storage()._cdata not in known
            ]
            self._record(
                func,
                [source for source in sources if source is not None],
                [*new, *(_whole(tensor) for tensor in changed if _dense(tensor))],
            )
        return result

    def _record(self, func: Any, sources: list[int], made: list[torch.Tensor]) -> None:
        number = len(self.operations)
        self.operations.append(
            {
                "name": str(func),
                "module": self._here(),
                "source": user_line(),
                "sources": sorted(set(sources)),
                "signatures": [stats_of(to_array(tensor).numpy()).to_list() for tensor in made],
            }
        )
        for tensor in made:  # the storage is kept, so that its address stays its own
            storage = tensor.untyped_storage()
            self._writers[storage._cdata] = (number, storage)


def _dense(tensor: torch.Tensor) -> bool:
    return tensor.layout is torch.strided and not tensor.is_quantized


def _whole(tensor: torch.Tensor) -> torch.Tensor:
    """All that lies in the memory of a tensor, a part of which has been written: what is used
    afterwards is that, and a part alone may be found anywhere.
    """
    memory = tensor.untyped_storage()
    if memory.nbytes() == tensor.numel() * tensor.element_size():
        return tensor
    return torch.empty(0, dtype=tensor.dtype, device=tensor.device).set_(memory)


def user_line() -> str:
    """The innermost line of the user's code on the stack: `model.py:12: return self.head(x)`."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        file = frame.f_code.co_filename
        if not is_machinery(file) and not file.startswith("<"):
            line = linecache.getline(file, frame.f_lineno).strip()
            return f"{file}:{frame.f_lineno}" + (f": {line}" if line else "")
        frame = frame.f_back
    return ""


@dataclass(frozen=True)
class Operation:
    """One operation of the subject. sources: the numbers of the operations it takes its operands
    from.
    """

    name: str
    module: str
    source: str
    sources: tuple[int, ...]
    signatures: tuple[TensorStats, ...]

    @property
    def allocates(self) -> bool:
        """Whether it only takes memory: what lies there is nobody's result."""
        return self.name.startswith(("aten.empty", "aten.new_empty"))


@dataclass(frozen=True, eq=False)
class Traced:
    """The operations of one call, and the number of the one that made each output."""

    operations: Sequence[Operation]
    outputs: Mapping[str, int]
