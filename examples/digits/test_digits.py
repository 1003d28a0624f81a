"""Three models trained on handwritten digits, proven on real images through every format."""

import pytest

from fixtures import digits


@pytest.mark.portable(targets=["onnx", "onnx:reference", "torchscript", "torch_export"])
def test_cnn(modelport):
    images = digits.images(18)
    modelport(
        digits.load("cnn"),
        images[:8],
        samples=[images[8:9], images[9:]],
        dynamic_shapes={0: "batch"},
    )


@pytest.mark.portable(targets=["onnx", "torchscript", "torch_export"])
def test_encoder(modelport):
    rows = digits.images(16, name="encoder")
    modelport(digits.load("encoder"), rows[:8], samples=[rows[8:]])


@pytest.mark.portable(
    targets=[
        "onnx",
        "torchscript",
        # torch.export fixes the length of an LSTM's sequence (torch 2.13). Strict: when it learns
        # to, this test says so.
        pytest.param(
            "torch_export",
            marks=pytest.mark.xfail(strict=True, reason="torch.export fixes an LSTM's length"),
        ),
    ]
)
def test_lstm_of_any_length(modelport):
    rows = digits.images(16, name="lstm")
    shapes = {0: "batch", 1: "length"}
    modelport(digits.load("lstm"), rows[:8], samples=[rows[8:, :5]], dynamic_shapes=shapes)
