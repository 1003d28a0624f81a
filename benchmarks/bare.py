"""What becomes of every fault in `tests/meta/faults.py` with nothing but the exporters' and
runtimes' own calls.

    python -m benchmarks.bare [NAME ...]

Each runs in a process of its own. `wrong` means: another dtype or shape, another NaN pattern, or a
relative error (largest difference over largest magnitude) above 1e-4, seen in any sample, in an
output or in what the call leaves of its inputs. Prints each line that is not what the table says:
those that remain are what no fixed tolerance tells apart, a sum that cancels (20 times its size
off, and right) and float64 arithmetic done in float32 (2e-7 off, and wrong).
"""

from __future__ import annotations

import argparse
import copy
import functools
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.apart import apart

Run = Callable[[tuple[Any, ...]], Any]
WRONG = 1e-4


def onnx(model: nn.Module, args: tuple[Any, ...], shapes: Any, folder: Path) -> Callable[[], Run]:
    """Export to a file in `folder`. Returns what opens it."""
    file = folder / "model.onnx"
    torch.onnx.export(model, args, file, dynamo=True, dynamic_shapes=shapes, verbose=False)
    return _in_onnxruntime(file)


def _in_onnxruntime(file: Path) -> Callable[[], Run]:
    def load() -> Run:
        import onnxruntime

        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        names = [item.name for item in session.get_inputs()]

        def run(given: tuple[Any, ...]) -> Any:
            tensors = [value.numpy() for value in given if isinstance(value, torch.Tensor)]
            return session.run(None, dict(zip(names, tensors, strict=False)))

        return run

    return load


def torchscript(
    model: nn.Module, args: tuple[Any, ...], shapes: Any, folder: Path
) -> Callable[[], Run]:
    """As `onnx`."""
    file = folder / "model.pt"
    torch.jit.save(torch.jit.trace(model, args, check_trace=False), file)

    def load() -> Run:
        port = torch.jit.load(file)
        return lambda given: port(*given)

    return load


def torch_export(
    model: nn.Module, args: tuple[Any, ...], shapes: Any, folder: Path
) -> Callable[[], Run]:
    """As `onnx`."""
    file = folder / "model.pt2"
    torch.export.save(torch.export.export(model, args, dynamic_shapes=shapes), file)

    def load() -> Run:
        port = torch.export.load(file).module()
        return lambda given: port(*given)

    return load


def onnx_legacy(
    model: nn.Module, args: tuple[Any, ...], shapes: Any, folder: Path
) -> Callable[[], Run]:
    """As `onnx`, by the former exporter."""
    file = folder / "model.onnx"
    names = [f"x{number}" for number in range(len(args))]
    axes = {
        name: {axis: f"{name}_{axis}" for axis in spec}
        for name, spec in zip(names, shapes or (), strict=False)
        if spec
    }
    torch.onnx.export(model, args, file, dynamo=False, input_names=names, dynamic_axes=axes)
    return _in_onnxruntime(file)


def torchscript_script(
    model: nn.Module, args: tuple[Any, ...], shapes: Any, folder: Path
) -> Callable[[], Run]:
    """As `onnx`."""
    file = folder / "model.pt"
    torch.jit.save(torch.jit.script(model), file)

    def load() -> Run:
        port = torch.jit.load(file)
        return lambda given: port(*given)

    return load


def aotinductor(
    model: nn.Module, args: tuple[Any, ...], shapes: Any, folder: Path
) -> Callable[[], Run]:
    """As `onnx`."""
    import torch._inductor.config

    torch._inductor.config.compile_threads = 1
    os.environ["AOTI_RUNTIME_CHECK_INPUTS"] = "1"
    program = torch.export.export(model, args, dynamic_shapes=shapes)
    file = torch._inductor.aoti_compile_and_package(program, package_path=str(folder / "model.pt2"))

    def load() -> Run:
        port = torch._inductor.aoti_load_package(file)
        return lambda given: port(*given)

    return load


def torch_compile(
    model: nn.Module, args: tuple[Any, ...], shapes: Any, folder: Path
) -> Callable[[], Run]:
    """No file: the compiled module itself."""

    def load() -> Run:
        port = torch.compile(model)
        return lambda given: port(*given)

    return load


def state_dict(
    model: nn.Module, args: tuple[Any, ...], shapes: Any, folder: Path
) -> Callable[[], Run]:
    """As `onnx`: the weights alone, loaded by another instance of the same class, made anew."""
    file = folder / "model.pt"
    torch.save(model.state_dict(), file)

    def load() -> Run:
        port = type(model)().eval()
        port.load_state_dict(torch.load(file))
        return lambda given: port(*given)

    return load


def openvino(
    model: nn.Module, args: tuple[Any, ...], shapes: Any, folder: Path
) -> Callable[[], Run]:
    """As `onnx`: converted from the module, saved in full precision."""
    import openvino as ov

    varying = [set(spec or ()) for spec in shapes or [()] * len(args)]
    inputs = [
        ov.PartialShape([-1 if axis in axes else size for axis, size in enumerate(arg.shape)])
        for arg, axes in zip(args, varying, strict=True)
    ]
    file = folder / "model.xml"
    ov.save_model(
        ov.convert_model(model, example_input=args, input=inputs), file, compress_to_fp16=False
    )
    return _in_openvino(file)


def onnx_openvino(
    model: nn.Module, args: tuple[Any, ...], shapes: Any, folder: Path
) -> Callable[[], Run]:
    """As `onnx`, opened by OpenVINO."""
    onnx(model, args, shapes, folder)
    return _in_openvino(folder / "model.onnx")


def _in_openvino(file: Path) -> Callable[[], Run]:
    def load() -> Run:
        import openvino as ov

        compiled = ov.Core().compile_model(
            file, "CPU", {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
        )

        def run(given: tuple[Any, ...]) -> Any:
            results = compiled([value.numpy() for value in given])
            return [results[output] for output in compiled.outputs]

        return run

    return load


#: What each target comes to.
MAKERS = {
    "onnx": onnx,
    "onnx_legacy": onnx_legacy,
    "torchscript": torchscript,
    "torchscript_script": torchscript_script,
    "torch_export": torch_export,
    "torch_compile": torch_compile,
    "aotinductor": aotinductor,
    "state_dict": state_dict,
    "openvino": openvino,
    "onnx:openvino": onnx_openvino,
}


def flat(value: Any) -> list[np.ndarray[Any, Any]]:
    """Every tensor in an answer, in order."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [item for part in value for item in flat(part)]
    if isinstance(value, torch.Tensor):
        value = value.detach()
        value = value.float().numpy() if value.dtype is torch.bfloat16 else value.numpy()
    return [value] if isinstance(value, np.ndarray) else []


def error(port: np.ndarray[Any, Any], subject: np.ndarray[Any, Any]) -> float:
    """Largest difference over largest magnitude; inf where dtype, shape or NaN pattern differ."""
    if port.shape != subject.shape or port.dtype != subject.dtype:
        return np.inf
    if subject.dtype.kind not in "fc":
        return 0.0 if np.array_equal(port, subject) else np.inf
    same = (port == subject) | (np.isnan(port) & np.isnan(subject))
    if same.all():
        return 0.0
    off, size = (
        np.abs(port - subject)[~same].max(),
        np.abs(subject[np.isfinite(subject)]).max(initial=0.0),
    )
    return float(off / size) if np.isfinite(off) and size else np.inf


def _answer(run: Run, args: tuple[Any, ...]) -> list[np.ndarray[Any, Any]]:
    """What a call returns and what it leaves of its inputs."""
    given = copy.deepcopy(args)
    torch.manual_seed(0)
    return [*flat(run(given)), *flat(given)]


def outcome(
    make: Callable[..., Callable[[], Run]],
    subject: Callable[[], nn.Module],
    calls: Sequence[Any],
    shapes: Any,
) -> str:
    """What becomes of one model on one target."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            load = make(subject(), calls[0], shapes, Path(folder))
        except Exception:  # noqa: BLE001 - whatever an exporter raises is a refusal
            return "no-export"
        law = subject()
        try:
            port = load()
            answers = [
                (_answer(port, args), _answer(lambda given: law(*given), args)) for args in calls
            ]
        except Exception:  # noqa: BLE001 - and whatever a runtime raises
            return "no-run"
    if any(len(got) != len(wanted) for got, wanted in answers):
        return "wrong"
    worst = max(
        (error(*pair) for got, wanted in answers for pair in zip(got, wanted, strict=True)),
        default=np.inf,
    )
    return "ok" if worst <= WRONG else f"wrong {worst:.0e}"


def _one(name: str, target: str) -> str:
    from tests.meta.faults import FAULTS

    fault = FAULTS[name]
    torch.manual_seed(0)
    with torch.no_grad():
        return outcome(
            MAKERS[target], fault.subject, [fault.args, fault.args, *fault.then], fault.shapes
        )


def main() -> None:
    from tests.meta.faults import FAULTS

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", default=list(FAULTS))
    options, counts = parser.parse_args(), Counter[str]()
    for name in options.names:
        for target, expected in FAULTS[name].expect.items():
            if target not in MAKERS:
                continue
            found = apart(functools.partial(_one, name, target), instead="crash")
            agrees = found.split()[0] == expected
            counts["agrees" if agrees else "differs"] += 1
            if not agrees:
                print(f"{name} on {target}: {found}, the table says {expected}", flush=True)
    print(dict(counts))
    sys.exit(counts["differs"] > 0)


if __name__ == "__main__":
    main()
