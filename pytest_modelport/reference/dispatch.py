"""What dispatch modes ask of an operation: its operands, what it changes, whether it draws."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch

from pytest_modelport.core.tensors import is_inexact


def wide(dtype: torch.dtype) -> torch.dtype:
    """The oracle's dtype in place of `dtype`: float64, complex128; integers and bool stay."""
    if dtype.is_complex:
        return torch.complex128
    return torch.float64 if dtype.is_floating_point else dtype


def operands(values: list[Any]) -> list[torch.Tensor]:
    """The floating point and complex tensors among an operation's flat arguments; dense ones, whose
    numbers lie where an oracle finds them.
    """
    return [value for value in values if is_inexact(value) and value.layout is torch.strided]


def is_arithmetic(function: Any, tensors: list[torch.Tensor]) -> bool:
    """Whether repeating the operation in another precision says something: it has float operands
    and returns tensors.
    """
    return bool(tensors) and function is not torch.ops.aten._local_scalar_dense.default


def may_draw(function: Any) -> bool:
    """Whether the operation may draw random numbers. Attention is tagged so, and draws none without
    dropout.
    """
    return torch.Tag.nondeterministic_seeded in function.tags


class Generators:
    """The state of torch's generators, to see whether an operation has drawn from one."""

    def __init__(self, tensors: list[torch.Tensor]) -> None:
        self._cuda = sorted({tensor.device.index or 0 for tensor in tensors if tensor.is_cuda})
        self._before = self._states()

    def _states(self) -> list[torch.Tensor]:
        return [torch.get_rng_state(), *(torch.cuda.get_rng_state(index) for index in self._cuda)]

    def drawn(self) -> bool:
        """Whether any has moved on since this object was made."""
        return any(
            not torch.equal(old, new) for old, new in zip(self._before, self._states(), strict=True)
        )


def mutated(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[torch.Tensor]:
    """The tensors, of any dtype, that the operation changes in place, by its schema."""
    tensors: list[torch.Tensor] = []
    for position, argument in enumerate(function._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            value = args[position] if position < len(args) else kwargs.get(argument.name)
            values = value if isinstance(value, (list, tuple)) else [value]
            tensors += [item for item in values if isinstance(item, torch.Tensor)]
    return tensors


def is_view(function: Any) -> bool:
    """Whether the operation only returns aliases of its operands."""
    schema = function._schema
    return any(result.alias_info is not None for result in schema.returns) and not any(
        argument.alias_info is not None and argument.alias_info.is_write
        for argument in schema.arguments
    )


def widened(values: list[Any], tensors: list[torch.Tensor], lift: Any) -> list[Any]:
    """An operation's flat arguments for float64: tensors through `lift`, dtype arguments widened.

    Python scalars become what eager makes of them: a float32 operation rounds 0.1 to float32 first.
    """
    narrow = all(tensor.dtype is not wide(tensor.dtype) for tensor in tensors)

    def one(value: Any) -> Any:
        if is_inexact(value):
            return lift(value)
        if isinstance(value, torch.dtype):
            return wide(value)
        if type(value) is float and narrow:
            return torch.tensor(value, dtype=torch.float32).item()
        return value

    return [one(value) for value in values]


@contextlib.contextmanager
def decomposed() -> Iterator[None]:
    """Switch off fused kernels that have no float64 twin (oneDNN's LSTM, the transformer fast
    path).
    """
    # Not by assignment, which torch's own test utilities forbid for the whole process.
    flags = torch.backends.mkldnn.flags
    with flags(enabled=False, deterministic=None, allow_tf32=None), unfused():
        yield


@contextlib.contextmanager
def unfused() -> Iterator[None]:
    """Let a transformer's layer be made of its operations, not of one."""
    fastpath = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fastpath)


def all_finite(tensor: torch.Tensor) -> bool:
    """Whether a sum says that every element is finite. False may be an overflow of the sum alone,
    or no sum for this dtype.
    """
    if tensor.dtype is torch.complex32:
        tensor = torch.view_as_real(tensor.resolve_conj())
    return tensor.dtype.itemsize > 1 and bool(tensor.sum().isfinite())


def selected_dim(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
    """The value of an operation's `dim` argument."""
    for position, argument in enumerate(func._schema.arguments):
        if argument.name == "dim":
            value = (
                args[position]
                if position < len(args)
                else kwargs.get("dim", argument.default_value)
            )
            return int(value)
    raise TypeError(f"{func} has no argument dim")
