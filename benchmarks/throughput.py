"""Where the time of a search goes: the model, the port, or this project.

    python -m benchmarks.throughput [--examples 25 200]

A small convolutional network in ONNX Runtime, its batch and sides dynamic; the session is warm and
the artifact is made. The whole of the check `shapes`, beside the bare calls that it cannot do
without, made here one after the other on the same samples, the model and the port once each; and
what the noise takes where it is asked, which is the model too, with its roundings drawn anew.
"""

from __future__ import annotations

import argparse
import functools
import logging
import time
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from pytest_modelport.cleanroom.workspace import Workspace
from pytest_modelport.engine import pipeline
from pytest_modelport.engine.build_case import build_case
from pytest_modelport.engine.resolve import routes_of
from pytest_modelport.reference.reference import Reference
from pytest_modelport.request.options import Options
from pytest_modelport.search.candidates import candidates
from pytest_modelport.workbench.workbench import Workbench


def network() -> nn.Module:
    torch.manual_seed(0)
    parts = (
        nn.Conv2d(3, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1, stride=2),
        nn.ReLU(),
    )
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10)).eval()


def seconds(job: Callable[[], Any]) -> float:
    started = time.perf_counter()
    job()
    return time.perf_counter() - started


def main() -> None:
    import onnxruntime

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--examples", nargs="*", type=int, default=[25, 200])
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    model, image = network(), torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    noise: list[float] = []
    deepen = Reference.deepen
    Reference.deepen = lambda eager, count: noise.append(seconds(lambda: deepen(eager, count)))  # type: ignore[method-assign]
    [route] = routes_of(["onnx"], ["none"], ["cpu"])
    with Workspace() as workspace:
        for examples in [5, *options.examples]:  # the first one warms everything up
            shapes = {"input": {0: "batch", 2: "height", 3: "width"}}
            case = build_case(
                model, image, options=Options(dynamic_shapes=shapes, examples=examples)
            )
            pipeline.prove(workspace, case, route, ["parity"])
            said: list[str] = []
            prove = functools.partial(pipeline.prove, workspace, case, route, ["shapes"])
            noise.clear()
            whole = seconds(
                lambda said=said, prove=prove: said.extend(verdict.reason for verdict in prove())
            )
            eager = candidates(workspace, case, "cpu").reference
            assert eager is not None
            samples = [call.sample.args[0] for call in eager.calls]
            settings = onnxruntime.SessionOptions()
            settings.intra_op_num_threads = 1
            artifact = Workbench(case, route, workspace).artifact
            session = onnxruntime.InferenceSession(
                artifact.folder / artifact.manifest.entry, settings
            )
            name = session.get_inputs()[0].name
            with torch.no_grad():
                subject = seconds(lambda samples=samples: [model(sample) for sample in samples])
            arrays = [sample.contiguous().numpy() for sample in samples]
            port = seconds(
                lambda run=session.run, name=name, arrays=arrays: [
                    run(None, {name: array}) for array in arrays
                ]
            )
            inside = subject + port
            if examples in options.examples:
                print(
                    f"{examples} samples: {whole:.2f} s, of which {inside:.2f} s in model and port ({inside / whole:.0%}) and "
                    f"{sum(noise):.2f} s in the noise ({sum(noise) / whole:.0%}); {len(samples) / whole:.0f} samples a second; {said[0]}"
                )


if __name__ == "__main__":
    main()
