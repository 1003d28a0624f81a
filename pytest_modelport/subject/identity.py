"""Which model this is: fingerprints of weights, code and samples, the same in every process."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterator, Mapping
from types import CodeType, FunctionType, ModuleType
from typing import Any

import torch
from torch import nn

from pytest_modelport.core.sample import Sample
from pytest_modelport.core.tensors import is_tensor, to_array

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
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield repr(key).encode()
            yield from _described(item, seen)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _described(item, seen)
    elif isinstance(value, FunctionType):
        yield from _function(value, seen)
    elif isinstance(value, (type, ModuleType)) or not hasattr(value, "__dict__"):
        yield str(getattr(value, "__qualname__", getattr(value, "__name__", ""))).encode()
    else:
        yield from _class(type(value), seen)
        yield from _described(vars(value), seen)


def _function(value: FunctionType, seen: dict[int, Any]) -> Iterator[bytes]:
    yield value.__qualname__.encode()
    yield from _code(value.__code__)
    yield from _described([value.__defaults__, value.__kwdefaults__], seen)
    used = inspect.getclosurevars(value)
    yield from _described({**used.nonlocals, **used.globals}, seen)
