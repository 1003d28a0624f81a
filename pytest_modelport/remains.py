"""What is left of the original in a transformed model and in its artifact: sizes, zeros, versions, weights."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import torch

from pytest_modelport import onnxfile, shelf
from pytest_modelport.bench import Bench
from pytest_modelport.cleanroom.room import RoomEnded
from pytest_modelport.price import cosine
from pytest_modelport.stopped import Stopped, stopped
from pytest_modelport.verdict import Stage
from pytest_modelport.wire import Array

#: Zeros may be this much fewer in the artifact than in the model.
_LOST = 0.005
#: Weights that point elsewhere than the original's are not made from them.
_RELATED = 0.5


@dataclass(frozen=True)
class Sizes:
    """What the artifact has over what the untransformed model's has: bytes of the tensors stored in it, and of its files.

    Of a small model's files most is the graph; what can be read back of their tensors says what became of the weights.
    """

    stored: float
    files: float


def sizes(bench: Bench) -> Sizes | None:
    """None where the untransformed model has no artifact or no weights in it, or what is stored cannot be read back."""
    plain = bench.untransformed
    if shelf.format_(bench.format).constants is None:
        return None
    try:
        before = plain.artifact.size
    except Stopped:
        return None
    weights = any("float" in array.dtype for _, array in _constants(plain))
    return Sizes(round(_bytes(bench) / _bytes(plain), 4), round(bench.artifact.size / before, 4)) if weights else None


def _bytes(bench: Bench) -> int:
    return sum(len(array.data) for _, array in _constants(bench))


def stored(bench: Bench) -> str:
    """What an artifact stores, in words."""
    sizes = Counter[str]()
    for _, array in _constants(bench):
        sizes[array.dtype] += len(array.data)
    return ", ".join(f"{size / 1e3:.4g} kB of {dtype}" for dtype, size in sizes.most_common(3))


def sparsity(bench: Bench) -> list[str]:
    """What is wrong with a pruned model's artifact as it was exported; a file that was changed may store zeros otherwise."""
    if not bench.case.zeros:
        return ["nothing was pruned: the transformed model's weights have no zeros"]
    if shelf.format_(bench.format).constants is None:
        return []
    found = sum(_zeros(array) for _, array in _constants(bench.exported) if _weighty(array.shape))
    if found < bench.case.zeros * (1 - _LOST):
        lost = "the pruning was lost on the way"
        return [f"the artifact stores {found} zeros, the pruned model has {bench.case.zeros}: {lost}"]
    return []


def _zeros(array: Array) -> int:
    if array.dtype.startswith("float8"):  # NumPy has no such numbers; either sign of zero has all other bits zero
        return int((np.frombuffer(array.data, np.uint8) & 0x7F == 0).sum())
    return int((array.numpy() == 0).sum())


def _weighty(shape: tuple[int, ...]) -> bool:
    return len(shape) > 1


def opsets(bench: Bench) -> list[str]:
    """Whether a transform of an ONNX file has changed the version of the operators, which says what can open it."""
    if not any(move.on_file for move in bench.moves) or bench.artifact.manifest.kind != "onnx":
        return []
    before, after = (onnxfile.opset(one.folder / one.manifest.entry) for one in (bench.exported.artifact, bench.artifact))
    return [f"the opset was changed from {before} to {after}"] if before != after else []


def strangers(bench: Bench) -> str:
    """Weights of the transformed model that have nothing to do with the original's of the same name, in words."""
    before = dict(bench.untransformed.case.module.state_dict())
    names = []
    for name, tensor in bench.case.module.state_dict().items():
        other = before.get(name)
        if other is None or any(type(one) not in (torch.Tensor, torch.nn.Parameter) for one in (tensor, other)):
            continue
        alike = tensor.shape == other.shape and tensor.is_floating_point() and other.is_floating_point()
        if alike and _weighty(tuple(tensor.shape)) and _cosine(tensor, other) < _RELATED:
            names.append(name)
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return f"{shown} {'have' if len(names) > 1 else 'has'} nothing to do with the original's" if names else ""


def _cosine(first: torch.Tensor, second: torch.Tensor) -> float:
    one, two = (tensor.detach().double().cpu().numpy().reshape(1, -1) for tensor in (first, second))
    return cosine(one, two)


def _constants(bench: Bench) -> list[tuple[str, Array]]:
    try:
        return bench.constants()
    except RoomEnded as ended:
        raise stopped(Stage.OPEN, ended.ending, "reading the artifact's constants") from None
