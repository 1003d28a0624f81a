"""Nested inputs and outputs as a flat list of named tensors, and back.

Standard library only: the clean room uses it too. Containers keep their own meaning (a dict's
order, a dataclass's fields), and objects that are none of the known containers but hold tensors
(cache objects) are walked by their attributes.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Path = tuple[Any, ...]
#: A JSON description of a nested value: ["leaf", i] | ["constant", v] | ["tuple" | "list", [..]] |
#: ["dict", [[key, ..]]] | ["object", type name, [[field, ..]]]. Objects cannot be built where their
#: class is unknown.
Spec = list[Any]
IsLeaf = Callable[[Any], bool]
_CONSTANTS = (bool, int, float, complex, str, bytes, type(None))


def _children(value: Any) -> tuple[str, list[tuple[Any, Any]]] | None:
    """The kind of container `value` is and its (key, child) pairs, or None when it is none."""
    if isinstance(value, Mapping):
        return ("dict" if type(value) is dict else "object"), list(value.items())
    if isinstance(value, (list, tuple)):
        fields = getattr(value, "_fields", None)
        if fields is not None:
            return "object", list(zip(fields, value, strict=True))
        exact = type(value) in (list, tuple)
        return (type(value).__name__ if exact else "object"), list(enumerate(value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return "object", [
            (field.name, getattr(value, field.name)) for field in dataclasses.fields(value)
        ]
    return None


def _attributes(value: Any) -> list[tuple[Any, Any]]:
    """Public attributes of an object that is no known container; none for classes, modules and
    functions.
    """
    if isinstance(value, (*_CONSTANTS, type)) or callable(value) or not hasattr(value, "__dict__"):
        return []
    return [(key, item) for key, item in vars(value).items() if not key.startswith("_")]


class _Walk:
    def __init__(self, is_leaf: IsLeaf) -> None:
        self.is_leaf = is_leaf
        self.leaves: list[tuple[Path, Any]] = []
        self.constants: list[tuple[Path, Any]] = []
        self._open: set[int] = set()

    def spec(self, value: Any, path: Path) -> Spec:
        if self.is_leaf(value):
            self.leaves.append((path, value))
            return ["leaf", len(self.leaves) - 1]
        if type(value) in _CONSTANTS:
            self.constants.append((path, value))
            return (
                ["constant", value]
                if type(value) not in (complex, bytes)
                else ["object", type(value).__name__, []]
            )
        if id(value) in self._open:
            return ["object", type(value).__qualname__, []]
        self._open.add(id(value))
        try:
            found = _children(value)
            return self._container(*found, value, path) if found else self._object(value, path)
        finally:
            self._open.discard(id(value))

    def _container(
        self, kind: str, children: list[tuple[Any, Any]], value: Any, path: Path
    ) -> Spec:
        pairs = [[key, self.spec(child, (*path, key))] for key, child in children]
        if kind in ("list", "tuple"):
            return [kind, [child for _, child in pairs]]
        if kind == "dict" and all(isinstance(key, str) for key, _ in pairs):
            return ["dict", pairs]
        return ["object", type(value).__qualname__, [[str(key), child] for key, child in pairs]]

    def _object(self, value: Any, path: Path) -> Spec:
        """Only the tensors inside: an unknown object's other attributes are its own business."""
        constants = list(self.constants)
        pairs = [[str(key), self.spec(child, (*path, key))] for key, child in _attributes(value)]
        self.constants = constants
        return ["object", type(value).__qualname__, pairs]


@dataclasses.dataclass(frozen=True)
class Flattened:
    """A nested value taken apart: tensors and Python constants by path, in order, and the shape of
    the nest.
    """

    leaves: tuple[tuple[Path, Any], ...]
    constants: tuple[tuple[Path, Any], ...]
    spec: Spec


def flatten(value: Any, is_leaf: IsLeaf) -> Flattened:
    """Take `value` apart. Leaves come in the order torch's own pytree gives for the containers it
    knows.
    """
    walk = _Walk(is_leaf)
    spec = walk.spec(value, ())
    return Flattened(tuple(walk.leaves), tuple(walk.constants), spec)


def buildable(spec: Spec) -> bool:
    """Whether `build` can make a value from this spec."""
    kind = spec[0]
    if kind in ("leaf", "constant"):
        return True
    if kind == "object":
        return False
    return all(buildable(child[1] if kind == "dict" else child) for child in spec[1])


def build(spec: Spec, leaves: list[Any]) -> Any:
    """The value described by `spec`, with `leaves` in it."""
    kind = spec[0]
    if kind == "leaf":
        return leaves[spec[1]]
    if kind == "constant":
        return spec[1]
    if kind == "dict":
        return {key: build(child, leaves) for key, child in spec[1]}
    if kind in ("list", "tuple"):
        children = [build(child, leaves) for child in spec[1]]
        return tuple(children) if kind == "tuple" else children
    raise TypeError(f"an object of class {spec[1]} cannot be built from its description")


def replace(value: Any, is_leaf: IsLeaf, new: Callable[[Any], Any]) -> Any:
    """A copy of `value` with every leaf replaced by `new(leaf)`; classes are kept, also unknown
    ones.
    """
    if is_leaf(value):
        return new(value)
    if isinstance(value, _CONSTANTS):
        return value
    found = _children(value)
    if found is None:
        pairs = [(key, child) for key, child in _attributes(value) if _holds(child, is_leaf)]
        if not pairs:
            return value
        clone = copy.copy(value)
        for key, child in pairs:
            clone.__dict__[key] = replace(child, is_leaf, new)
        return clone
    children = [(key, replace(child, is_leaf, new)) for key, child in found[1]]
    return _remake(value, children)


def _holds(value: Any, is_leaf: IsLeaf) -> bool:
    return bool(flatten(value, is_leaf).leaves)


def _remake(value: Any, children: list[tuple[Any, Any]]) -> Any:
    if type(value) in (list, tuple):
        return type(value)(child for _, child in children)
    if type(value) is dict:
        return dict(children)
    if isinstance(value, tuple):
        # Only namedtuples and their like (PackedSequence) take their fields as separate arguments.
        items = [child for _, child in children]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    clone = copy.copy(value)
    for key, child in children:
        if isinstance(value, (Mapping, list)):
            clone[key] = child
        else:
            object.__setattr__(clone, key, child)
    return clone


def name(path: Path, *, root: str) -> str:
    """A dotted name for a leaf: `logits`, `hidden.3`; `root` alone or before a bare position."""
    if not path:
        return root
    parts = [str(part) for part in path]
    return ".".join([root, *parts] if isinstance(path[0], int) else parts)


def names(leaves: Iterable[tuple[Path, Any]], *, root: str) -> tuple[str, ...]:
    """Names for all leaves, in order. Raises `ValueError` when two would be the same."""
    result = tuple(name(path, root=root) for path, _ in leaves)
    if len(set(result)) != len(result):
        twice = sorted({item for item in result if result.count(item) > 1})
        raise ValueError(f"two {root}s would both be called {twice[0]!r}: rename a key")
    return result
