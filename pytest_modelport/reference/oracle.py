"""The float64 oracle: what the subject's answer really is.

The subject runs as it is, in its own precision, and every operation it dispatches is repeated in
float64 on shadows of its operands. The eager run decides control flow, shapes, integers and dtypes,
so the oracle is the exact arithmetic of the very path eager took. Shadows belong to storages, not
tensors: views and in-place writes alias as they do in eager, and the weights need no copy (an
operand without a shadow is widened for that one operation).
"""

from __future__ import annotations

from typing import Any

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_unflatten

from pytest_modelport.core.tensors import is_inexact
from pytest_modelport.reference.dispatch import (
    Generators,
    all_finite,
    is_arithmetic,
    is_view,
    may_draw,
    mutated,
    operands,
    wide,
    widened,
)

#: Shadows after which those of dead tensors are looked for.
_MANY = 64


class Oracle(TorchDispatchMode):
    """While active, shadows every float result in float64. `of(tensor)` is the exact value behind
    an eager one.

    holes: operations that could not run in float64, with what they said; their results count as
    exact.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.holes: dict[str, str] = {}
        self._shadows: dict[int, tuple[StorageWeakRef, torch.Tensor]] = {}
        self._many = _MANY

    def of(self, tensor: torch.Tensor) -> torch.Tensor:
        """float64 (complex128) values of a tensor the subject returned or changed; integers and
        bools are themselves.
        """
        if not is_inexact(tensor):
            return tensor
        if tensor.layout is not torch.strided:  # has no memory of its own to shadow
            return tensor.detach().to(wide(tensor.dtype))
        shadow = self._find(tensor)
        return (
            tensor.detach().to(wide(tensor.dtype)) if shadow is None else _strided(shadow, tensor)
        )

    def _find(self, tensor: torch.Tensor) -> torch.Tensor | None:
        found = self._shadows.get(tensor.untyped_storage()._cdata)
        return None if found is None or found[0].expired() else found[1]

    def _keep(self, tensor: torch.Tensor, shadow: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        self._shadows[storage._cdata] = (StorageWeakRef(storage), shadow)
        if len(self._shadows) >= self._many:  # those of tensors that are gone hold memory
            self._shadows = {
                key: kept for key, kept in self._shadows.items() if not kept[0].expired()
            }
            self._many = max(_MANY, 2 * len(self._shadows))

    def _materialise(self, tensor: torch.Tensor) -> None:
        """Give the tensor's whole storage a shadow, because a part of it is about to be written."""
        if self._find(tensor) is None:
            whole = torch.empty(0, dtype=tensor.dtype, device=tensor.device).set_(
                tensor.untyped_storage()
            )
            self._keep(tensor, _parts(whole).to(torch.float64, copy=True).reshape(-1))

    def _store(
        self, tensor: torch.Tensor, value: torch.Tensor, tensors: list[torch.Tensor]
    ) -> None:
        """The shadow of a new tensor, laid out as eager laid it out: the value itself where it lies
        so and is no operand's.
        """
        elements = tensor.untyped_storage().nbytes() // tensor.element_size()
        if self._fits(value, tensor, elements, tensors):
            self._keep(tensor, value.as_strided((elements,), (1,)))
            return
        shadow = torch.zeros(
            elements * (2 if tensor.is_complex() else 1), dtype=torch.float64, device=tensor.device
        )
        _strided(shadow, tensor).copy_(value)
        self._keep(tensor, shadow)

    def _fits(
        self, value: torch.Tensor, tensor: torch.Tensor, elements: int, tensors: list[torch.Tensor]
    ) -> bool:
        alike = (
            value.dtype is torch.float64
            and value.stride() == tensor.stride()
            and not tensor.storage_offset()
        )
        storage = value.untyped_storage()
        mine = alike and not value.storage_offset() and storage.nbytes() == 8 * elements
        shadows = (
            [shadow for shadow in map(self._find, tensors) if shadow is not None] if mine else []
        )
        return mine and all(shadow.untyped_storage()._cdata != storage._cdata for shadow in shadows)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        flat, spec = tree_flatten((args, kwargs))
        tensors = operands(flat)
        if is_view(func):
            return func(*args, **kwargs)
        targets = operands(mutated(func, args, kwargs))
        if not is_arithmetic(func, tensors):
            self._forget(targets)
            return func(*args, **kwargs)
        if may_draw(func):
            generators = Generators(tensors)
            result = func(*args, **kwargs)
            if targets or generators.drawn():
                self._forget(targets)
            else:
                self._record(result, self._repeat(func, flat, tensors, spec), tensors, targets)
            return result
        for tensor in targets:
            self._materialise(tensor)
        exact = self._repeat(func, flat, tensors, spec)
        result = func(*args, **kwargs)
        self._record(result, exact, tensors, targets)
        return result

    def _forget(self, tensors: list[torch.Tensor]) -> None:
        """What eager writes into these is exact from now on."""
        for tensor in tensors:
            self._shadows.pop(tensor.untyped_storage()._cdata, None)

    def _repeat(self, func: Any, flat: list[Any], tensors: list[torch.Tensor], spec: Any) -> Any:
        """The operation in float64 (before eager's: in-place operands must still be as they were).
        None when it cannot.
        """
        args, kwargs = tree_unflatten(widened(flat, tensors, self.of), spec)
        try:
            return func(*args, **kwargs)
        except (
            RuntimeError,
            TypeError,
            ValueError,
            NotImplementedError,
            IndexError,
            AssertionError,
        ) as error:
            # torch has no type of its own for "no kernel for this dtype", and quantizing asserts
            # float32. Eager, run next, raises what is truly wrong.
            self.holes[str(func)] = (
                str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            )
            return None

    def _record(
        self, result: Any, exact: Any, tensors: list[torch.Tensor], targets: list[torch.Tensor]
    ) -> None:
        widest = max(torch.finfo(tensor.dtype).bits for tensor in tensors)
        if exact is None:
            self._forget(targets)
            return
        for tensor in targets:
            written = _resolved(self.of(tensor))
            self.of(tensor).copy_(_within(_rounded(written, tensor, widest), tensor))
        known = {tensor.untyped_storage()._cdata for tensor in tensors}
        for eager, value in zip(tree_flatten(result)[0], tree_flatten(exact)[0], strict=True):
            new = (
                is_inexact(eager)
                and eager.layout is torch.strided
                and eager.numel()
                and eager.untyped_storage()._cdata not in known
            )
            if new and is_inexact(value) and eager.shape == value.shape:
                rounded = _rounded(_resolved(value), eager, widest)
                self._store(eager, _within(rounded, eager), tensors)


def _resolved(tensor: torch.Tensor) -> torch.Tensor:
    """Without the bits of lazy views, which what is called from a mode does not heed."""
    return tensor.resolve_conj().resolve_neg()


def _parts(tensor: torch.Tensor) -> torch.Tensor:
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor


def _strided(shadow: torch.Tensor, tensor: torch.Tensor) -> torch.Tensor:
    """The part of a storage's shadow that `tensor` looks at."""
    base = torch.view_as_complex(shadow.view(-1, 2)) if tensor.is_complex() else shadow
    part = base.as_strided(tensor.size(), tensor.stride(), tensor.storage_offset())
    part = part.conj() if tensor.is_conj() else part  # both are views that know it by a bit alone
    return part._neg_view() if tensor.is_neg() else part


def _rounded(value: torch.Tensor, eager: torch.Tensor, widest: int) -> torch.Tensor:
    """A result narrower than the operands was rounded on purpose (`x.half()`), so the oracle rounds
    too.
    """
    return (
        value.to(eager.dtype).to(value.dtype) if torch.finfo(eager.dtype).bits < widest else value
    )


def _holds(dtype: torch.dtype, value: torch.Tensor) -> bool:
    """Whether every element is within the range of a dtype. False for NaN."""
    if value.is_complex() or not value.numel():
        return False
    low, high = value.aminmax()
    return bool(-torch.finfo(dtype).max <= low) and bool(high <= torch.finfo(dtype).max)


def _within(value: torch.Tensor, eager: torch.Tensor) -> torch.Tensor:
    """What eager's dtype cannot hold is what eager made of it: overflow is the subject's behaviour,
    not an error of it.
    """
    if all_finite(eager) and _holds(eager.dtype, value):
        return value
    plain = _resolved(eager)
    beyond = value.abs() > torch.finfo(eager.dtype).max
    return torch.where(beyond | ~plain.isfinite(), plain.to(value.dtype), value)
