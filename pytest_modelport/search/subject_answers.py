"""What a subject does with samples before any port is asked: which it answers, and which lines of
its code each of them runs.

In a process of its own: the subject may die of them.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from pytest_modelport.core.package import ROOT
from pytest_modelport.core.tensors import eagerly, fresh
from pytest_modelport.isolation.jobs import Done, Ending, Raised, run
from pytest_modelport.request.recipes import Recipe

if TYPE_CHECKING:
    from pytest_modelport.request.case import Case
    from pytest_modelport.search.space import Space

_TORCH = str(Path(torch.__file__).parent)
_OURSELVES = str(ROOT)


@dataclass(frozen=True)
class SubjectAnswer:
    """What became of one recipe. lines: of the subject's code that ran for the first time."""

    recipe: Recipe
    answers: bool
    lines: frozenset[int]


def answers_to(
    case: Case,
    space: Space,
    recipes: Sequence[Recipe],
    folder: Path,
    *,
    seconds: float,
    lines: bool,
) -> list[SubjectAnswer]:
    """Ask the subject, in order, until the time is over. One that kills its process is refused like
    one it raises at.

    lines: whether to note which run; it costs a part of the subject's time. Raises `RuntimeError`
    for a fault of our own.
    """
    found: list[SubjectAnswer] = []
    until, done = time.monotonic() + seconds, folder / "done"
    while len(found) < len(recipes) and time.monotonic() < until:
        left, known = recipes[len(found) :], frozenset(line for one in found for line in one.lines)
        done.write_text("")
        ending = _run(case, space, left, folder, until, known if lines else None)
        rows = [tuple(map(int, row.split())) for row in done.read_text().splitlines()]
        found += [
            SubjectAnswer(recipe, row[0] == 1, frozenset(row[1:]))
            for recipe, row in zip(left, rows, strict=False)
        ]
        if isinstance(
            ending, Raised
        ):  # not the subject, whose exceptions are caught: a sample could not be made
            raise RuntimeError(f"a sample cannot be made: {ending.cause.headline}")
        if isinstance(ending, Done):
            break
        if len(rows) < len(left):
            found.append(SubjectAnswer(left[len(rows)], answers=False, lines=frozenset()))
    return found


def _run(
    case: Case,
    space: Space,
    recipes: Sequence[Recipe],
    folder: Path,
    until: float,
    known: frozenset[int] | None,
) -> Ending:
    """Run the subject on each recipe, noting what became of each as it goes."""

    def job() -> None:
        noted = _Lines(set(known or ()))
        with torch.no_grad(), eagerly(), (folder / "done").open("a") as file:
            for recipe in recipes:
                if time.monotonic() >= until:
                    break
                sample = fresh(space.build(recipe), "cpu")
                try:
                    with noted.listening(wanted=known is not None):
                        case.module(*sample.args, **sample.kwargs)
                except Exception:  # noqa: BLE001 - whatever the subject raises is its refusal
                    answers = 0
                else:
                    answers = 1
                file.write(f"{' '.join(map(str, (answers, *noted.taken())))}\n")
                file.flush()

    return run(job, timeout=case.timeout, log=folder / "subject.log", restore=case.module)


@dataclass
class _Lines:
    """Notes the lines that run outside of torch, each once."""

    known: set[int]
    found: set[int] = field(default_factory=set)

    @contextmanager
    def listening(self, *, wanted: bool) -> Iterator[None]:
        before = sys.gettrace()
        if wanted:
            sys.settrace(self._heard)
        try:
            yield
        finally:
            sys.settrace(before)

    def taken(self) -> list[int]:
        """Those that ran for the first time since this was asked last."""
        new = sorted(self.found - self.known)
        self.known |= self.found
        self.found.clear()
        return new

    def _heard(self, frame: FrameType, _event: str, _arg: object) -> Any:
        file = frame.f_code.co_filename
        if file.startswith((_TORCH, _OURSELVES, "<")):
            return None
        self.found.add(hash((file, frame.f_lineno)) & 0x7FFFFFFF)
        return self._heard


@dataclass(frozen=True)
class Observation:
    """What one call of the subject shows. rows: of the tables that inputs of whole numbers choose
    from, where they do. decides: whether Python sees a value that the subject computed, and may
    take another way for another one.
    """

    rows: dict[str, int] = field(default_factory=dict)
    decides: bool = False


def observe(case: Case) -> Observation:
    """Call the subject with its sample, and look."""
    integers = {
        item.name: item.tensor
        for item in case.inputs.tensors
        if item.tensor.dtype in (torch.int32, torch.int64)
    }

    def job() -> tuple[dict[str, int], bool]:
        sample = fresh(case.inputs.sample, "cpu")
        watch = _Watch(integers)
        with torch.no_grad(), eagerly(), watch:
            case.module(*sample.args, **sample.kwargs)
        return watch.rows, watch.decides

    with tempfile.TemporaryDirectory(prefix="modelport-") as folder:
        ending = run(job, timeout=case.timeout, log=Path(folder, "look.log"), restore=case.module)
    if not isinstance(ending, Done):
        return Observation()
    rows, decides = ending.value
    return Observation({name: int(count) for name, count in rows.items()}, bool(decides))


class _Watch(TorchDispatchMode):
    """Notes the tables that are looked up with exactly the numbers of an input, and results that
    are no tensors.
    """

    def __init__(self, inputs: dict[str, torch.Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._inputs, self.rows, self.decides = inputs, dict[str, int](), False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func.overloadpacket is torch.ops.aten.embedding:
            table, indices = args[:2]
            for name, tensor in self._inputs.items():
                if tensor.numel() == indices.numel() and torch.equal(
                    tensor.flatten(), indices.flatten().to(tensor.dtype)
                ):
                    self.rows[name] = min(self.rows.get(name, table.shape[0]), table.shape[0])
        result = func(*args, **(kwargs or {}))
        self.decides = self.decides or isinstance(result, (bool, int, float))
        return result
