"""NNCF's compression of an OpenVINO file's weights to four bits in groups, computed in float."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_modelport import nncfquantize
from pytest_modelport.work import FileWork

REQUIRES = nncfquantize.REQUIRES
EXTRA = "nncf"
ON = "openvino"
PRICE = "int4_weight"
OPTIONS = {"group": int, "symmetric": bool}


def apply(work: FileWork) -> Iterator[str]:
    """Group (32): weights that share a scale. symmetric (true): without zero points."""
    import nncf

    mode = nncf.CompressWeightsMode.INT4_SYM if work.options.get("symmetric", True) else nncf.CompressWeightsMode.INT4_ASYM
    made = nncf.compress_weights(nncfquantize.opened(work), mode=mode, group_size=work.options.get("group", 32), ratio=1.0)
    yield from nncfquantize.saved(work, made)
