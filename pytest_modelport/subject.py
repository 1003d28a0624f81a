"""The subject: the user's eager module, in the modes it was given."""

from __future__ import annotations

import hashlib
import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import CodeType, FunctionType, ModuleType
from typing import Any

import torch
from torch import nn

from pytest_modelport import tree
from pytest_modelport.errors import UsageError, unknown
from pytest_modelport.sample import Sample
from pytest_modelport.tensors import is_tensor, to_array

Factory = Callable[[], nn.Module]
_SCALARS = (bool, int, float, complex, str, bytes, type(None))


def load(model: Any) -> tuple[nn.Module, Factory | None]:
    """The module behind a module, a factory (a function or class called without arguments) or `package.module:name`; and the
    factory, where there is one.

    Raises `UsageError` when it is none of these.
    """
    if isinstance(model, str):
        return load(_imported(model))
    if isinstance(model, nn.Module):
        return model, None
    if callable(model):
        return _made(model), lambda: _made(model)
    raise UsageError(f"the model is a {type(model).__name__}: give a torch.nn.Module, a factory or 'package.module:name'")


def _made(factory: Callable[[], Any]) -> nn.Module:
    made = factory()
    if not isinstance(made, nn.Module):
        raise UsageError(f"the factory returned a {type(made).__name__}: it must return a torch.nn.Module")
    return made


def _imported(name: str) -> Any:
    module_name, colon, attribute = name.partition(":")
    if not colon or not module_name or not attribute:
        raise UsageError(f"model {name!r} is no import string: write 'package.module:name'")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise UsageError(f"model {name!r} cannot be imported: {error}") from error
    if not hasattr(module, attribute):
        raise unknown(f"name in {module_name}", attribute, [key for key in vars(module) if not key.startswith("_")])
    return getattr(module, attribute)


def paths(module: nn.Module) -> dict[int, str]:
    """`id(submodule)` -> its path; the subject itself is its class name."""
    return {id(part): path or type(module).__name__ for path, part in module.named_modules()}


def modes(module: nn.Module) -> tuple[str, ...]:
    """Notes on submodules left in train mode that compute differently there."""
    sensitive = [
        path or type(module).__name__
        for path, part in module.named_modules()
        if part.training
        and (isinstance(part, (nn.modules.dropout._DropoutNd, nn.modules.batchnorm._NormBase)) or _rnn_dropout(part))
    ]
    if sensitive:
        shown = ", ".join(sensitive[:3]) + (f" and {len(sensitive) - 3} more" if len(sensitive) > 3 else "")
        return (f"the subject is verified in train mode, as it was given: {shown}",)
    return ()


def _rnn_dropout(part: nn.Module) -> bool:
    return isinstance(part, nn.RNNBase) and part.dropout > 0


@dataclass(frozen=True)
class Input:
    """One tensor among the inputs. `path` starts with the parameter's name."""

    name: str
    path: tree.Path
    tensor: torch.Tensor


@dataclass(frozen=True)
class Inputs:
    """A sample, named by the subject's own parameters, with keyword arguments in the signature's order.

    positional: the path each positional argument has. constants: Python values among the inputs, by name.
    """

    sample: Sample
    positional: tuple[tree.Path, ...]
    tensors: tuple[Input, ...]
    constants: Mapping[str, Any]
    parameters: tuple[str, ...]
    spec: tree.Spec

    @property
    def buildable(self) -> bool:
        """Whether a process without the user's classes can make these arguments."""
        return tree.buildable(self.spec)


def inputs(module: nn.Module, sample: Sample) -> Inputs:
    """Name a sample's tensors. Raises `UsageError` when it has none or the arguments do not fit the signature."""
    positional, keywords = _parameters(module, sample)
    ordered = {key: sample.kwargs[key] for key in keywords if key in sample.kwargs}
    sample = Sample(sample.args, {**ordered, **{k: v for k, v in sample.kwargs.items() if k not in ordered}})
    flat = tree.flatten((sample.args, dict(sample.kwargs)), is_tensor)

    def renamed(path: tree.Path) -> tree.Path:
        return (*positional[path[1]], *path[2:]) if path[0] == 0 else path[1:]

    leaves = [(renamed(path), tensor) for path, tensor in flat.leaves]
    if not leaves:
        raise UsageError("the sample holds no tensor: nothing could be compared")
    try:
        names = tree.names(leaves, root="input")
    except ValueError as error:
        raise UsageError(str(error)) from error
    return Inputs(
        sample,
        tuple(positional),
        tuple(Input(name, path, tensor) for name, (path, tensor) in zip(names, leaves, strict=True)),
        {tree.name(renamed(path), root="input"): value for path, value in flat.constants},
        tuple(dict.fromkeys([*(str(path[0]) for path in positional), *(str(key) for key in sample.kwargs)])),
        flat.spec,
    )


def _parameters(module: nn.Module, sample: Sample) -> tuple[list[tree.Path], list[str]]:
    """The path each positional argument gets, and the signature's names in order."""
    try:
        signature = inspect.signature(module.forward)
    except (TypeError, ValueError):  # a forward written in C or generated by TorchScript
        return [(f"input_{i}",) for i in range(len(sample.args))], []
    try:
        signature.bind(*sample.args, **sample.kwargs)
    except TypeError as error:
        raise UsageError(f"inputs do not fit {type(module).__name__}.forward{signature}: {error}") from error
    found: list[tree.Path] = []
    for parameter in signature.parameters.values():
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            found += [(parameter.name, i) for i in range(len(sample.args) - len(found))]
        elif parameter.kind is not inspect.Parameter.VAR_KEYWORD and len(found) < len(sample.args):
            found.append((parameter.name,))
    return found[: len(sample.args)], list(signature.parameters)


def fingerprint(module: nn.Module, *samples: Sample) -> str:
    """A digest of what a run of these samples could depend on: classes and their code, modes, tensors, attributes, inputs.

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


def _attributes(part: nn.Module) -> dict[str, Any]:
    """What a submodule holds. Hooks are kept under numbers that torch counts up for the process: only the hooks matter."""
    return {key: [*value.values()] if key.endswith("_hooks") else value for key, value in vars(part).items()}


def _class(kind: type, seen: dict[int, Any]) -> Iterator[bytes]:
    """A class by name and, outside torch, by the code of its methods: a notebook defines the same name again and again."""
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
