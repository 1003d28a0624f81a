"""Faults with a known place: exporters and runtimes of a foreign package that wrap the real ones and
get one thing wrong. What it is, two variables of the environment say.
"""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import nn

#: Formats that are made wrong, each with the runtime that opens it.
FORMATS = ("onnx", "onnx_legacy", "torchscript", "torch_export", "openvino", "executorch", "mnn")
PLACE, KIND = "PLANTED_PLACE", "PLANTED_KIND"

_FORMAT = '''
"""{name}, of a model that the export changes in one place."""

from dataclasses import replace

from benchmarks.blame.plants import changed
from pytest_modelport.backends.formats.{name} import *  # noqa: F403
from pytest_modelport.backends.formats import {name} as real

if hasattr(real, "VIA"):
    VIA = f"planted_{{real.VIA}}"


def export(request):
    return real.export(replace(request, module=changed(request.module)))
'''
_RUNTIME = '''
"""ONNX Runtime, which computes one node of the file in another way, always or where it is asked to
optimise.
"""

import os
import tempfile
from pathlib import Path

from pytest_modelport.backends.runtimes import onnxruntime as real
from pytest_modelport.backends.runtimes._onnxruntime import OnnxRuntimeSession, trace as traced

REQUIRES, DEVICES, OPENS, EXTRA = real.REQUIRES, real.DEVICES, real.OPENS, real.EXTRA
OPTIONS, UNOPTIMISED = real.OPTIONS, real.UNOPTIMISED


def changed(whole):
    """The file, the N-th node of an operator (`Gemm:0`) giving 1 % more than it should."""
    import numpy
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load_from_string(whole)
    operator, _, number = os.environ["{place}"].partition(":")
    nodes = list(model.graph.node)
    position = [n for n, node in enumerate(nodes) if node.op_type == operator][int(number)]
    [made] = nodes[position].output
    factor = numpy_helper.from_array(numpy.float32(1.01), "the_factor")
    model.graph.initializer.append(factor)
    more = helper.make_node("Mul", [f"{{made}}_right", factor.name], [made])
    model.graph.node[position].output[0] = f"{{made}}_right"
    model.graph.node.insert(position + 1, more)
    return model.SerializeToString()


def wrong(session_options):
    plain = session_options.options.get("optimization") == "disabled"
    return not (plain and os.environ["{kind}"] == "optimised")


def open(folder, manifest, session_options):
    whole = (folder / manifest.entry).read_bytes()
    model = changed(whole) if wrong(session_options) else whole
    return OnnxRuntimeSession(model, session_options, real.providers(session_options), manifest)


def trace(folder, manifest, session_options, feeds, seed):
    """What an optimiser gets wrong is not there where every inner value is kept."""
    whole = (folder / manifest.entry).read_bytes()
    with tempfile.TemporaryDirectory() as other:
        kept = whole if os.environ["{kind}"] == "optimised" else changed(whole)
        Path(other, manifest.entry).write_bytes(kept)
        given = (Path(other), manifest, session_options, feeds, seed)
        yield from traced(*given, real.providers(session_options))
'''


def install(site: Path) -> None:
    """Write the package and its entry points into a folder for `sys.path`."""
    package, info = site / "planted", site / "planted-1.dist-info"
    package.mkdir(parents=True)
    info.mkdir()
    (package / "__init__.py").write_text("")
    for name in FORMATS:
        (package / f"{name}.py").write_text(_FORMAT.format(name=name))
    (package / "runtime.py").write_text(_RUNTIME.format(place=PLACE, kind=KIND))
    formats = "\n".join(f"planted_{name} = planted.{name}" for name in FORMATS)
    (info / "entry_points.txt").write_text(
        f"[pytest_modelport.formats]\n{formats}\n\n"
        "[pytest_modelport.runtimes]\nplanted_runtime = planted.runtime\n"
    )
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: planted\nVersion: 1\n")


def changed(module: nn.Module) -> nn.Module:
    """The module, wrong in the part that the environment names, wherever that lies in it."""
    place, kind = os.environ[PLACE], os.environ[KIND]
    part = next(
        part for path, part in module.named_modules() if f".{path}".endswith(f".{place}") and path
    )
    with torch.no_grad():
        if kind == "scaled":
            next(part.parameters()).mul_(1.02)
        elif kind == "no bias":
            part.get_parameter("bias").zero_()
        elif kind == "epsilon":
            part.eps = 0.01  # type: ignore[assignment]
        elif kind == "rounded":
            next(part.parameters()).copy_(next(part.parameters()).half().float())
        else:
            raise ValueError(f"unknown kind of fault {kind!r}")
    return module
