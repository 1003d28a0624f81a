"""NNCF's compression of an OpenVINO file's weights: eight or four bits, computed in float."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pytest_modelport import nncfquantize
from pytest_modelport.work import FileWork

REQUIRES = nncfquantize.REQUIRES
EXTRA = "nncf"
ON = "openvino"
PRICE = "int8_weight"
OPTIONS = {"mode": ("int8_asym", "int8_sym")}


def apply(work: FileWork) -> Iterator[str]:
    """Mode (int8_asym): with or without zero points."""
    import nncf

    mode: Any = getattr(nncf.CompressWeightsMode, str(work.options.get("mode", "int8_asym")).upper())
    yield from nncfquantize.saved(work, nncf.compress_weights(nncfquantize.opened(work), mode=mode))
