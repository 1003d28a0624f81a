"""What the clean room costs: starting it, and each call beside the same session in this process.

    python -m benchmarks.cleanroom [--write docs/measured/cleanroom.md]

The session is ONNX Runtime on a matrix product; both sides run in turns, with the same threads.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks import pages
from pytest_modelport.backends.runtimes import onnxruntime
from pytest_modelport.backends.session_options import SessionOptions
from pytest_modelport.cleanroom.room import Room
from pytest_modelport.core import artifact
from pytest_modelport.core.arrays import Array
from pytest_modelport.core.artifact import Manifest, TensorSpec
from pytest_modelport.core.feed import Feed

#: Rows of 1024 floats: 4 KB, 1 MB, 100 MB.
ROWS, ROUNDS = (1, 256, 25_600), 15


def made(folder: Path) -> Path:
    """A sealed ONNX file of one linear layer."""
    folder.mkdir()
    torch.manual_seed(0)
    dim = torch.export.Dim.DYNAMIC
    torch.onnx.export(
        nn.Linear(1024, 1024),
        (torch.randn(2, 1024),),
        str(folder / "model.onnx"),
        dynamo=True,
        input_names=["x"],
        output_names=["output"],
        dynamic_shapes=({0: dim},),
        external_data=False,
        verbose=False,
    )
    value = (TensorSpec("x", "float32", ("batch", 1024)),)
    return artifact.seal(
        folder,
        Manifest("onnx", "onnx", "model.onnx", "named", value, (TensorSpec("output", "float32"),)),
    ).folder


def timed(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def main() -> None:
    parser = pages.parser(__doc__)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = made(Path(scratch, "artifact"))
        room = Room(Path(scratch))
        spawn = timed(lambda: room.request(60, op="preload", modules=[]))
        load = timed(lambda: room.request(60, op="preload", modules=["onnxruntime"]))
        near = onnxruntime.open(folder, artifact.load(folder).manifest, SessionOptions())
        rows = []
        with room.open("onnxruntime", folder, SessionOptions(), 60) as far:
            for count in ROWS:
                data = np.random.default_rng(0).standard_normal((count, 1024), dtype=np.float32)
                feed = Feed({"x": Array.of(data)}, ["tuple", []])
                near.run(feed), far.run(feed, 0)
                pairs = [
                    (timed(partial(near.run, feed)), timed(partial(far.run, feed, 0)))
                    for _ in range(ROUNDS)
                ]
                here, there = (statistics.median(column) for column in zip(*pairs, strict=True))
                rows.append(
                    f"| {data.nbytes / 1e6:.3g} MB | {here * 1e3:.2f} | {there * 1e3:.2f} | {(there - here) * 1e3:.2f} | "
                    f"{there / here:.2f} |"
                )
        room.close()
    report = [
        "# What the clean room costs",
        "",
        f"`python -m benchmarks.cleanroom`: starting its process {spawn * 1e3:.0f} ms, importing ONNX Runtime there "
        f"{load * 1e3:.0f} ms; then calls of one linear layer, median of {ROUNDS} in turns, {os.cpu_count()} cores.",
        "",
        "| input | in process, ms | clean room, ms | difference, ms | ratio |",
        "|---|---|---|---|---|",
        *rows,
    ]
    pages.show(report, options.write)


if __name__ == "__main__":
    main()
