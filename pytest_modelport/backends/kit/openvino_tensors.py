"""OpenVINO's tensors of dtypes that NumPy lacks. By itself it takes and gives the bits of bfloat16
as float16.
"""

from __future__ import annotations

from typing import Any

from pytest_modelport.backends.kit import ordered
from pytest_modelport.core.arrays import Array

#: As torch and as OpenVINO name them.
_NARROW = {"bfloat16": "bf16", "float8_e4m3fn": "f8e4m3", "float8_e5m2": "f8e5m2"}


def given(array: Array) -> Any:
    """An input: a NumPy array, or a tensor where NumPy has no such dtype."""
    if array.dtype not in _NARROW:
        return ordered.dense(array)
    import numpy as np
    import openvino

    memory = np.frombuffer(ordered.packed(array), np.uint8).copy()
    kind = getattr(openvino.Type, _NARROW[array.dtype])
    return openvino.Tensor(memory, openvino.Shape(list(array.shape)), kind)


def array_of(element_type: Any, data: Any) -> Array:
    """What OpenVINO gives as NumPy's array, as what it is."""
    import numpy as np

    names = {kind: name for name, kind in _NARROW.items()}
    name = names.get(element_type.get_type_name())
    if name is None:
        return Array.of(np.array(data))
    return Array(name, np.shape(data), np.ascontiguousarray(data).tobytes())
