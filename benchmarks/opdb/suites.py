"""Where the subjects come from: test suites that torch and ExecuTorch ship."""

from __future__ import annotations

import contextlib
import copy
import importlib
import importlib.util
import inspect
import pkgutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest import mock

import torch
from torch import nn
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten

#: Operators whose result is whatever lay in memory.
MEMORY = (
    "empty",
    "empty_like",
    "empty_permuted",
    "empty_strided",
    "new_empty",
    "new_empty_strided",
)
#: Whose samples seed torch's generator on the way, which no file does.
SEEDED = ("multinomial",)
#: How eager says that it does not take a sample.
REFUSALS = (RuntimeError, TypeError, ValueError, NotImplementedError, AssertionError)


@dataclass(frozen=True)
class Subject:
    """A module with one sample. shapes: which dims may vary, as torch.export is told."""

    suite: str
    name: str
    module: nn.Module
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    shapes: Any = None


class Operator(nn.Module):
    """One operator; its tensors are inputs, everything else is fixed."""

    def __init__(self, function: Any, leaves: list[Any], spec: Any) -> None:
        super().__init__()
        self.function, self.spec = function, spec
        self.leaves = [None if isinstance(leaf, torch.Tensor) else leaf for leaf in leaves]
        self.places = [n for n, leaf in enumerate(leaves) if isinstance(leaf, torch.Tensor)]

    def forward(self, *tensors: torch.Tensor) -> Any:
        leaves = list(self.leaves)
        for place, tensor in zip(self.places, tensors, strict=True):
            leaves[place] = tensor
        args, kwargs = tree_unflatten(leaves, self.spec)
        return self.function(*args, **kwargs)


def copied(values: Any) -> Any:
    """Nested values with each tensor in memory of its own."""
    return tree_map(
        lambda leaf: leaf.detach().clone() if isinstance(leaf, torch.Tensor) else leaf, values
    )


def op_infos(*dtypes: torch.dtype) -> Iterator[tuple[str, Any, torch.dtype]]:
    """Every operator of torch's `op_db` by name, once for each of these dtypes that it takes."""
    from torch.testing._internal.common_methods_invocations import op_db

    for op in op_db:
        name = ".".join(filter(None, (op.name, op.variant_test_name)))
        yield from ((name, op, dtype) for dtype in dtypes if op.supports_dtype(dtype, "cpu"))


def sampled(op: Any, dtype: torch.dtype) -> Any:
    """The samples of an operator. torch seeds each of them after the test that asks, which it would
    look for in all modules below us: nobody asks.
    """
    places = "common_utils", "opinfo.core"
    with contextlib.ExitStack() as patched:
        for place in places:
            name = f"torch.testing._internal.{place}.extract_test_fn"
            patched.enter_context(mock.patch(name, return_value=None))
        return op.sample_inputs("cpu", dtype, requires_grad=False)


def operators(samples: int) -> Iterator[Subject]:
    """Every operator of float32 with its first samples."""
    for name, op, dtype in op_infos(torch.float32):
        if op.name in (*MEMORY, *SEEDED):
            continue
        torch.manual_seed(0)
        taken: list[Subject] = []
        for sample in sampled(op, dtype):
            if len(taken) == samples:
                continue  # and on to the end: left halfway, samples may hold torch's grad mode
            leaves, spec = tree_flatten(((sample.input, *sample.args), dict(sample.kwargs)))
            module = Operator(op.op, leaves, spec)
            tensors = copied(tuple(leaves[place] for place in module.places))
            if _usable(module, tensors, {}):
                taken.append(Subject("operators", f"{name} {len(taken)}", module, tensors))
        yield from taken


def modules(samples: int) -> Iterator[Subject]:
    """Every module of torch's `module_db` in float32 and eval mode with its first samples."""
    from torch.testing._internal.common_modules import module_db

    for info in module_db:
        torch.manual_seed(0)
        made = info.module_inputs_func(
            info, device="cpu", dtype=torch.float32, requires_grad=False, training=False
        )
        taken = 0
        for sample in made:
            if taken == samples:
                break
            if sample.forward_input is None:
                continue
            torch.manual_seed(0)
            built = sample.constructor_input
            module = info.module_cls(*built.args, **built.kwargs).to(torch.float32).eval()
            args, kwargs = copied((tuple(sample.forward_input.args), sample.forward_input.kwargs))
            if _usable(copy.deepcopy(module), args, kwargs):
                yield Subject("modules", f"{info.name} {taken}", module, args, kwargs)
                taken += 1


def exportdb(_: int) -> Iterator[Subject]:
    """Every case of torch.export's ExportDB, those that it says it does not support included."""
    torch.manual_seed(0)
    from torch._export.db.examples import all_examples

    for name, case in sorted(all_examples().items()):
        module = case.model.eval()
        args, kwargs = case.example_args, dict(case.example_kwargs)
        yield Subject("exportdb", name, module, args, kwargs, case.dynamic_shapes)


class _Recorder:
    """What a test of ExecuTorch's suite takes to be its runner: it keeps what it is given."""

    def __init__(self) -> None:
        self.given: list[tuple[nn.Module, tuple[Any, ...]]] = []
        self._flow = SimpleNamespace(quantize=False)

    def lower_and_run_model(self, model: nn.Module, inputs: Any, **_: Any) -> None:
        self.given.append((model.eval(), copied(tuple(inputs))))


def executorch(samples: int) -> Iterator[Subject]:
    """The models of every test of ExecuTorch's operator suite, where its wheel has the suite.

    What the suite skips for all of its backends, non-finite values among others, is not skipped.
    """
    package = "executorch.backends.test.suite.operators"
    if not _installed(package):
        print(f"no {package}: the suite is left out", file=sys.stderr)
        return
    with mock.patch("unittest.skip", return_value=lambda test: test):
        suite = importlib.import_module(package)
        files = [
            importlib.import_module(f"{package}.{item.name}")
            for item in pkgutil.iter_modules(suite.__path__)
        ]
    for name, test in (row for file in files for row in _tests(file)):
        runner = _Recorder()
        torch.manual_seed(0)
        asked = {"dtype": torch.float32} if "dtype" in inspect.signature(test).parameters else {}
        test(runner, **asked)
        for taken, (module, args) in enumerate(runner.given[:samples]):
            if _usable(copy.deepcopy(module), args, {}):
                yield Subject("executorch", f"{name} {taken}", module, args)


def _installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ModuleNotFoundError:
        return False


def _tests(file: ModuleType) -> Iterator[tuple[str, Callable[..., None]]]:
    for name, value in vars(file).items():
        if name.startswith("test_") and inspect.isfunction(value):
            yield name, value


def _usable(module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Whether eager takes the sample, and it holds tensors, all with elements."""
    leaves = tree_flatten((args, dict(kwargs)))[0]
    tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]
    if not tensors or not all(tensor.numel() for tensor in tensors):
        return False
    given, named = copied((args, dict(kwargs)))
    try:
        module(*given, **named)
    except REFUSALS:
        return False
    return True


SUITES: dict[str, Callable[[int], Iterator[Subject]]] = {
    "operators": operators,
    "modules": modules,
    "exportdb": exportdb,
    "executorch": executorch,
}
