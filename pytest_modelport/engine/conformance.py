"""The contract suite for one item, as questions that its author's own tests can ask.

    @pytest.mark.parametrize("question", conformance("formats", "npz_mlp"), ids=str)
    def test_contract(question):
        question()

The first questions read what the item says; the others use it, on small networks, and plant a
mistake that must not be green.
"""

from __future__ import annotations

import copy
import functools
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_modelport.backends import item_faults, registry
from pytest_modelport.core.errors import UsageError, unknown
from pytest_modelport.core.report import Report
from pytest_modelport.core.verdict import Outcome, Verdict, worst
from pytest_modelport.engine.resolve import transform_of

#: Packages that must not come along when an item is imported: each costs every run a second.
_HEAVY = ("onnx", "onnxruntime", "onnxscript", "rich", "tensorflow", "torch", "transformers")
#: Outcomes of a route whose items did their part, whatever became of the model.
_FAIR = (Outcome.PASSED, Outcome.UNSUPPORTED)


@dataclass(frozen=True)
class Question:
    """One question. Calling it raises `AssertionError`, with a message for the item's author."""

    name: str
    ask: Callable[[], None]

    def __call__(self) -> None:
        self.ask()

    def __str__(self) -> str:
        return self.name


def conformance(
    group: str, name: str, *, models: Sequence[Any] = (), examples: Sequence[str] = ()
) -> list[Question]:
    """The questions that an item must answer.

    group: `formats`, `runtimes`, `transforms`, `checks` or `libraries`. models: pairs of an
    `nn.Module` in eval mode and its inputs, at least one of which a format can express; without
    them a linear layer, a perceptron and a small convolution. examples: of a library, names to
    build, with their options. Raises `UsageError` for a group or a name that is not known.
    """
    if group not in registry.GROUPS:
        raise unknown("group", group, registry.GROUPS)
    if name not in registry.names(group):
        raise unknown(f"item of {group}", name, registry.names(group))
    further: dict[str, Callable[[], Iterator[Question]]] = {
        "formats": functools.partial(_of_format, name, tuple(models)),
        "runtimes": functools.partial(_of_runtime, name, tuple(models)),
        "transforms": functools.partial(_of_transform, name),
        "checks": functools.partial(_of_check, name),
        "libraries": functools.partial(_of_library, name, tuple(examples)),
    }
    return [*_of_any(group, name), *further[group]()]


def _of_any(group: str, name: str) -> Iterator[Question]:
    constants = (*item_faults.CONSTANTS[group], *item_faults.OPTIONAL[group])
    functions = (*item_faults.FUNCTIONS[group], *item_faults.OPTIONAL_FUNCTIONS[group])

    def imports() -> None:
        registry.imported(group, name)

    def light() -> None:
        brought = _brought_along(group, name)
        assert not brought, f"importing it imports {', '.join(brought)}: import where it is used"

    def said(part: str, faults: Callable[[str, object], Iterator[str]]) -> None:
        found = [it for it in faults(group, registry.imported(group, name)) if _about(it, part)]
        assert not found, f"{registry.described(group, name)}: {'; '.join(found)}"

    yield Question("it imports", imports)
    yield Question("importing it imports nothing heavy", light)
    for part in constants:
        ask = functools.partial(said, part, item_faults.constant_faults)
        yield Question(f"{part} is as the contract says", ask)
    for part in functions:
        ask = functools.partial(said, part, item_faults.function_faults)
        yield Question(f"{part}(...) is as the contract says", ask)


def _about(fault: str, part: str) -> bool:
    return fault.replace("(", " ").split()[0] == part


def _brought_along(group: str, name: str) -> list[str]:
    """The heavy packages that importing an item brings into a fresh process."""
    code = (
        "import sys\n"
        "from pytest_modelport.backends import registry\n"
        f"registry.imported({group!r}, {name!r})\n"
        "print(*{module.partition('.')[0] for module in sys.modules})"
    )
    run = [sys.executable, "-W", "ignore", "-c", code]
    ended = subprocess.run(run, capture_output=True, text=True, check=False)
    last = (ended.stderr.strip().splitlines() or [f"status {ended.returncode}"])[-1]
    assert ended.returncode == 0, f"a fresh process cannot import it: {last}"
    return sorted({*_HEAVY} & {*ended.stdout.split()})


def _of_format(name: str, models: tuple[Any, ...]) -> Iterator[Question]:
    def opened() -> None:
        registry.target(name)

    yield Question("its RUNTIME opens its KIND", opened)
    yield from _of_target(name, models)


def _of_runtime(name: str, models: tuple[Any, ...]) -> Iterator[Question]:
    def makers() -> list[str]:
        formats = {item: registry.format_(item).KIND for item in registry.sound("formats")}
        return [item for item, kind in formats.items() if kind in registry.runtime(name).OPENS]

    def made() -> None:
        opens = ", ".join(registry.runtime(name).OPENS)
        assert makers(), f"no format makes what it opens: {opens}"

    yield Question("some format makes what it OPENS", made)
    with_maker = functools.partial(_target_of, makers, name)
    yield from _of_target(with_maker, models)


def _target_of(makers: Callable[[], list[str]], runtime: str) -> str:
    found = makers()
    assert found, "no format makes what it opens"
    return f"{found[0]}:{runtime}"


def _of_target(target: str | Callable[[], str], models: tuple[Any, ...]) -> Iterator[Question]:
    def name() -> str:
        return registry.canonical(target if isinstance(target, str) else target())

    def proven() -> None:
        ended = [worst(_verified(model, args, name()).verdicts) for model, args in _asked(models)]
        unfair = [verdict for verdict in ended if verdict.outcome not in _FAIR]
        assert not unfair, "; ".join(map(_words, unfair))
        passed = [verdict for verdict in ended if verdict.passed]
        assert passed, f"none of the models is proven: {_words(ended[0])}"

    def other_weights() -> None:
        with tempfile.TemporaryDirectory(prefix="modelport-conformance-") as folder:
            model, args, file = _proven_file(name(), models, folder)
            other = copy.deepcopy(model)
            for parameter in other.parameters():
                parameter.data.add_(0.25)
            verdict = worst(_verified(other, args, name(), artifact=file).verdicts)
        red = (Outcome.FAILED, Outcome.CRASHED, Outcome.TIMEOUT)
        assert verdict.outcome in red, f"a file of other weights is {_words(verdict)}"

    yield Question("small networks are proven, or refused as unsupported", proven)
    yield Question("a file that has other weights than the model is red", other_weights)


def _proven_file(target: str, models: tuple[Any, ...], folder: str) -> tuple[Any, Any, Path]:
    """The first model that is proven, its inputs, and the file that was, kept in a folder."""
    for model, args in _asked(models):
        verdict = worst(_verified(model, args, target, workdir=folder).verdicts)
        if verdict.passed:
            from pytest_modelport.core import artifact

            made = artifact.load(Path(verdict.evidence["artifact"]))
            return model, args, made.folder / made.manifest.entry
    raise AssertionError("none of the models is proven, so there is no file to compare with")


def _of_transform(name: str) -> Iterator[Question]:
    def works_on() -> None:
        on = registry.transform(name).ON
        kinds = {registry.format_(item).KIND for item in registry.sound("formats")}
        assert on == "subject" or on in kinds, f"ON is {on!r}: 'subject', or one of {sorted(kinds)}"

    def tries() -> None:
        for options in getattr(registry.transform(name), "TRY", ()):
            transform_of(f"{name}({options})")

    def goes_through() -> None:
        model, args = _models()[1]
        before = copy.deepcopy(model.state_dict())
        report = _verified(model, args, _target_for(name), transforms=[name])
        bad = [verdict for verdict in report.verdicts if _is_authors_fault(verdict)]
        assert not bad, "; ".join(map(_words, bad))
        after = model.state_dict()
        same = all(bool((before[key] == after[key]).all()) for key in before)
        assert same, "the model itself was changed: change what work.module holds"

    yield Question("ON is the model, or a kind of file that some format makes", works_on)
    yield Question("the options that it would TRY are ones it has", tries)
    yield Question("a small network goes through it", goes_through)


def _target_for(transform: str) -> str:
    """A target whose model or file this transform changes."""
    on = registry.transform(transform).ON
    if on == "subject":
        return "torch_export"
    return next(name for name in registry.targets() if _kind(name) == on)


def _kind(target: str) -> str:
    return registry.format_(registry.target(target).format).KIND


def _is_authors_fault(verdict: Verdict) -> bool:
    return verdict.outcome in (Outcome.ERROR, Outcome.CRASHED, Outcome.TIMEOUT)


def _of_check(name: str) -> Iterator[Question]:
    def healthy() -> None:
        model, args = _models()[1]
        report = _verified(model, args, "torchscript", checks=["parity", name])
        own = [verdict for verdict in report.verdicts if verdict.check != "parity"]
        strange = [verdict.check for verdict in own if verdict.check != name]
        assert not strange, f"its verdicts are called {strange[0]!r}, not {name!r}"
        bad = [verdict for verdict in own if _is_authors_fault(verdict)]
        assert not bad, "; ".join(map(_words, bad))

    yield Question("a healthy route gets verdicts of its name, or none", healthy)


def _of_library(name: str, examples: tuple[str, ...]) -> Iterator[Question]:
    def builds(example: str) -> None:
        import torch

        from pytest_modelport.request.model_names import parse

        (first, sample), (second, _) = (
            registry.library(name).build(*parse(example)) for _ in range(2)
        )
        assert not first.training, "the model is in train mode: call eval()"
        one, two = first.state_dict(), second.state_dict()
        assert one.keys() == two.keys(), "two builds have other weights' names"
        same = all(bool(torch.equal(one[key], two[key])) for key in one)
        assert same, "two builds have other weights: seed what initialises them"
        with torch.no_grad():
            first(*sample.args, **sample.kwargs)

    def refuses() -> None:
        try:
            registry.library(name).build("there-is-no-such-model", {})
        except UsageError:
            return
        raise AssertionError("a name that is not known must raise UsageError")

    yield Question("a name that is not known raises UsageError", refuses)
    for example in examples:
        yield Question(f"{example} is built", functools.partial(builds, example))


def _verified(model: Any, args: Any, target: str, **arguments: Any) -> Report:
    from pytest_modelport.engine.verify import verify

    return verify(model, args, targets=[target], **arguments)


def _words(verdict: Verdict) -> str:
    return f"{verdict.outcome} in {verdict.check} at {verdict.stage}: {verdict.reason}"


def _asked(models: tuple[Any, ...]) -> list[tuple[Any, Any]]:
    return list(models) or _models()


@functools.cache
def _models() -> list[tuple[Any, Any]]:
    """Small networks with their inputs."""
    import torch
    from torch import nn

    with torch.random.fork_rng():
        torch.manual_seed(0)
        perceptron = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
        convolution = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
        return [
            (nn.Linear(4, 3).eval(), torch.randn(2, 4)),
            (perceptron.eval(), torch.randn(2, 8)),
            (convolution.eval(), torch.randn(1, 3, 8, 8)),
        ]
