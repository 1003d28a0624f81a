from __future__ import annotations

import numpy as np
import pytest
import torch

from pytest_modelport.core.arrays import Array, read_arrays, write_arrays
from pytest_modelport.core.tensors import to_array, to_tensor

DTYPES = [
    torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64,
    torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64, torch.complex128,
]  # fmt: skip


def roundtrip(tmp_path, *tensors):
    path = tmp_path / "arrays.bin"
    table = write_arrays(path, [to_array(tensor, strided=True) for tensor in tensors])
    return [to_tensor(array) for array in read_arrays(path, table)]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 3), (2, 3, 4)], ids=str)
def test_every_dtype_and_shape_survives(tmp_path, dtype, shape):
    tensor = torch.arange(int(np.prod(shape)), dtype=torch.float64).reshape(shape).to(dtype)
    (back,) = roundtrip(tmp_path, tensor)
    assert back.dtype is dtype
    assert back.shape == tensor.shape
    assert torch.equal(back, tensor)


def test_special_values_survive_bit_for_bit(tmp_path):
    tensor = torch.tensor([float("nan"), float("inf"), -0.0, 1e-45])
    (back,) = roundtrip(tmp_path, tensor)
    assert torch.equal(back.view(torch.int32), tensor.view(torch.int32))


@pytest.mark.parametrize(
    "make",
    [
        lambda base: base.t(),
        lambda base: base[:, ::2],
        lambda base: base[1:, 1:3],
        lambda base: base[:, :1].expand(4, 5),
        lambda base: base.unsqueeze(0).to(memory_format=torch.contiguous_format),
    ],
)
def test_strides_survive(tmp_path, make):
    tensor = make(torch.arange(24.0).reshape(4, 6))
    (back,) = roundtrip(tmp_path, tensor)
    assert back.stride() == tensor.stride()
    assert torch.equal(back, tensor)
    assert np.array_equal(to_array(tensor, strided=True).numpy(), tensor.numpy())


def test_several_arrays_share_a_file_that_may_be_gone(tmp_path):
    path = tmp_path / "arrays.bin"
    arrays = [Array.of(np.arange(3)), Array.of(np.ones((2, 2), np.float32))]
    table = write_arrays(path, arrays)
    back = read_arrays(path, table)
    path.unlink()
    assert [item.numpy().tolist() for item in back] == [[0, 1, 2], [[1.0, 1.0], [1.0, 1.0]]]


def test_arrays_cannot_be_written_to(tmp_path):
    path = tmp_path / "arrays.bin"
    (back,) = read_arrays(path, write_arrays(path, [Array.of(np.arange(3))]))
    with pytest.raises(ValueError, match="read-only"):
        back.numpy()[0] = 1


def test_bfloat16_becomes_the_same_numbers_in_float32():
    tensor = torch.randn(100).bfloat16()
    assert np.array_equal(to_array(tensor).numpy(), tensor.float().numpy())


def test_sparse_tensors_are_refused_by_name():
    with pytest.raises(TypeError, match="sparse_coo"):
        to_array(torch.eye(3).to_sparse())
