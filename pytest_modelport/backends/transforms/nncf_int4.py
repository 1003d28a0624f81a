"""NNCF's compression of an OpenVINO file's weights to four bits in groups, computed in float."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_modelport.backends.transform_work import FileWork
from pytest_modelport.backends.transforms import _nncf

REQUIRES = _nncf.REQUIRES
EXTRA = "nncf"
ON = "openvino"
FLOOR = "int4_weight"
OPTIONS = {"group": int, "symmetric": bool}


def apply(work: FileWork) -> Iterator[str]:
    """`group` (32): how many weights share a scale. `symmetric` (true): without zero points."""
    import nncf

    mode = (
        nncf.CompressWeightsMode.INT4_SYM
        if work.options.get("symmetric", True)
        else nncf.CompressWeightsMode.INT4_ASYM
    )
    made = nncf.compress_weights(
        _nncf.opened(work), mode=mode, group_size=work.options.get("group", 32), ratio=1.0
    )
    yield from _nncf.saved(work, made)
