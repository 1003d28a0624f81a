"""A network made smaller and shipped: pruned, trained again, quantized, then proven and priced on
three runtimes.

Each test is asked once for every route, transform x target. A route is green when the port answers
as the transformed model, the transform left of the original what its floors ask, and the artifact
keeps its budgets.

    pip install 'pytest-modelport[onnx,openvino,executorch,transforms]' scikit-learn safetensors
    pytest examples/compress
"""

from __future__ import annotations

import pytest
import torch

from fixtures import digits
from pytest_modelport import T

IMAGES, LABELS = digits.data()
TRAIN, TEST = slice(0, digits.TRAINED), slice(digits.TRAINED, None)
EXAMPLE = IMAGES[TEST][:4]
#: uint8 weights: int8 ones saturate on processors without VNNI instructions.
STATIC = T.ort_static(weights="uint8")
BATCH = {"images": {0: torch.export.Dim("batch", min=1, max=360)}}


def calibrate(model):
    """Ranges of activations are measured on images of the training set."""
    for batch in IMAGES[TRAIN][:256].split(64):
        model(batch)


def finetune(model):
    """What pruning and rounding have cost is mostly won back by a few epochs."""
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    for epoch in range(8):
        order = torch.randperm(digits.TRAINED, generator=torch.Generator().manual_seed(epoch))
        for batch in order.split(64):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(
                model(IMAGES[TRAIN][batch]), LABELS[TRAIN][batch]
            ).backward()
            optimizer.step()


def accuracy(model):
    """Of anything that is called as the model: the original, and the port that ships."""
    answers = torch.cat([model(batch) for batch in IMAGES[TEST].split(4)])
    return (answers.argmax(-1) == LABELS[TEST]).float().mean().item()


@pytest.mark.portable(
    targets=["onnx", "onnx:openvino"],
    transforms=["none", STATIC, T.prune_global(amount=0.5) | STATIC],
    size={"mb": 0.2},
    latency={"p95_ms": 50},
)
def test_server(modelport):
    modelport(
        digits.load("cnn"),
        EXAMPLE,
        dynamic_shapes=BATCH,
        calibrate=calibrate,
        finetune=finetune,
        metric=accuracy,
        examples=5,
    )


@pytest.mark.portable(
    targets=["executorch"],
    transforms=[T.prune_structured(amount=0.25) | T.pt2e_static(quantizer="xnnpack")],
    size={"mb": 0.1},
    latency={"p95_ms": 50},
    quality={"metric_drop": 0.02, "top1": 0.95},
)
def test_phone(modelport):
    modelport(
        digits.load("cnn"),
        EXAMPLE,
        dynamic_shapes=BATCH,
        calibrate=calibrate,
        finetune=finetune,
        metric=accuracy,
        examples=5,
    )
