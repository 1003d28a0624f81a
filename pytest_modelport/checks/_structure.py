"""How an answer differs in structure from what the subject gives: names, numbers of tensors, Python
values.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from pytest_modelport.core.arrays import Array
from pytest_modelport.core.artifact import Manifest
from pytest_modelport.core.feed import Answer
from pytest_modelport.reference.expected import ExpectedCall

_SHOWN = 4


def in_order(step: ExpectedCall, answer: Answer, manifest: Manifest) -> list[Array] | str:
    """The answer's arrays in the order of the subject's outputs, or why they do not correspond."""
    wanted, got = [item.name for item in step.outputs], dict(answer.outputs)
    if set(wanted) == set(got) and len(got) == len(answer.outputs):
        return [got[name] for name in wanted]
    own_names = manifest.brought and not set(wanted) & set(got)
    if own_names and len(wanted) == len(answer.outputs):
        return [array for _, array in answer.outputs]  # by position: all its names are its own
    if manifest.call == "flat" and len(wanted) != len(got):
        count = f"{len(got)} tensors at {step.call.label}, the model {len(wanted)}"
        return f"the exported model gives {count}"
    return f"outputs at {step.call.label}: the exported model {_difference(wanted, list(got))}"


def _difference(wanted: Sequence[str], got: Sequence[str]) -> str:
    lacking = [name for name in wanted if name not in got]
    added = [name for name in got if name not in wanted]
    parts = [
        f"{word} {', '.join(names[:_SHOWN])}"
        for word, names in (("lacks", lacking), ("adds", added))
        if names
    ]
    return " and ".join(parts) or "repeats one"


def other_constants(step: ExpectedCall, answer: Answer, manifest: Manifest) -> Iterator[str]:
    """The Python values that are not the subject's."""
    got = dict(answer.constants) if manifest.call == "natural" else dict(manifest.constants)
    for name in step.constants.keys() | got.keys():
        expected, value = step.constants.get(name, "nothing"), got.get(name, "nothing")
        if expected != value and not (_is_nan(expected) and _is_nan(value)):
            place = f"Python value {name!r} at {step.call.label}"
            yield f"{place} is {value!r}, the model's is {expected!r}"


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)
