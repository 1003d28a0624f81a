"""What is left of the original in a transformed model and in its artifact: sizes, zeros, versions,
weights.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import torch

from pytest_modelport.backends import registry
from pytest_modelport.backends.kit import onnx_files
from pytest_modelport.cleanroom.room import RoomEnded
from pytest_modelport.compare.fidelity import cosine
from pytest_modelport.core.arrays import Array
from pytest_modelport.core.verdict import Stage
from pytest_modelport.isolation.stops import Stop, stop_for
from pytest_modelport.workbench.workbench import Workbench

#: Zeros may be this much fewer in the artifact than in the model.
_LOST = 0.005
#: Weights that point elsewhere than the original's are not made from them.
_RELATED = 0.5


@dataclass(frozen=True)
class Sizes:
    """What the artifact has over what the untransformed model's has: bytes of the tensors stored in
    it, and of its files.

    Of a small model's files most is the graph; what can be read back of their tensors says what
    became of the weights.
    """

    stored: float
    files: float


def sizes(workbench: Workbench) -> Sizes | None:
    """None where the untransformed model has no artifact or no weights in it, or what is stored
    cannot be read back.
    """
    plain = workbench.untransformed
    if plain.case.artifact is not None:  # beside what an export of the model stores
        plain = replace(plain, case=replace(plain.case, artifact=None))
    if registry.format_(workbench.format).constants is None:
        return None
    try:
        before = plain.artifact.size
    except Stop:
        return None
    weights = any("float" in array.dtype for _, array in _constants(plain))
    return (
        Sizes(
            round(_bytes(workbench) / _bytes(plain), 4), round(workbench.artifact.size / before, 4)
        )
        if weights
        else None
    )


def _bytes(workbench: Workbench) -> int:
    return sum(len(array.data) for _, array in _constants(workbench))


def stored(workbench: Workbench) -> str:
    """What an artifact stores, in words."""
    sizes = Counter[str]()
    for _, array in _constants(workbench):
        sizes[array.dtype] += len(array.data)
    return ", ".join(f"{size / 1e3:.4g} kB of {dtype}" for dtype, size in sizes.most_common(3))


def sparsity(workbench: Workbench) -> list[str]:
    """What is wrong with a pruned model's artifact as it was exported; a file that was changed may
    store zeros otherwise.
    """
    if not workbench.case.zeros:
        return ["nothing was pruned: the transformed model's weights have no zeros"]
    if registry.format_(workbench.format).constants is None:
        return []
    found = sum(
        _zeros(array) for _, array in _constants(workbench.exported) if _weighty(array.shape)
    )
    if found < workbench.case.zeros * (1 - _LOST):
        return [
            f"the artifact stores {found} zeros, the pruned model has {workbench.case.zeros}: "
            "the export lost the pruning"
        ]
    return []


def _zeros(array: Array) -> int:
    if array.dtype.startswith(
        "float8"
    ):  # NumPy has no such numbers; either sign of zero has all other bits zero
        return int((np.frombuffer(array.data, np.uint8) & 0x7F == 0).sum())
    return int((array.numpy() == 0).sum())


def _weighty(shape: tuple[int, ...]) -> bool:
    return len(shape) > 1


def opsets(workbench: Workbench) -> list[str]:
    """Whether a transform of an ONNX file has changed the version of the operators, which says what
    can open it.
    """
    if (
        not any(transform.on_file for transform in workbench.transforms)
        or workbench.artifact.manifest.kind != "onnx"
    ):
        return []
    before, after = (
        onnx_files.opset(one.folder / one.manifest.entry)
        for one in (workbench.exported.artifact, workbench.artifact)
    )
    return [f"the opset was changed from {before} to {after}"] if before != after else []


def strangers(workbench: Workbench) -> str:
    """Weights of the transformed model that have nothing to do with the original's of the same
    name, in words.
    """
    before = dict(workbench.untransformed.case.module.state_dict())
    names = []
    for name, tensor in workbench.case.module.state_dict().items():
        other = before.get(name)
        if other is None or any(
            type(one) not in (torch.Tensor, torch.nn.Parameter) for one in (tensor, other)
        ):
            continue
        alike = (
            tensor.shape == other.shape and tensor.is_floating_point() and other.is_floating_point()
        )
        if alike and _weighty(tuple(tensor.shape)) and _cosine(tensor, other) < _RELATED:
            names.append(name)
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return (
        f"{shown} {'have' if len(names) > 1 else 'has'} nothing in common with the original's"
        if names
        else ""
    )


def _cosine(first: torch.Tensor, second: torch.Tensor) -> float:
    one, two = (tensor.detach().double().cpu().numpy().reshape(1, -1) for tensor in (first, second))
    return cosine(one, two)


def _constants(workbench: Workbench) -> list[tuple[str, Array]]:
    try:
        return workbench.constants()
    except RoomEnded as ended:
        raise stop_for(Stage.OPEN, ended.ending, "reading the artifact's constants") from None
