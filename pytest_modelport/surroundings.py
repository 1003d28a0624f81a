"""What verdicts are about beside the model: versions and the machine's kind."""

from __future__ import annotations

import platform

from pytest_modelport import __version__
from pytest_modelport.export import versions


def environment() -> dict[str, str]:
    """Versions the verdicts are about."""
    return {
        "pytest-modelport": __version__,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        **versions("torch", "onnx", "onnxscript", "onnxruntime", "numpy"),
    }
