"""`torch.compile`: no file to ship, but what a server runs. The artifact holds the settings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_modelport import programs
from pytest_modelport.artifact import Value
from pytest_modelport.export import Exported, Request, versions
from pytest_modelport.torchcall import compiler

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


def export(request: Request) -> Exported:
    """Write down what `torch.compile` will be given."""
    (request.folder / _ENTRY).write_text(json.dumps(dict(request.options)))
    return Exported(_ENTRY, programs.live_style(request), *programs.unsized(request), {}, versions("torch"))


def absent(options: Mapping[str, Any]) -> str:
    """Only inductor needs a compiler."""
    return compiler() if options.get("backend", "inductor") == "inductor" else ""


def inspect(path: Path) -> tuple[tuple[Value, ...], tuple[Value, ...], tuple[str, ...]]:
    """Settings say nothing of inputs. Raises `ValueError` when they are no JSON."""
    json.loads(path.read_text())
    return (), (), ()
