"""A release of one network: proven in two runtimes, as fast and as small as the last one, and gated
by `pyproject.toml`.

pytest --modelport-baseline=none --modelport-release=release/1 modelport gate release/1

pytest --modelport-baseline=release/1 --modelport-release=release/2 modelport gate release/2
--baseline release/1
"""

import pytest

from fixtures import digits


@pytest.mark.portable(
    targets=["onnx", "torchscript"],
    latency={"max_regression": "30%"},
    size={"mb": 0.5},
    checks=["parity", "weights", "hygiene"],
)
def test_classifier(modelport):
    images = digits.images(32)
    modelport(digits.load("cnn"), images[:16], samples=[images[16:]])
