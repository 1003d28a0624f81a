"""The example that ships one network to three runtimes, as its reader would run it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_modelport.backends import registry

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.full
def test_every_route_of_the_compressed_network_passes(needs):
    for target in ("onnx", "onnx:openvino", "executorch"):
        parsed = registry.target(target)
        needs(
            {
                **registry.format_(parsed.format).REQUIRES,
                **registry.runtime(parsed.runtime).REQUIRES,
            }
        )
    for transform in ("ort_static", "prune_structured", "pt2e_static"):
        needs(registry.transform(transform).REQUIRES)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "examples/compress",
    ]
    alone = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST")
    }
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=alone)
    assert "7 passed" in done.stdout, done.stdout[-3000:]
