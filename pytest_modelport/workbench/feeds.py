"""A call's inputs in the form an artifact takes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pytest_modelport.core.arrays import Array
from pytest_modelport.core.artifact import Manifest, TensorSpec
from pytest_modelport.core.feed import Answer, Feed
from pytest_modelport.core.sample import Call
from pytest_modelport.core.verdict import Outcome, Stage
from pytest_modelport.isolation.stops import Stop
from pytest_modelport.request.case import Case

if TYPE_CHECKING:
    from pytest_modelport.subject.inputs import Inputs


def feed(case: Case, manifest: Manifest, call: Call, *, promised: bool = True) -> Feed:
    """One call's inputs for an artifact.

    promised: hold them to what the artifact promises to take, because many runtimes do not. Raises
    `Stop` when the artifact has no place for them.
    """
    from pytest_modelport.core.tensors import to_array
    from pytest_modelport.subject.inputs import name_inputs

    given = name_inputs(case.module, call.sample)
    arrays = {item.name: to_array(item.tensor, strided=True) for item in given.tensors}
    if manifest.call != "natural":
        problem = _misfit(given, case.inputs)
        if problem:
            raise Stop(Stage.RUN, Outcome.FAILED, f"{call.label} cannot be fed: {problem}")
    if manifest.brought and manifest.call == "named" and manifest.inputs:
        arrays = _renamed(arrays, manifest.inputs)
    if promised and manifest.call != "natural":
        for value in manifest.inputs:
            if value.optional and value.name not in arrays:
                continue
            if differing := _differs(value, arrays.get(value.name)):
                exported, here = differing
                was = "in the file is" if manifest.brought else "was exported as"
                said = f"input {value.name!r} {was} {exported}, this sample has {here}"
                raise Stop(Stage.RUN, Outcome.FAILED, f"{call.label} cannot be fed: {said}")
    return Feed(arrays, given.spec)


def unkept(manifest: Manifest, answer: Answer) -> list[str]:
    """How an answer is not what the artifact says of its outputs. Others plan their memory by that,
    and no runtime holds it.
    """
    got = dict(answer.outputs)
    promised = [
        value for value in manifest.outputs if manifest.call != "natural" and value.name in got
    ]
    differing = ((value.name, _differs(value, got[value.name])) for value in promised)
    return [
        f"output {name!r} is declared as {problem[0]} and is {problem[1]}"
        for name, problem in differing
        if problem
    ]


def _differs(promised: TensorSpec, given: Array | None) -> tuple[str, str] | None:
    """How an array is not what the artifact promises to take or to give: the promise, and what it
    is; None when it is.
    """
    if given is None:
        return promised.dtype or "a tensor", "none"
    if promised.dtype and promised.dtype != given.dtype:
        return promised.dtype, given.dtype
    if promised.shape is None:
        return None
    sizes = [size if isinstance(size, int) else None for size in promised.shape]
    fits = len(sizes) == len(given.shape) and all(
        size in (None, got) for size, got in zip(sizes, given.shape, strict=True)
    )
    shown = ", ".join("?" if size is None else str(size) for size in sizes)
    return None if fits else (f"({shown})", f"({', '.join(map(str, given.shape))})")


def _misfit(given: Inputs, exported: Inputs) -> str:
    """Why inputs cannot be handed to an artifact that has only named or ordered tensors; empty when
    they can.
    """
    names, known = [item.name for item in given.tensors], [item.name for item in exported.tensors]
    for name in names:
        if name not in known:
            return f"it has no input {name!r} (exported with {', '.join(known)})"
    for name in known:
        if name not in names:
            return f"its input {name!r} gets no tensor"
    for name in given.constants.keys() | exported.constants.keys():
        fixed, value = exported.constants.get(name), given.constants.get(name)
        if fixed != value:
            return f"{name} was fixed at {fixed!r} when it was exported, and is {value!r} here"
    return ""


def _renamed(arrays: dict[str, Array], inputs: Sequence[TensorSpec]) -> dict[str, Array]:
    """The arrays under a brought file's own input names: by name where they agree, else by
    position. Raises `Stop`.
    """
    names = [value.name for value in inputs]
    if {value.name for value in inputs if not value.optional} <= set(arrays):
        return {name: arrays[name] for name in names if name in arrays}
    if len(names) == len(arrays):
        return dict(zip(names, arrays.values(), strict=True))
    reason = f"the artifact takes {', '.join(names)}; the sample has {', '.join(arrays)}"
    raise Stop(Stage.RUN, Outcome.FAILED, reason)
