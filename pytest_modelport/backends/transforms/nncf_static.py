"""NNCF's post-training quantization of an OpenVINO file: int8 weights and activations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pytest_modelport.backends.transform_work import FileWork
from pytest_modelport.backends.transforms import _nncf

REQUIRES = _nncf.REQUIRES
EXTRA = "nncf"
ON = "openvino"
FLOOR = "int8_static"
#: Its defaults are NNCF's own, and wrong for some models without a warning (an LSTM, attention):
#: then try these.
OPTIONS = {"preset": ("performance", "mixed"), "transformer": bool, "smooth_quant": bool}
TRY = ("preset=mixed", "smooth_quant=false", "preset=mixed,smooth_quant=false")


def apply(work: FileWork) -> Iterator[str]:
    """`preset` (performance): `mixed` quantizes activations asymmetrically. `transformer`
    (false): use NNCF's patterns for transformers. `smooth_quant` (true): use SmoothQuant where
    NNCF would.
    """
    import nncf

    further: dict[str, Any] = (
        {"model_type": nncf.ModelType.TRANSFORMER} if work.options.get("transformer") else {}
    )
    if not work.options.get("smooth_quant", True):
        alphas = nncf.AdvancedSmoothQuantParameters(convolution=-1, matmul=-1)
        further["advanced_parameters"] = nncf.AdvancedQuantizationParameters(
            smooth_quant_alphas=alphas
        )
    model = nncf.quantize(
        _nncf.opened(work),
        _nncf.dataset(work),
        preset=nncf.QuantizationPreset(work.options.get("preset", "performance")),
        subset_size=max(len(work.feeds), 1),
        **further,
    )
    yield from _nncf.saved(work, model)
