"""A model that shows what it computes on the way: where a runtime shows no inner values, the model
is exported once more with them as outputs.

What is counted are the calls of torch's functions that make or change a tensor, as the Python code
of the model makes them: `torch.export` and `torch.jit.trace` see each of them, too.
"""

from __future__ import annotations

import contextlib
import inspect
from collections import Counter
from collections.abc import Callable, Collection
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode, resolve_name
from torch.utils._pytree import tree_leaves

_INNER = "inner"
#: A call: the function's name, and how many of its calls came before. While they are exported,
#: models make calls that they do not make else, and leave some out: only those of one name shift.
Key = tuple[str, int]
#: Told of each call: which it is, and what it made.
Seen = Callable[[Key, list[torch.Tensor]], None]


class Watch(TorchFunctionMode):
    """While active, tells of every call that makes a tensor, other than a view, or changes one."""

    def __init__(self, seen: Seen) -> None:
        super().__init__()
        self._seen = seen
        self._counts: Counter[str] = Counter()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        made = [result, args[0]] if func is torch.Tensor.__setitem__ else result
        tensors = [leaf for leaf in tree_leaves(made) if _shown(leaf)]
        if tensors:
            name = resolve_name(func) or str(getattr(func, "__name__", func))
            self._counts[name] += 1
            self._seen((name, self._counts[name] - 1), tensors)
        return result


def _shown(value: object) -> bool:
    """Whether a port can be asked for it."""
    return (
        isinstance(value, torch.Tensor)
        and value.layout is torch.strided
        and not value.is_quantized
        and value.numel() > 0
    )


def showing(module: nn.Module, kept: Collection[Key], copied: Collection[Key] = ()) -> nn.Module:
    """The model, whose answer is its own and the results of these calls, where they are not in it.
    copied: those whose results are changed afterwards.
    """

    def answers(answer: Any, found: list[torch.Tensor]) -> Any:
        own = {id(leaf) for leaf in tree_leaves(answer)}
        return answer, [tensor for tensor in found if id(tensor) not in own]

    return _wrapped(module, kept, copied, answers)


def cut(module: nn.Module, last: Key, copied: Collection[Key] = ()) -> nn.Module:
    """The model up to a call, whose result is the answer.

    `torch.jit.trace` keeps what nobody uses, so it sees the model end there, by an exception.
    `torch.export` leaves that out, and does not take exceptions: its record of the parts that are
    being called would stay open.
    """
    return _wrapped(module, (last,), copied, lambda _, found: found, ends=torch._C._is_tracing)


class _Reached(Exception):
    """The last call that is wanted has been made."""


def _wrapped(
    module: nn.Module,
    kept: Collection[Key],
    copied: Collection[Key],
    answers: Callable[[Any, list[torch.Tensor]], Any],
    ends: Callable[[], bool] = lambda: False,
) -> nn.Module:
    """A module around another, with its signature: inputs keep their names. answers: of its answer
    and of what the calls made. ends: whether it ends with the first of them.
    """

    def forward(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        found: list[torch.Tensor] = []

        def seen(key: Key, tensors: list[torch.Tensor]) -> None:
            if key in kept:
                found.extend(tensor.clone() if key in copied else tensor for tensor in tensors)
                if ends():
                    raise _Reached

        answer = None
        with contextlib.suppress(_Reached), Watch(seen):
            answer = self.get_submodule(_INNER)(*args, **kwargs)
        return answers(answer, found)

    own = inspect.signature(module.forward)
    first = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = [first, *own.parameters.values()]
    forward.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    wrapped: nn.Module = type("Inner", (nn.Module,), {"forward": forward})()
    wrapped.add_module(_INNER, module)
    wrapped.training = module.training  # the parts keep their own modes
    return wrapped
