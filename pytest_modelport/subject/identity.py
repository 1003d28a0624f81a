"""Which model this is: fingerprints of weights, code and samples, the same in every process."""

from __future__ import annotations

import functools
import hashlib
import inspect
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import nn

from pytest_modelport.core.sample import Sample
from pytest_modelport.core.tensors import is_tensor, to_array

#: Objects that are known by their ids, kept so that no other gets one of them.
_KEPT: dict[int, Any] = {}
_SCALARS = (bool, int, float, complex, str, bytes, type(None))


def fingerprint(module: nn.Module, *samples: Sample) -> str:
    """A digest of what a run of these samples could depend on: classes and their code, modes,
    tensors, attributes, inputs.

    Two subjects with the same fingerprint share references and exports.
    """
    digest = hashlib.blake2b(digest_size=16)
    seen: dict[int, Any] = {}
    for path, part in module.named_modules():
        digest.update(path.encode() + b"\0")
        for chunk in (*_class(type(part), seen), *_described(_attributes(part), seen)):
            digest.update(chunk)
    for sample in samples:
        for chunk in _described([sample.args, dict(sample.kwargs)], {}):
            digest.update(chunk)
    return digest.hexdigest()


def identity(module: nn.Module) -> dict[str, str]:
    """Which model this is: its class, a digest of its weights and one of its classes' code."""
    code = hashlib.blake2b(digest_size=16)
    seen: dict[int, Any] = {}
    for part in module.modules():
        for chunk in _class(type(part), seen):
            code.update(chunk)
    kind = type(module)
    return {
        "class": f"{kind.__module__}.{kind.__qualname__}",
        "weights": digest(dict(module.state_dict())),
        "code": code.hexdigest(),
    }


def digest(value: Any) -> str:
    """Hex digits that differ when `value` does: functions by their code and what they use."""
    found = hashlib.blake2b(digest_size=16)
    for chunk in _described(value, {}):
        found.update(chunk)
    return found.hexdigest()


def _attributes(part: nn.Module) -> dict[str, Any]:
    """What a submodule holds. Hooks are kept under numbers that torch counts up for the process:
    only the hooks matter.
    """
    return {
        key: [*value.values()] if key.endswith("_hooks") else value
        for key, value in vars(part).items()
    }


def _class(kind: type, seen: dict[int, Any]) -> Iterator[bytes]:
    """A class by name and, outside torch, by the code of its methods: a notebook defines the same
    name again and again.
    """
    for base in kind.__mro__:
        yield f"{base.__module__}.{base.__qualname__}".encode()
        if base.__module__.partition(".")[0] not in ("torch", "builtins") and id(base) not in seen:
            seen[id(base)] = base
            for name, value in vars(base).items():
                if isinstance(value, FunctionType):
                    yield name.encode()
                    yield from _code(value.__code__)


def _code(code: CodeType) -> Iterator[bytes]:
    yield code.co_code + repr((code.co_names, code.co_varnames, code.co_freevars)).encode()
    for value in code.co_consts:
        if isinstance(value, CodeType):
            yield from _code(value)
        else:
            yield repr(value).encode()


def _described(value: Any, seen: dict[int, Any]) -> Iterator[bytes]:
    """Bytes that differ when `value` differs, without addresses."""
    yield type(value).__qualname__.encode()
    if isinstance(value, _SCALARS):
        yield repr(value).encode()
    elif isinstance(value, nn.Module):  # visited by path
        return
    elif is_tensor(value):
        yield from _tensor(value)
    elif id(value) not in seen:
        seen[id(value)] = value  # kept alive, so that its id stays its own
        yield from _contents(value, seen)


def _tensor(value: torch.Tensor) -> Iterator[bytes]:
    strides = value.stride() if value.layout is torch.strided else ""
    yield f"{value.dtype}{tuple(value.shape)}{strides}{value.device}{value.requires_grad}".encode()
    if value.layout is torch.strided and not value.is_quantized:
        yield bytes(to_array(value).data)


def _contents(value: Any, seen: dict[int, Any]) -> Iterator[bytes]:
    for kinds, describe in _KINDS:
        if isinstance(value, kinds):
            yield from describe(value, seen)
            return
    if not hasattr(value, "__dict__"):
        yield from _opaque(value, seen)
        return
    yield from _class(type(value), seen)
    yield from _described(vars(value), seen)
    yield from _described(_slots(value), seen)


def _mapping(value: Mapping[Any, Any], seen: dict[int, Any]) -> Iterator[bytes]:
    for key, item in value.items():
        yield repr(key).encode()
        yield from _described(item, seen)


def _sequence(value: Sequence[Any], seen: dict[int, Any]) -> Iterator[bytes]:
    for item in value:
        yield from _described(item, seen)


def _set(value: frozenset[Any], seen: dict[int, Any]) -> Iterator[bytes]:
    yield from sorted(b"".join(_described(item, dict(seen))) for item in value)


def _numpy(value: Any, seen: dict[int, Any]) -> Iterator[bytes]:
    yield f"{value.dtype}{value.shape}".encode()
    if value.dtype == object:
        yield from _sequence(value.ravel().tolist(), seen)
    else:
        yield value.tobytes()


def _method(value: MethodType, seen: dict[int, Any]) -> Iterator[bytes]:
    yield from _described(value.__func__, seen)
    yield from _bound(value.__self__, seen)


def _partial(value: functools.partial[Any], seen: dict[int, Any]) -> Iterator[bytes]:
    yield from _described([value.func, value.args, value.keywords], seen)


def _referred(value: weakref.ReferenceType[Any], seen: dict[int, Any]) -> Iterator[bytes]:
    yield from _described(value(), seen)


def _plain(value: Any, _: dict[int, Any]) -> Iterator[bytes]:
    """What its name and its repr say everything about."""
    yield f"{getattr(value, '__module__', '')}.{value!r}".encode()


def _bound(owner: Any, seen: dict[int, Any]) -> Iterator[bytes]:
    """What a method belongs to; a module of a model's own is visited by path, another is not."""
    if isinstance(owner, nn.Module):
        yield from _class(type(owner), seen)
        yield from _described(dict(owner.state_dict()), seen)
    else:
        yield from _described(owner, seen)


def _slots(value: Any) -> dict[str, Any]:
    names = (name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ()))
    return {name: getattr(value, name) for name in names if hasattr(value, name)}


def _opaque(value: Any, seen: dict[int, Any]) -> Iterator[bytes]:
    """An object without attributes that Python shows: by how it is pickled, else by itself alone:
    what cannot be described is taken for another thing each time.
    """
    if slots := _slots(value):
        yield from _class(type(value), seen)
        yield from _described(slots, seen)
        return
    try:
        parts = value.__reduce_ex__(2)
    except (AttributeError, RuntimeError, TypeError, ValueError):
        yield f"{id(_KEPT.setdefault(id(value), value))}".encode()
        return
    if isinstance(parts, str):
        yield parts.encode()
        return
    items = (list(part) for part in parts[3:5] if part is not None)
    yield from _described([*parts[1:3], *items], seen)


def _function(value: FunctionType, seen: dict[int, Any]) -> Iterator[bytes]:
    yield value.__qualname__.encode()
    yield from _code(value.__code__)
    yield from _described([value.__defaults__, value.__kwdefaults__], seen)
    used = inspect.getclosurevars(value)
    yield from _described({**used.nonlocals, **used.globals}, seen)


_KINDS: Sequence[tuple[Any, Callable[..., Iterator[bytes]]]] = (
    (Mapping, _mapping),
    ((list, tuple), _sequence),
    ((set, frozenset), _set),
    ((np.ndarray, np.generic), _numpy),
    (FunctionType, _function),
    (MethodType, _method),
    (functools.partial, _partial),
    (weakref.ReferenceType, _referred),
    ((type, ModuleType, BuiltinFunctionType, range, slice), _plain),
    ((torch.dtype, torch.device, torch.memory_format, torch.layout), _plain),
)
