"""The same ports, the same judge, other samples: which generator shows a fault that the example
does not, and how soon?

    python -m benchmarks.generators [--examples 50]

Needs `pip install pytest-torch hypothesis-torch`. Every port of `tests/meta/faults.py` that is
right at its example and wrong at a trigger, without the trigger. All generators know the same: the
dims that are declared and their ranges, dtypes, the bounds of whole numbers, the magnitude of the
others. What the subject refuses counts as an example. The judge is `benchmarks/bare.py`'s: plain
calls, 1e-4.

uniform: sizes and values drawn evenly. numpy: `hypothesis.extra.numpy.arrays`, element by element.
pytest-torch: its `tensors`, with edge cases and layouts. hypothesis-torch: its `tensor_strategy`.
recipes: this project's, as the check `shapes` tries them.
"""

from __future__ import annotations

import argparse
import functools
import logging
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from benchmarks import bare
from benchmarks.apart import apart
from benchmarks.discovery import TARGETS
from pytest_modelport.engine.build_case import build_case
from pytest_modelport.request.options import Options
from pytest_modelport.request.recipes import Recipe
from pytest_modelport.search.candidates import space_for
from pytest_modelport.search.plan import plan, tail
from pytest_modelport.search.space import Space
from tests.meta.faults import FAULTS, Fault

Args = tuple[Any, ...]
Try = Callable[[Args], None]
WIDE = 10.0  # magnitudes up to so many times the sample's, for those that are told a range


class Found(Exception):
    """Enough was seen."""


def bounds(space: Space, name: str) -> tuple[float, float]:
    domain = space.domains[name]
    low = domain.low if domain.low is not None else -WIDE * domain.scale
    high = domain.high if domain.high is not None else WIDE * domain.scale
    return float(low), float(high)


def shaped(space: Space, sizes: dict[str, int]) -> list[tuple[str, torch.dtype, tuple[int, ...]]]:
    return [
        (item.name, item.tensor.dtype, space.shape(item.name, item.tensor.shape, Recipe(sizes)))
        for item in space.inputs.tensors
    ]


def uniform(space: Space, count: int, attempt: Try) -> None:
    rng = np.random.default_rng(0)
    for _ in range(count):
        sizes = {
            name: int(rng.integers(low, high, endpoint=True))
            for name, (low, high) in space.ranges.items()
        }
        args = []
        for name, dtype, shape in shaped(space, sizes):
            low, high = bounds(space, name)
            whole = not dtype.is_floating_point
            values = (
                rng.integers(int(low), int(high), shape, endpoint=True)
                if whole
                else rng.uniform(low, high, shape)
            )
            args.append(torch.as_tensor(values).to(dtype))
        attempt(tuple(args))


def drawn(
    strategy: Callable[[Any, str, torch.dtype, tuple[int, ...], float, float], Any],
    space: Space,
    count: int,
    attempt: Try,
):
    @st.composite
    def samples(draw: Any) -> Args:
        sizes = {name: draw(st.integers(low, high)) for name, (low, high) in space.ranges.items()}
        return tuple(
            draw(strategy(name, dtype, shape, *bounds(space, name)))
            for name, dtype, shape in shaped(space, sizes)
        )

    @settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(samples())
    def run(args: Args) -> None:
        attempt(args)

    run()


def elementwise(
    name: str, dtype: torch.dtype, shape: tuple[int, ...], low: float, high: float
) -> Any:
    array = torch.zeros(0, dtype=dtype).numpy().dtype
    return hnp.arrays(array, shape, elements=elements(dtype, low, high)).map(torch.from_numpy)


def elements(dtype: torch.dtype, low: float, high: float) -> Any:
    if dtype == torch.bool:
        return st.booleans()
    if not dtype.is_floating_point:
        return st.integers(int(low), int(high))
    width = torch.finfo(dtype).bits
    low, high = (float(np.array(value, f"f{width // 8}")) for value in (low, high))
    return st.floats(low, high, width=width, allow_nan=False, allow_infinity=False)


def of_pytest_torch(
    name: str, dtype: torch.dtype, shape: tuple[int, ...], low: float, high: float
) -> Any:
    from pytest_torch.strategies import tensors

    return tensors(shape, dtype=dtype, low=low, high=high, noncontiguous=True)


def of_hypothesis_torch(
    name: str, dtype: torch.dtype, shape: tuple[int, ...], low: float, high: float
) -> Any:
    from hypothesis_torch import tensor_strategy

    return tensor_strategy(
        dtype,
        shape,
        elements=elements(dtype, low, high),
        layout=torch.strided,
        device=torch.device("cpu"),
        requires_grad=False,
    )


def recipes(space: Space, count: int, attempt: Try) -> None:
    found = plan(space.factors, count)
    if len(found) < count and space.factors:
        found += tail(space.factors, space.ranges, count - len(found), found)
    for recipe in found:
        attempt(space.build(recipe).args)


GENERATORS: dict[str, Callable[[Space, int, Try], None]] = {
    "uniform": uniform,
    "numpy": functools.partial(drawn, elementwise),
    "pytest-torch": functools.partial(drawn, of_pytest_torch),
    "hypothesis-torch": functools.partial(drawn, of_hypothesis_torch),
    "recipes": recipes,
}


def ports() -> Iterator[tuple[str, str, Fault]]:
    """Those that are right at the example only."""
    for name, fault in FAULTS.items():
        for target in (target for target in fault.expect if target in TARGETS):
            if fault.then and fault.expect[target] in ("wrong", "no-run", "crash"):
                at_example = functools.partial(
                    bare.outcome, bare.MAKERS[target], fault.subject, [fault.args] * 2, fault.shapes
                )
                if apart(at_example, instead="crash") == "ok":
                    yield name, target, fault


def examples_until_found(
    fault: Fault, target: str, generator: str, count: int, progress: Path
) -> tuple[int, float, bool]:
    """How many samples were made, in how many seconds, and whether the last one showed a fault."""
    space = space_for(
        build_case(fault.subject(), fault.args, options=Options(dynamic_shapes=fault.shapes))
    )
    law, tried = fault.subject(), 0
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        port = bare.MAKERS[target](fault.subject(), fault.args, fault.shapes, Path(folder))()
        GENERATORS[generator](space, 1, lambda args: None)  # what is imported at the first draw
        started = time.perf_counter()

        def attempt(args: Args) -> None:
            nonlocal tried
            tried += 1
            progress.write_text(str(tried))
            try:
                wanted = bare._answer(lambda given: law(*given), args)
            except Exception:  # noqa: BLE001 - whatever the subject raises is its refusal
                return
            try:
                got = bare._answer(port, args)
            except Exception as error:
                raise Found from error
            if len(got) != len(wanted) or any(
                bare.error(*pair) > bare.WRONG for pair in zip(got, wanted, strict=True)
            ):
                raise Found

        try:
            GENERATORS[generator](space, count, attempt)
        except Found:
            return tried, time.perf_counter() - started, True
    return tried, time.perf_counter() - started, False


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--examples", type=int, default=50)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    rows: dict[str, list[tuple[int, float, bool]]] = {name: [] for name in GENERATORS}
    population = list(ports())
    print(f"{len(population)} ports", flush=True)
    for name, target, fault in population:
        for generator, found in rows.items():
            with tempfile.TemporaryDirectory() as folder:
                progress = Path(folder, "tried")
                progress.write_text("0")
                job = functools.partial(
                    examples_until_found, fault, target, generator, options.examples, progress
                )
                one = apart(job, instead=None)
                found.append(
                    one or (int(progress.read_text()), 0.0, True)
                )  # the port has ended the process
        print(
            name,
            target,
            {generator: found[-1][0] if found[-1][2] else "-" for generator, found in rows.items()},
            flush=True,
        )
    print(
        "| generator | found at 10 | at 25 | at 50 | faults per 1000 examples | per second |\n|---|---|---|---|---|---|"
    )
    for generator, found in rows.items():
        at = [sum(hit and tried <= limit for tried, _, hit in found) for limit in (10, 25, 50)]
        hits, tried, seconds = (
            sum(column)
            for column in (zip(*((hit, tried, s) for tried, s, hit in found), strict=True))
        )
        print(
            f"| {generator} | {' | '.join(map(str, at))} | {1000 * hits / tried:.0f} | {hits / seconds:.1f} |"
        )


if __name__ == "__main__":
    main()
