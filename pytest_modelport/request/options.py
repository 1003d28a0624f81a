"""The one list of arguments: what `verify(...)` and the fixture take about a model.

Both have a signature of their own, for editors and readers, and build an `Options` first thing. The
members that a portable class may have are the fixture's parameters, so that none can be forgotten.
Defaults, and a line about each argument, are here alone; the reference page is made of them.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from pytest_modelport.core.errors import UsageError
from pytest_modelport.request.budgets import Baseline, Budgets, budgets_of
from pytest_modelport.request.case import Hooks, hooks_of
from pytest_modelport.request.recipes import Recipe
from pytest_modelport.request.search_options import InputDomain, SearchOptions, search_options_of
from pytest_modelport.request.tolerance import Tolerance
from pytest_modelport.request.transform_chain import Function

#: A file to prove instead of exporting, or one for each target.
Artifacts = str | Path | Mapping[str, str | Path]
#: What a budget is written as.
Limits = Mapping[str, Any] | None


def _about(line: str) -> dict[str, str]:
    return {"about": line}


@dataclass(frozen=True)
class Options:
    """Every keyword argument about a model, with its default. Nothing is checked until it is used:
    the properties raise `UsageError`.
    """

    dynamic_shapes: Any = field(
        default=None,
        metadata=_about(
            "dims that may vary: torch.export's form, where a string names a dim that must be "
            "dynamic; or 'infer', to ask the model"
        ),
    )
    samples: Iterable[Any] = field(
        default=(),
        metadata=_about(
            "further inputs: argument tuples, `Sample`, `recipe(...)`, files, or a data loader"
        ),
    )
    artifact: Artifacts | None = field(
        default=None, metadata=_about("a file to prove instead of exporting, or {target: file}")
    )
    rtol: float | None = field(
        default=None,
        metadata=_about("relative tolerance instead of the measured allowance; with atol"),
    )
    atol: float | None = field(
        default=None,
        metadata=_about("absolute tolerance instead of the measured allowance; with rtol"),
    )
    undecided: float = field(
        default=0.0,
        metadata=_about(
            "share of integer elements that may differ where the model's own evaluations disagree"
        ),
    )
    threads: int = field(default=1, metadata=_about("threads of the exported model's session"))
    timeout: float = field(
        default=600.0, metadata=_about("seconds for each export, opening and call")
    )
    imports: Sequence[str] = field(
        default=(),
        metadata=_about(
            "modules that register custom operators, imported before the artifact is opened"
        ),
    )
    examples: int = field(
        default=25,
        metadata=_about(
            "how many further samples the check `shapes` makes; with 0 `parity` asks about no "
            "other values either"
        ),
    )
    domain: str = field(
        default="finite",
        metadata=_about(
            "values of those samples: 'finite', or 'ieee' (also NaN, infinities, huge ones)"
        ),
    )
    domains: Mapping[str, InputDomain] | None = field(
        default=None,
        metadata=_about(
            "what an input may be, by name: bounds (0, 30521) or kinds of values ['ones', 'prefix']"
        ),
    )
    search_seconds: float = field(
        default=120.0,
        metadata=_about(
            "seconds for the model to try those samples, for each exported model, and to shrink"
        ),
    )
    replay: Mapping[str, Any] | None = field(
        default=None,
        metadata=_about("the one sample to make instead: the recipe that a failure prints"),
    )
    latency: Limits = field(
        default=None,
        metadata=_about(
            "budget: {'p95_ms': 5, 'load_ms': 300, 'first_ms': 50, 'speedup_vs_eager': 1.3, "
            "'max_regression': '5%', 'batch': [1, 8]}"
        ),
    )
    size: Limits = field(default=None, metadata=_about("budget: {'mb': 5, 'parameters': 1e6}"))
    memory: Limits = field(default=None, metadata=_about("budget: {'mb': 200}"))
    quality: Limits = field(
        default=None,
        metadata=_about(
            "floors for what transforms leave: "
            "{'sqnr_db': 30, 'top1': 0.98, 'cosine': 0.99, 'kl': 0.1, "
            "'metric_drop': 0.01, 'size_ratio': 0.3}"
        ),
    )
    calibrate: Callable[[Any], Any] | None = field(
        default=None,
        metadata=_about(
            "runs data through the model it is given, for ranges; without it the samples do"
        ),
    )
    finetune: Callable[[Any], Any] | None = field(
        default=None,
        metadata=_about(
            "trains the module it is given in place, after pruning or for quantization"
        ),
    )
    metric: Callable[[Any], float] | None = field(
        default=None,
        metadata=_about("takes something to call as the model, returns a number: more is better"),
    )
    baseline: Baseline | str | Path | None = field(
        default=None, metadata=_about("folder of the last release, which max_regression is about")
    )

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> Options:
        """The options among a call's arguments, `locals()` at its start; None is the default."""
        return cls().given(arguments)

    def given(self, arguments: Mapping[str, Any]) -> Options:
        """These options, with those of the arguments that are not None."""
        known = [item.name for item in fields(self)]
        values = {name: arguments[name] for name in known if arguments.get(name) is not None}
        return replace(self, **values)

    def check(self) -> None:
        """Raises `UsageError` for a time or a number of threads that is none."""
        if not (isinstance(self.timeout, (int, float)) and self.timeout > 0):
            raise UsageError(f"timeout is {self.timeout!r}: give a positive number of seconds")
        if not (isinstance(self.threads, int) and self.threads > 0):
            raise UsageError(f"threads is {self.threads!r}: give a positive whole number")

    @property
    def tolerance(self) -> Tolerance:
        """What the user allows instead of the measured allowance. Raises `UsageError`."""
        return Tolerance(self.rtol, self.atol, self.undecided)

    @property
    def search(self) -> SearchOptions:
        """How further samples are looked for. Raises `UsageError`."""
        replay = None if self.replay is None else Recipe(self.replay)
        return search_options_of(
            self.examples, self.domain, self.domains, replay, self.search_seconds
        )

    @property
    def budgets(self) -> Budgets:
        """What the exported model may cost. Raises `UsageError`."""
        return budgets_of(self.latency, self.size, self.memory, self.quality, self._baseline)

    @property
    def _baseline(self) -> Baseline | None:
        if self.baseline is None or isinstance(self.baseline, Baseline):
            return self.baseline
        if not Path(self.baseline).is_dir():
            raise UsageError(
                f"baseline {str(self.baseline)!r} is not a folder: "
                "give the one with the last release's artifacts by route"
            )
        return Baseline(Path(self.baseline))

    @property
    def modules(self) -> tuple[str, ...]:
        """The modules of `imports`. Raises `UsageError` for those that cannot be found."""
        if isinstance(self.imports, str):
            raise UsageError(f"imports is {self.imports!r}: give a list of module names")
        for module in self.imports:
            if not _is_module(module):
                raise UsageError(f"imports names {module!r}: there is no such module")
        return tuple(self.imports)

    def hooks(self, functions: Mapping[str, Function]) -> Hooks:
        """The user's functions that run while a model is transformed. Raises `UsageError`."""
        return hooks_of(self.calibrate, self.finetune, self.metric, functions)


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ImportError:
        return False
