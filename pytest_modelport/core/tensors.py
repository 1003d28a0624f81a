"""torch tensors <-> arrays, and the few things Modelport does with a nest of tensors."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch

from pytest_modelport.core import tree
from pytest_modelport.core.arrays import Array
from pytest_modelport.core.sample import Sample


def is_tensor(value: Any) -> bool:
    """Whether `value` is a leaf of inputs and outputs."""
    return isinstance(value, torch.Tensor)


def is_inexact(value: Any) -> bool:
    """Whether `value` is a tensor whose numbers are rounded: floating point or complex."""
    return isinstance(value, torch.Tensor) and (value.is_floating_point() or value.is_complex())


def plain(name: str, tensor: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
    """The tensor, or the ones that a wrapper of several holds (torchao's numbers and scales), each
    with its name.
    """
    from torch.utils._python_dispatch import is_traceable_wrapper_subclass

    holder: Any = tensor
    if not is_traceable_wrapper_subclass(holder):
        yield name, tensor
        return
    for inner in holder.__tensor_flatten__()[0]:
        yield from plain(f"{name}.{inner}", getattr(holder, inner))


def dtype_name(dtype: torch.dtype) -> str:
    """`float32` for `torch.float32`."""
    return str(dtype).removeprefix("torch.")


_SPARSE = (
    *(torch.sparse_coo, torch.sparse_csr, torch.sparse_csc),
    *(torch.sparse_bsr, torch.sparse_bsc),
)


def is_sparse(tensor: torch.Tensor) -> bool:
    """Whether it stores some of its elements only, by whichever layout."""
    return tensor.layout in _SPARSE


def dense(tensor: torch.Tensor) -> torch.Tensor:
    """An output as a dense tensor: a sparse one is what it stands for, zeros included."""
    return tensor.to_dense() if is_sparse(tensor) else tensor


def to_array(tensor: torch.Tensor, *, strided: bool = False) -> Array:
    """A copy of the tensor's values, in C order or, with `strided`, laid out as the tensor is.

    Raises `TypeError` for sparse, quantized and other non-dense tensors.
    """
    if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_nested:
        raise TypeError(
            f"a {tensor.layout} tensor of dtype {tensor.dtype} cannot be compared: "
            "return a dense one"
        )
    plain = tensor.detach().cpu().resolve_conj().resolve_neg()
    if not plain.numel():
        return Array(dtype_name(plain.dtype), tuple(plain.shape), b"")
    if not strided or plain.is_contiguous():
        return Array(
            dtype_name(plain.dtype), tuple(plain.shape), _bytes(plain.contiguous().reshape(-1))
        )
    return Array(
        dtype_name(plain.dtype), tuple(plain.shape), _bytes(_window(plain)), tuple(plain.stride())
    )


def _window(tensor: torch.Tensor) -> torch.Tensor:
    """The memory from the tensor's first element to its last one, as a vector."""
    last = sum(
        (size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True)
    )
    return tensor.as_strided((last + 1,), (1,))


def _bytes(vector: torch.Tensor) -> memoryview:
    """A copy. Large `bytes` and `bytearray` get their memory in small pages, which takes several
    times as long as NumPy's.
    """
    if vector.stride() != (1,):  # one element may have any stride and count as contiguous
        vector = vector.clone(memory_format=torch.contiguous_format)
    copy: np.ndarray[Any, np.dtype[np.uint8]] = vector.view(torch.uint8).numpy().copy()
    return copy.data.toreadonly()


def to_tensor(array: Array, device: str = "cpu") -> torch.Tensor:
    """A tensor that owns its memory, laid out as the array is."""
    dtype = getattr(torch, array.dtype)
    if not len(array.data):
        return torch.empty(array.shape, dtype=dtype, device=device)
    memory = torch.from_numpy(np.frombuffer(array.data, np.uint8).copy()).view(dtype).to(device)
    return (
        memory.reshape(array.shape)
        if array.strides is None
        else memory.as_strided(array.shape, array.strides)
    )


def fresh(sample: Sample, device: str = "cpu") -> Sample:
    """A copy of the sample whose tensors can be changed in place without the caller noticing.
    Strides are kept.
    """

    def copy(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.layout is not torch.strided or not tensor.numel() or tensor.is_contiguous():
            twin = tensor.detach().clone()
        else:
            twin = _window(tensor.detach()).clone().as_strided(tensor.shape, tensor.stride())
        return twin.to(device).requires_grad_(tensor.requires_grad)

    args, kwargs = tree.replace((sample.args, dict(sample.kwargs)), is_tensor, copy)
    return Sample(args, kwargs)


def cast(sample: Sample, dtype: str) -> Sample:
    """The sample with its floating point tensors in another dtype; itself if `dtype` is empty."""
    if not dtype:
        return sample
    wanted = getattr(torch, dtype)

    def change(tensor: torch.Tensor) -> torch.Tensor:
        return tensor.to(wanted) if tensor.is_floating_point() else tensor

    args, kwargs = tree.replace((sample.args, dict(sample.kwargs)), is_tensor, change)
    return Sample(args, kwargs)


def seed_all(seed: int) -> None:
    """Seed torch, NumPy's global generator and `random`."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


@contextmanager
def without_autocast() -> Iterator[None]:
    """Switch off autocast that happens to be on around a call: it belongs to the caller, not to the
    subject.
    """
    with ExitStack() as stack:
        for device in ("cpu", "cuda"):
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        yield


@contextmanager
def eagerly() -> Iterator[None]:
    """The subject as it is written: without autocast, and what of it is compiled runs uncompiled.

    Compiling again in every fork would take minutes, and prove nothing of what ships.
    """
    with ExitStack() as stack:
        stack.enter_context(without_autocast())
        if "torch._dynamo" in sys.modules:  # else nothing is compiled
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        yield


@contextmanager
def restored_rng() -> Iterator[None]:
    """Leave torch's, NumPy's and Python's global generators as they were."""
    state = (torch.get_rng_state(), np.random.get_state(), random.getstate())
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    try:
        yield
    finally:
        torch.set_rng_state(state[0])
        np.random.set_state(state[1])
        random.setstate(state[2])
        if cuda:
            torch.cuda.set_rng_state_all(cuda)


def unchanged(tensor: torch.Tensor, old: torch.Tensor) -> bool:
    """Whether a tensor still holds what its copy does; NaN counts as itself."""
    if tensor.shape != old.shape:
        return False
    if is_inexact(tensor):
        return bool(((tensor == old) | (tensor.isnan() & old.isnan())).all())
    return torch.equal(tensor, old)
