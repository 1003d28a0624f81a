"""From what a user calls a model to the subject: modules, factories, import strings, names in model
libraries, wrappers.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from torch import nn

from pytest_modelport.backends import registry, requirements
from pytest_modelport.backends.contract import Library, knows_folders
from pytest_modelport.core.errors import UsageError, unknown
from pytest_modelport.core.sample import Sample
from pytest_modelport.request.model_names import parse

T = TypeVar("T")


@dataclass(frozen=True)
class Loaded:
    """The subject, how to make another one, inputs where the model brings some, and what was done
    to get it.
    """

    module: nn.Module
    factory: Callable[[], nn.Module] | None = None
    sample: Sample | None = None
    notes: tuple[str, ...] = ()


def load(model: Any) -> Loaded:
    """The subject behind what the user gave.

    model: an `nn.Module`; a factory (a function or class called without arguments) that returns
    one, or one with inputs: `(module, args)`, `(module, args, kwargs)`; `package.module:name` or
    `file.py:name` of either; a folder that a library saved; or a name in a model library,
    `transformers:BertConfig?hidden_size=64`. Wrappers are taken off. Raises `UsageError` when it is
    none of these.
    """
    if isinstance(model, str):
        return _named(model)
    if isinstance(model, nn.Module):
        return _unwrapped(Loaded(model, None, _own_sample(model)))
    if callable(model):
        module, sample = _made(model)
        return _unwrapped(Loaded(module, lambda: _made(model)[0], sample))
    raise UsageError(
        f"the model is a {type(model).__name__}: "
        "give a torch.nn.Module, a factory or 'package.module:name'"
    )


def _made(factory: Callable[[], Any]) -> tuple[nn.Module, Sample | None]:
    try:
        inspect.signature(factory).bind()
    except TypeError as error:
        name = getattr(factory, "__qualname__", type(factory).__name__)
        raise UsageError(
            f"{name} cannot be called without arguments ({error}): give a factory that can"
        ) from None
    except ValueError:  # written in C: only calling it will tell
        pass
    made = factory()
    if isinstance(made, nn.Module):
        return made, _own_sample(made)
    if isinstance(made, tuple) and 2 <= len(made) <= 3 and isinstance(made[0], nn.Module):
        return made[0], Sample.of(*made[1:])
    what = f"the factory returned a {type(made).__name__}"
    raise UsageError(
        f"{what}: it must return a torch.nn.Module, or (module, args), or (module, args, kwargs)"
    )


def _own_sample(module: nn.Module) -> Sample | None:
    """Inputs that a module keeps by convention: Lightning's `example_input_array`."""
    example = getattr(module, "example_input_array", None)
    if example is None:
        return None
    return Sample((), example) if isinstance(example, dict) else Sample.of(example)


def _named(name: str) -> Loaded:
    if Path(name).is_dir():
        return _from_folder(Path(name))
    first, colon, rest = name.partition(":")
    if not colon or not first or not rest:
        raise UsageError(
            f"model {name!r} is neither a folder nor an import string: write "
            "'package.module:name' or 'file.py:name'"
        )
    if first in registry.names("libraries"):
        return _from_library(first, rest)
    try:
        module = _of_file(Path(first)) if first.endswith(".py") else importlib.import_module(first)
    except ImportError as error:
        raise UsageError(f"model {name!r} cannot be imported: {error}") from error
    if not hasattr(module, rest):
        raise unknown(
            f"name in {first}", rest, [key for key in vars(module) if not key.startswith("_")]
        )
    return load(getattr(module, rest))


def _of_file(file: Path) -> ModuleType:
    """A file as Python would import it from its own folder, which it may import from."""
    if not file.is_file():
        raise ImportError(f"there is no file {file}")
    folder = str(file.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    module = importlib.import_module(file.stem)
    found = module.__file__ or "what has no file"
    if Path(found).resolve() != file.resolve():
        raise ImportError(f"{file.stem!r} is {found} here: rename {file}")
    return module


def _from_folder(folder: Path) -> Loaded:
    """A model that somebody saved, by the first library that knows such folders."""
    for source in map(registry.library, registry.names("libraries")):
        if knows_folders(source) and source.recognises(folder):
            build = partial(source.from_folder, folder)
            module, sample, notes = _built(source, str(folder), build)
            return Loaded(module, lambda: build()[0], sample, notes)  # noqa: B023 - it returns
    raise UsageError(
        f"model folder {folder} is none that a library knows: transformers writes config.json "
        "with architectures, PEFT adapter_config.json"
    )


def _from_library(library: str, text: str) -> Loaded:
    """A model by its name in a library, with options: `NAME?option=value&flag`."""
    source = registry.library(library)
    name, options = parse(text)
    whole = f"{library}:{text}"
    module, sample = _built(source, whole, lambda: source.build(name, options))
    return Loaded(module, lambda: source.build(name, options)[0], sample)


def _built(source: Library, name: str, build: Callable[[], T]) -> T:
    """What a library makes. Raises `UsageError` where it needs packages, and where it fails."""
    absent = requirements.missing(source.REQUIRES)
    if absent:
        raise UsageError(
            f"model {name} needs {', '.join(absent)}; pip install {' '.join(map(repr, absent))}"
        )
    try:
        return build()
    except UsageError:
        raise
    except Exception as error:  # the library's own code, its packages included, may raise anything
        raise UsageError(f"{name} cannot be built: {type(error).__name__}: {error}") from error


#: Wrappers by class name, and the attribute that holds what they wrap.
_WRAPPERS = {
    "DataParallel": "module",
    "DistributedDataParallel": "module",
    "OptimizedModule": "_orig_mod",
    "AveragedModel": "module",
}


def _unwrapped(loaded: Loaded) -> Loaded:
    """Without the wrappers that training puts around a model and a deployment does not know."""
    kind = type(loaded.module)
    if not kind.__module__.startswith("torch.") or kind.__name__ not in _WRAPPERS:
        return loaded
    attribute, outer = _WRAPPERS[kind.__name__], loaded.factory
    inner = replace(
        loaded,
        module=getattr(loaded.module, attribute),
        factory=(lambda: getattr(outer(), attribute)) if outer else None,
        notes=(*loaded.notes, f"the model inside {kind.__name__} is verified"),
    )
    return _unwrapped(inner)
