"""Whether what an item's functions return is what the contract says."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pytest_modelport.core.arrays import Array
from pytest_modelport.core.artifact import TensorSpec
from pytest_modelport.core.feed import Answer


def exported_faults(exported: object) -> Iterator[str]:
    """What is wrong with what a format's `export` returned."""
    from pytest_modelport.backends.export import Exported

    if not isinstance(exported, Exported):
        yield f"export returned a {type(exported).__name__}: it must return an Exported"
        return
    yield from _spec_faults("export: inputs", exported.inputs)
    yield from _spec_faults("export: outputs", exported.outputs)


def inspected_faults(found: object) -> Iterator[str]:
    """What is wrong with what a format's `inspect` returned."""
    if not (isinstance(found, tuple) and len(found) == 3):
        yield f"inspect returned {found!r}: it must return (inputs, outputs, files beside it)"
        return
    yield from _spec_faults("inspect: inputs", found[0])
    yield from _spec_faults("inspect: outputs", found[1])
    if not _are_paths(found[2]):
        yield f"inspect: the files beside it are {found[2]!r}: give a tuple of relative paths"


def _spec_faults(what: str, specs: object) -> Iterator[str]:
    if not (isinstance(specs, tuple) and all(isinstance(item, TensorSpec) for item in specs)):
        yield f"{what} are {specs!r}: give a tuple of TensorSpec"


def session_faults(session: object) -> Iterator[str]:
    """What is wrong with what a runtime's `open` returned."""
    kind = type(session).__name__
    if not callable(getattr(session, "run", None)):
        yield f"open returned a {kind} without run(feed)"
    options = getattr(session, "options", None)
    if not isinstance(options, Mapping):
        yield f"open returned a {kind} without options: a dict of what was really set"
        return
    try:
        json.dumps(dict(options))
    except (TypeError, ValueError) as error:
        yield f"options of its session are no JSON: {error}"


def answer_faults(answer: object) -> Iterator[str]:
    """What is wrong with what a session's `run` returned."""
    if not isinstance(answer, Answer):
        yield f"run returned a {type(answer).__name__}: it must return an Answer"
        return
    if not _are_arrays(answer.outputs):
        yield "run returned an Answer whose outputs are not pairs of a name and an Array"
    if not _are_arrays(tuple(answer.mutated.items())):
        yield "run returned an Answer whose mutated inputs are not Arrays by name"


def constants_faults(constants: list[Any]) -> Iterator[str]:
    """What is wrong with what a format's `constants` yields."""
    if not _are_arrays(constants):
        yield "constants must yield pairs of a name and an Array"


def _are_arrays(pairs: Any) -> bool:
    return all(
        isinstance(pair, tuple)
        and len(pair) == 2
        and isinstance(pair[0], str)
        and isinstance(pair[1], Array)
        for pair in pairs
    )


def notes_faults(notes: object) -> Iterator[str]:
    """What is wrong with what a transform of files returned."""
    if not (isinstance(notes, (list, tuple)) and all(isinstance(note, str) for note in notes)):
        yield f"returned {notes!r}: it must return notes, a list of texts"


def module_faults(made: object) -> Iterator[str]:
    """What is wrong with what a transform of models returned."""
    from torch import nn

    if not isinstance(made, nn.Module):
        kind = type(made).__name__
        yield f"returned a {kind}: it must return the module, or None for in place"


def _are_paths(value: Any) -> bool:
    return isinstance(value, (tuple, list)) and all(isinstance(item, str) for item in value)
