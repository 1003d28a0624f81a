"""`torch.compile`: what a server runs instead of a file. The artifact holds the settings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_modelport.backends.export import Exported, ExportRequest, versions
from pytest_modelport.backends.kit import programs
from pytest_modelport.backends.kit.torch_session import compiler
from pytest_modelport.core.artifact import TensorSpec

REQUIRES = {"torch": "torch"}
DEVICES = ("cpu", "cuda")
KIND = "torch_compile"
RUNTIME = "torch_compile"
EXTRA = ""
SUFFIXES = (".json",)
CALL = "natural"
OPTIONS = {
    "backend": ("inductor", "aot_eager", "eager"),
    "mode": ("default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"),
    "dynamic": bool,
    "fullgraph": bool,
}
_ENTRY = "compile.json"
#: It runs with the subject's own tensors.
constants = None


def export(request: ExportRequest) -> Exported:
    """Write down what `torch.compile` will be given."""
    (request.folder / _ENTRY).write_text(json.dumps(dict(request.options)))
    return Exported(
        _ENTRY, programs.live_style(request), *programs.unsized(request), {}, versions("torch")
    )


def absent(options: Mapping[str, Any]) -> str:
    """Only inductor needs a compiler."""
    return compiler() if options.get("backend", "inductor") == "inductor" else ""


def inspect(path: Path) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...], tuple[str, ...]]:
    """Settings say nothing of inputs. Raises `ValueError` when they are no JSON."""
    json.loads(path.read_text())
    return (), (), ()
