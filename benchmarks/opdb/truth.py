"""What a plain call of an exported file says about it, with none of Modelport's code."""

from __future__ import annotations

import copy
import inspect
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch.utils._pytree import tree_flatten

from benchmarks.opdb.suites import Subject, copied

#: A call of a file: its path, positional arguments, keyword arguments.
Call = Callable[[str, tuple[Any, ...], Mapping[str, Any]], Any]


def plain(target: str, folder: Path, subject: Subject) -> str:
    """`right`, `wrong`, or why a plain call of an artifact gives no answer."""
    manifest = json.loads((folder / "manifest.json").read_text())
    file = str(folder / manifest["entry"])
    return answered(target, file, subject, natural=manifest["call"] == "natural")


def answered(target: str, file: str, subject: Subject, *, natural: bool) -> str:
    """The same of a file, beside eager. What is left of the inputs counts.

    natural: it takes what the model takes, and has to give all that the model returns; any other
    takes tensors, and has to give tensors.
    """
    kwargs = in_order(subject)
    left, given = copied((subject.args, kwargs)), copied((subject.args, kwargs))
    module = copy.deepcopy(subject.module)
    torch.manual_seed(0)
    with torch.no_grad():
        wanted = tree_flatten(module(*left[0], **left[1]))[0]
    if not natural:
        wanted = tensors(wanted)
    args, named = given if natural else (tuple(tensors(given)), {})
    torch.manual_seed(0)
    try:
        with torch.no_grad():
            found = CALLS[target](file, args, named)
    except Exception as error:  # noqa: BLE001 - whatever a runtime raises is its answer
        return type(error).__name__
    return "right" if same([found, tensors(given)], [wanted, tensors(left)]) else "wrong"


def in_order(subject: Subject) -> dict[str, Any]:
    """The keyword arguments in the order of the signature, which is the order of a file's inputs."""
    named = list(inspect.signature(subject.module.forward).parameters)
    known = {name: subject.kwargs[name] for name in named if name in subject.kwargs}
    return {**known, **subject.kwargs}


def tensors(values: Any) -> list[torch.Tensor]:
    """The tensors among nested values."""
    return [leaf for leaf in tree_flatten(values)[0] if isinstance(leaf, torch.Tensor)]


def same(found: Any, wanted: Any) -> bool:
    """Whether all tensors are equal by torch.testing's defaults, and everything else is equal."""
    try:
        for one, other in zip(tree_flatten(found)[0], tree_flatten(wanted)[0], strict=True):
            if not isinstance(other, torch.Tensor):
                if one != other:
                    return False
                continue
            torch.testing.assert_close(one, other, equal_nan=True, check_stride=False)
    except (AssertionError, TypeError, ValueError):
        return False
    return True


def _onnx(file: str, args: tuple[Any, ...], _: Mapping[str, Any]) -> Any:
    import onnxruntime

    session = onnxruntime.InferenceSession(file)
    names = [item.name for item in session.get_inputs()]
    given = {name: tensor.numpy() for name, tensor in zip(names, args, strict=False)}
    return [torch.as_tensor(value) for value in session.run(None, given)]


def _torchscript(file: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    return torch.jit.load(file)(*args, **kwargs)


def _torch_export(file: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    return torch.export.load(file).module()(*args, **kwargs)


def _executorch(file: str, args: tuple[Any, ...], _: Mapping[str, Any]) -> Any:
    from executorch.runtime import Runtime

    program = Runtime.get().load_program(file)
    method = program.load_method("forward")
    assert method is not None
    return [value.clone() for value in method.execute([value.contiguous() for value in args])]


#: How a file of each target is called.
CALLS: dict[str, Call] = {
    "onnx": _onnx,
    "torchscript": _torchscript,
    "torch_export": _torch_export,
    "executorch": _executorch,
    "executorch_portable": _executorch,
}
