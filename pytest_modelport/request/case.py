"""What is to be proven."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_modelport.core.errors import UsageError
from pytest_modelport.core.sample import Call
from pytest_modelport.request.budgets import Budgets
from pytest_modelport.request.dynamic_shapes import Shapes
from pytest_modelport.request.search_options import SearchOptions
from pytest_modelport.request.tolerance import Tolerance
from pytest_modelport.request.transform_chain import Function

if TYPE_CHECKING:
    from torch import nn

    from pytest_modelport.subject.inputs import Inputs


@dataclass(frozen=True)
class Hooks:
    """The user's functions that run while a model is transformed.

    calibrate(model): runs data through the model it is given. finetune(model): trains it in place.
    metric(model): a number, more is better. functions: transforms of their own, by name.
    """

    calibrate: Callable[[Callable[..., Any]], Any] | None = None
    finetune: Callable[[nn.Module], Any] | None = None
    metric: Callable[[Callable[..., Any]], float] | None = None
    functions: Mapping[str, Function] = field(default_factory=dict)


def hooks_of(
    calibrate: Any, finetune: Any, metric: Any, functions: Mapping[str, Function]
) -> Hooks:
    """What the user gave, checked. Raises `UsageError` for what cannot be called."""
    for name, given in (("calibrate", calibrate), ("finetune", finetune), ("metric", metric)):
        if given is not None and not callable(given):
            raise UsageError(f"{name} is {given!r}: give a function that takes the model")
    return Hooks(calibrate, finetune, metric, functions)


@dataclass(frozen=True)
class Case:
    """The subject and everything the user said about it.

    key: the subject's fingerprint; equal keys share references and exports. artifact: a file to
    prove instead of exporting. timeout: seconds for each export, opening and call. threads: of the
    port's session. factory: makes another instance. imports: modules whose import registers what an
    artifact needs (custom operators). search: how further samples are found. budgets: what the port
    may cost. hooks: what of the user's runs while it is transformed. dtype: what a transform has
    cast floating point inputs to. zeros: how many weights of a pruned subject are zero. larger: the
    sample to export with where a dim that varies is 0 or 1 in the user's own, which exporters fix.
    training: the submodules in train mode that compute otherwise there, in words. cautions: what is
    said of every verdict, green ones too.
    """

    module: nn.Module
    inputs: Inputs
    calls: tuple[Call, ...]
    shapes: Shapes
    tolerance: Tolerance
    key: str
    seed: int
    name: str
    timeout: float
    search: SearchOptions
    artifact: Path | None = None
    threads: int = 1
    notes: tuple[str, ...] = ()
    factory: Callable[[], nn.Module] | None = None
    imports: tuple[str, ...] = ()
    budgets: Budgets = field(default_factory=Budgets)
    larger: Inputs | None = None
    dtype: str = ""
    zeros: int = 0
    training: str = ""
    cautions: tuple[str, ...] = ()
    hooks: Hooks = field(default_factory=Hooks)

    def fresh(self) -> nn.Module:
        """Another instance of the subject, in the same modes: the user's factory's where there is
        one, else a copy.

        The factory finds another state of the random generators, as it would in production: what it
        draws must not matter.
        """
        from pytest_modelport.core.tensors import seed_all
        from pytest_modelport.subject.copies import copied

        if self.factory is None:
            return copied(self.module)
        seed_all(self.seed + 1)
        made = self.factory()
        modes = {path: part.training for path, part in self.module.named_modules()}
        for path, part in made.named_modules():
            part.training = modes.get(path, part.training)
        return made
