"""Which parameters and buffers reach the subject's outputs, and what the subject computes from them
alone.

A mode that runs beside the oracle: every storage carries a set of sources (one bit each), every
operation's results carry the union of its operands'. What has no input among its sources is a
constant that an exporter may compute once and store.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
import torch
from torch import nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from pytest_modelport.core.tensors import is_inexact, is_tensor, plain
from pytest_modelport.reference.dispatch import is_view, may_draw, mutated

#: Constants beyond this many bytes in all are not kept; weights folded into them then stay
#: unexplained.
_KEPT_BYTES = 256 * 1024 * 1024
_INPUT = 1


def stored_tensors(module: nn.Module) -> dict[str, torch.Tensor]:
    """Every float tensor the subject keeps, by path: parameters, buffers and plain attributes. Tied
    ones once.

    Not those of eight bits: NumPy has no such numbers.
    """
    found: dict[str, torch.Tensor] = {}
    known: set[int] = set()
    for path, part in module.named_modules():
        for key, value in {**part._parameters, **part._buffers, **vars(part)}.items():
            if not is_tensor(value) or id(value) in known:
                continue
            known.add(id(value))
            parts = plain(f"{path}.{key}".lstrip("."), value)
            found |= {name: part for name, part in parts if _comparable(part)}
    return found


def _comparable(tensor: torch.Tensor) -> bool:
    return is_inexact(tensor) and tensor.layout is torch.strided and tensor.itemsize > 1


class Provenance(TorchDispatchMode):
    """While active, follows where every tensor comes from."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._stored = stored_tensors(module)
        self._bits = {name: 2 << position for position, name in enumerate(self._stored)}
        self._sources: dict[int, tuple[StorageWeakRef, int]] = {}
        self._derived: dict[bytes, tuple[int, torch.Tensor]] = {}
        self._bytes = 0
        self.numbers: set[float] = set()
        self.words: set[str] = set()
        for name, tensor in self._stored.items():
            self._mark(tensor, self._bits[name])

    def inputs(self, tensors: Iterable[torch.Tensor]) -> None:
        """Declare the tensors of a sample."""
        for tensor in tensors:
            self._mark(tensor, _INPUT)

    def names(self, tensors: Iterable[torch.Tensor]) -> tuple[str, ...]:
        """The stored tensors that these depend on."""
        mask = 0
        for tensor in tensors:
            mask |= self._of(tensor)
        return tuple(name for name, bit in self._bits.items() if mask & bit)

    @property
    def derived(self) -> list[tuple[tuple[str, ...], torch.Tensor]]:
        """What was computed from stored tensors alone, with its sources; each value once."""
        return [
            (tuple(name for name, bit in self._bits.items() if mask & bit), tensor)
            for mask, tensor in self._derived.values()
        ]

    def _of(self, tensor: torch.Tensor) -> int:
        found = self._sources.get(_storage(tensor))
        return 0 if found is None or found[0].expired() else found[1]

    def _mark(self, tensor: torch.Tensor, mask: int) -> None:
        if tensor.layout is torch.strided:
            self._sources[_storage(tensor)] = (StorageWeakRef(tensor.untyped_storage()), mask)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        flat = tree_flatten((args, kwargs))[0]
        operands = [value for value in flat if isinstance(value, torch.Tensor)]
        self.numbers.update(value for value in flat if type(value) is float)
        self.words.update(value for value in flat if isinstance(value, str))
        mask = 0
        for operand in operands:
            mask |= self._of(operand) if operand.layout is torch.strided else _INPUT
        if may_draw(func):
            mask |= _INPUT
        result = func(*args, **kwargs)
        results = [value for value in tree_flatten(result)[0] if isinstance(value, torch.Tensor)]
        if not is_view(func):
            for tensor in (*results, *mutated(func, args, kwargs)):
                self._mark(tensor, mask)
        if mask and not mask & _INPUT:
            self._keep(results, mask, operands)
        return result

    def _keep(self, results: list[torch.Tensor], mask: int, operands: list[torch.Tensor]) -> None:
        for tensor in results:
            size = tensor.numel() * tensor.element_size()
            same = any(
                tensor.numel() == other.numel() and _storage(tensor) == _storage(other)
                for other in operands
            )
            if (
                not is_inexact(tensor)
                or not tensor.numel()
                or same
                or self._bytes + size > _KEPT_BYTES
            ):
                continue
            value = tensor.detach().clone()
            digest = (
                bytes(f"{value.dtype}{tuple(value.shape)}", "ascii")
                + value.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
            )
            key = digest if len(digest) < 64 else _digest(digest)
            known = self._derived.get(key)
            if known is None:
                self._bytes += size
            self._derived[key] = (
                (mask | known[0], known[1]) if known else (mask, value)
            )  # equal layers compute equal values


def _digest(data: bytes) -> bytes:
    import hashlib

    return hashlib.blake2b(data, digest_size=16).digest()


def _storage(tensor: torch.Tensor) -> int:
    return int(tensor.untyped_storage()._cdata) if tensor.layout is torch.strided else 0


@dataclass(frozen=True, eq=False)
class KnownTensor:
    """Numbers the artifact may hold: a stored tensor, or one computed from stored tensors.
    `sources`: the stored ones.
    """

    label: str
    sources: tuple[str, ...]
    values: npt.NDArray[Any]
    computed: bool = False
