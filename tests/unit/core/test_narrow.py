"""Dtypes that NumPy lacks, against torch's own idea of every one of their elements."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pytest_modelport.core import narrow
from pytest_modelport.core.tensors import dtype_name, to_array

FLOAT8 = [
    *(torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz),
    torch.float8_e8m0fnu,
]


@pytest.mark.parametrize("dtype", FLOAT8, ids=str)
def test_every_element_of_eight_bits(dtype):
    tensor = torch.arange(256, dtype=torch.uint8).view(dtype)
    found = to_array(tensor).numpy()
    assert np.array_equal(found, tensor.float().numpy(), equal_nan=True)
    data = narrow.data_of(dtype_name(dtype), found)
    again = torch.frombuffer(bytearray(data), dtype=torch.uint8).view(dtype)
    assert torch.equal(again.float().nan_to_num(7), tensor.float().nan_to_num(7))


@pytest.mark.filterwarnings("ignore:ComplexHalf")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.complex32], ids=str)
def test_sixteen_bits(dtype):
    tensor = torch.randn(50, dtype=torch.complex64 if dtype.is_complex else torch.float32).to(dtype)
    wide = torch.complex64 if dtype.is_complex else torch.float32
    found = to_array(tensor).numpy()
    assert np.array_equal(found, tensor.to(wide).numpy())
    assert narrow.data_of(dtype_name(dtype), found) == bytes(to_array(tensor).data)
