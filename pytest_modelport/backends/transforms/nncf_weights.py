"""NNCF's compression of an OpenVINO file's weights: eight or four bits, computed in float."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pytest_modelport.backends.transform_work import FileWork
from pytest_modelport.backends.transforms import _nncf

REQUIRES = _nncf.REQUIRES
EXTRA = "nncf"
ON = "openvino"
FLOOR = "int8_weight"
OPTIONS = {"mode": ("int8_asym", "int8_sym")}


def apply(work: FileWork) -> Iterator[str]:
    """`mode` (int8_asym): `int8_asym` with zero points, `int8_sym` without."""
    import nncf

    mode: Any = getattr(
        nncf.CompressWeightsMode, str(work.options.get("mode", "int8_asym")).upper()
    )
    yield from _nncf.saved(work, nncf.compress_weights(_nncf.opened(work), mode=mode))
