"""Run the subject through a sequence of calls and write down what it answered. A job for
`isolation.jobs`.
"""

from __future__ import annotations

import contextlib
import functools
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from pytest_modelport.core import tree
from pytest_modelport.core.arrays import Array, write_arrays
from pytest_modelport.core.errors import Rejected
from pytest_modelport.core.sample import Call
from pytest_modelport.core.tensors import (
    dense,
    fresh,
    is_sparse,
    is_tensor,
    restored_rng,
    seed_all,
    to_array,
    unchanged,
)
from pytest_modelport.reference.dispatch import Generators, decomposed, may_draw, unfused
from pytest_modelport.reference.noise import MonteCarlo
from pytest_modelport.reference.oracle import Oracle
from pytest_modelport.reference.provenance import Provenance, stored_tensors
from pytest_modelport.reference.trace import Tracer
from pytest_modelport.subject.modules import paths, placed
from pytest_modelport.subject.snapshot import Snapshot

Convert = Callable[[torch.Tensor], torch.Tensor]


def warm() -> None:
    """Import here what torch imports at the first dispatch, so that every fork has it."""
    with restored_rng(), Oracle():
        torch.zeros(1).add(1)


def eager(
    module: nn.Module, calls: Sequence[Call], device: str, out: Path, *, within: float | None = None
) -> dict[str, Any]:
    """Eager: the subject as it is. Also says what of its state the calls changed, how many were
    `asked` and which `answered`, and how many kilobytes the process grew by.

    within: seconds, after which no call is begun, and the subject may refuse some; both have no row
    then.
    """
    before, had = Snapshot(module, parameters=False), _most()
    record = _run(module, calls, device, out, lambda tensor: tensor, within=within)
    answered = [number for number, row in enumerate(record["calls"]) if row is not None]
    rows = [record["calls"][number] for number in answered]
    about = {
        "asked": len(record["calls"]),
        "answered": answered,
        "changes": list(before.changes()),
        "grew": _most() - had,
    }
    return {**record, "calls": rows, **about}


def _most() -> int:
    """Kilobytes that this process has held in memory at most (Linux)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def exact(module: nn.Module, calls: Sequence[Call], device: str, out: Path) -> dict[str, Any]:
    """The oracle: float tensors in float64. `holes` names operations without a float64 kernel,
    `random` those that draw.
    """
    oracle = Oracle()
    with decomposed(), current_module(module) as here, _Random(here) as random:
        record = _run(module, calls, device, out, oracle.of, lambda: oracle)
    return {**record, "holes": oracle.holes, "random": list(random.found)}


def origins(module: nn.Module, calls: Sequence[Call], device: str, out: Path) -> dict[str, Any]:
    """What the first call's outputs depend on, and what was computed from stored tensors alone."""
    module = placed(module, device)
    sample = fresh(calls[0].sample, device)
    provenance = Provenance(module)
    given, _ = _leaves((sample.args, dict(sample.kwargs)))
    provenance.inputs(given)
    seed_all(calls[0].seed)
    with torch.no_grad(), provenance:
        made, _ = _leaves(module(*sample.args, **sample.kwargs))
    derived = provenance.derived
    return {
        "needed": provenance.names([*made, *given]),
        "derived": [list(sources) for sources, _ in derived],
        "table": write_arrays(out, [to_array(tensor) for _, tensor in derived]),
        "numbers": sorted(provenance.numbers),
        "words": sorted(provenance.words),
    }


def without(
    module: nn.Module, calls: Sequence[Call], device: str, out: Path, *, name: str
) -> dict[str, Any]:
    """The first call's outputs when one stored tensor holds other numbers."""
    tensor = stored_tensors(module)[name]
    with torch.no_grad():
        tensor.copy_(tensor.flatten().roll(1).reshape(tensor.shape) * 1.5 + 1)
    return _run(module, calls[:1], device, out, lambda value: value)


def trace(
    module: nn.Module,
    calls: Sequence[Call],
    device: str,
    out: Path,  # noqa: ARG001
    *,
    step: int,
) -> dict[str, Any]:
    """Every operation of one call, after the calls before it; and which operation made which
    output.
    """
    module = placed(module, device)
    with torch.no_grad():
        for call in calls[:step]:
            before = fresh(call.sample, device)
            seed_all(call.seed)
            module(*before.args, **before.kwargs)
        sample = fresh(calls[step].sample, device)
        seed_all(calls[step].seed)
        with unfused(), current_module(module) as here, Tracer(here) as tracer:
            made, flat = _leaves(module(*sample.args, **sample.kwargs))
    producers = dict(
        zip(tree.names(flat.leaves, root="output"), map(tracer.producer, made), strict=True)
    )
    outputs = {name: number for name, number in producers.items() if number is not None}
    return {"operations": tracer.operations, "outputs": outputs}


def noisy(
    module: nn.Module,
    calls: Sequence[Call],
    device: str,
    out: Path,
    *,
    seeds: Sequence[int],
    amplitude: float = 1.0,
) -> list[tuple[str, dict[str, Any]]]:
    """Evaluations with randomly rounded arithmetic, one file each beside `out`.

    More than one seed only if the subject keeps no state. What becomes of a call does not depend on
    which others there are.
    """
    records = []
    # oneDNN's LSTM is one operation, of which only the last place would be moved; inside are
    # sigmoids, which other runtimes are off by an absolute amount.
    opened = decomposed if any(isinstance(part, nn.LSTM) for part in module.modules()) else unfused
    for seed in seeds:
        path = out.with_name(f"{out.name}-{seed}.bin")
        with opened():
            record = _run(
                module,
                calls,
                device,
                path,
                lambda tensor: tensor,
                functools.partial(MonteCarlo, seed, amplitude),
            )
        records.append((path.name, record))
    return records


def _run(
    module: nn.Module,
    calls: Sequence[Call],
    device: str,
    out: Path,
    convert: Convert,
    mode: Callable[[], AbstractContextManager[Any]] = contextlib.nullcontext,
    *,
    within: float | None = None,
) -> dict[str, Any]:
    """Every call's outputs and changed inputs in one file, and the table that says where. mode:
    what each call runs in.

    Raises `Rejected` from what the subject raises. within: seconds, after which no call is begun;
    what raises has no row then.
    """
    module = placed(module, device)
    arrays: list[Array] = []
    rows: list[dict[str, Any] | None] = []
    started = time.monotonic()
    with torch.no_grad():
        for call in calls:
            if within is not None and time.monotonic() - started >= within:
                break
            sample = fresh(call.sample, device)
            given, _ = _leaves((sample.args, dict(sample.kwargs)))
            before = [tensor.clone() for tensor in given]
            seed_all(call.seed)
            try:
                with mode():
                    output = module(*sample.args, **sample.kwargs)
            except Exception as error:
                if within is not None:
                    rows.append(None)
                    continue
                raise Rejected(call.label) from error
            rows.append(_row(output, given, before, convert, arrays))
    table = write_arrays(out, arrays)
    return {"calls": rows, "table": table}


class _Random(TorchDispatchMode):
    """Notes every operation that draws random numbers, with the submodule it ran in."""

    def __init__(self, here: Callable[[], str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._here = here
        self.found: dict[str, None] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if not may_draw(func):
            return func(*args, **(kwargs or {}))
        generators = Generators([value for value in args if is_tensor(value)])
        result = func(*args, **(kwargs or {}))
        if generators.drawn():
            self.found[f"{func._schema.name.removeprefix('aten::')} in {self._here()}"] = None
        return result


@contextlib.contextmanager
def current_module(module: nn.Module) -> Iterator[Callable[[], str]]:
    """A function that names the submodule being executed, while the context lasts."""
    names, stack = paths(module), [type(module).__name__]

    def enter(part: nn.Module, _: Any) -> None:
        stack.append(names.get(id(part), type(part).__name__))

    def leave(*_: Any) -> None:
        stack.pop()

    handles = [
        nn.modules.module.register_module_forward_pre_hook(enter),
        nn.modules.module.register_module_forward_hook(leave, always_call=True),
    ]
    try:
        yield lambda: stack[-1]
    finally:
        for handle in handles:
            handle.remove()


def _leaves(value: Any) -> tuple[list[torch.Tensor], tree.Flattened]:
    flat = tree.flatten(value, is_tensor)
    return [tensor for _, tensor in flat.leaves], flat


def _row(
    output: Any,
    given: list[torch.Tensor],
    before: list[torch.Tensor],
    convert: Convert,
    arrays: list[Array],
) -> dict[str, Any]:
    tensors, flat = _leaves(output)
    names = tree.names(flat.leaves, root="output")

    def keep(tensor: torch.Tensor) -> int:
        arrays.append(to_array(convert(dense(tensor))))
        return len(arrays) - 1

    return {
        "outputs": [[name, keep(tensor)] for name, tensor in zip(names, tensors, strict=True)],
        "constants": [
            [tree.name(path, root="output"), _json(value)] for path, value in flat.constants
        ],
        "spec": flat.spec,
        "sparse": [name for name, tensor in zip(names, tensors, strict=True) if is_sparse(tensor)],
        "mutated": {
            str(position): keep(tensor)
            for position, (tensor, old) in enumerate(zip(given, before, strict=True))
            if not unchanged(tensor, old)
        },
    }


def _json(value: Any) -> Any:
    return repr(value) if isinstance(value, (complex, bytes)) else value
