"""torch's own samples of every operator as subjects, beside plain calls of the same files.

    python -m benchmarks.opdb [--samples 2] [--part 1/10] [--results build/opdb.jsonl] [--write docs/measured/opdb.md]

A subject is one operator with one of its samples. Truth: the exported file, opened by a plain call,
answers as eager does by torch.testing.assert_close's defaults. False green: passed, and wrong by
that; false red: failed, and right by that. What has a result in the file is not asked again, so an
interrupted run goes on where it was. The answer `a loss of precision` stands for what is below those
defaults and far beyond the noise: such rows are listed, not counted as false. No truth: a plain call
gives no answer (onnxruntime's `run` has no bfloat16).
"""

from __future__ import annotations

import argparse
import json
import logging
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_flatten, tree_unflatten

from benchmarks.apart import apart
from pytest_modelport.checks._evidence import DIGITS
from pytest_modelport.cleanroom.workspace import Workspace
from pytest_modelport.core.verdict import Outcome
from pytest_modelport.engine import pipeline
from pytest_modelport.engine.build_case import build_case
from pytest_modelport.engine.resolve import routes_of
from pytest_modelport.request.options import Options

TARGETS = ("onnx", "torchscript", "torch_export")
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


def subjects(samples: int) -> Iterator[tuple[str, Operator, tuple[torch.Tensor, ...]]]:
    """Every operator of float32 with its first samples that eager takes, and that have elements."""
    from torch.testing._internal.common_methods_invocations import op_db

    for op in op_db:
        if op.name in (*MEMORY, *SEEDED) or not op.supports_dtype(torch.float32, "cpu"):
            continue
        name = ".".join(filter(None, (op.name, op.variant_test_name)))
        taken = 0
        for sample in op.sample_inputs("cpu", torch.float32, requires_grad=False):
            leaves, spec = tree_flatten(((sample.input, *sample.args), dict(sample.kwargs)))
            module = Operator(op.op, leaves, spec)
            tensors = tuple(leaves[place].detach().clone() for place in module.places)
            if taken == samples or not all(tensor.numel() for tensor in tensors) or not tensors:
                continue
            try:
                module(*(tensor.clone() for tensor in tensors))
            except (RuntimeError, TypeError, ValueError, NotImplementedError, AssertionError):
                continue
            yield f"{name} {taken}", module, tensors
            taken += 1


def plain(target: str, folder: Path, module: Operator, tensors: tuple[torch.Tensor, ...]) -> str:
    """`right`, `wrong`, or why a plain call gives no answer. What is left of the inputs counts."""
    left, given = ([tensor.clone() for tensor in tensors] for _ in range(2))
    with torch.no_grad():
        wanted = tree_flatten(module(*left))[0]
    wanted = [item for item in wanted if isinstance(item, torch.Tensor)] + left
    try:
        got = _answer(target, folder, tuple(given)) + given
    except Exception as error:  # noqa: BLE001 - whatever a runtime raises is its answer
        return type(error).__name__
    try:
        for one, other in zip(got, wanted, strict=True):
            torch.testing.assert_close(one, other, equal_nan=True, check_stride=False)
    except (AssertionError, ValueError):
        return "wrong"
    return "right"


def _answer(target: str, folder: Path, tensors: tuple[torch.Tensor, ...]) -> list[torch.Tensor]:
    entry = json.loads((folder / "manifest.json").read_text())["entry"]
    if target == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(str(folder / entry))
        names = [item.name for item in session.get_inputs()]
        given = {name: tensor.numpy() for name, tensor in zip(names, tensors, strict=False)}
        return [torch.as_tensor(value) for value in session.run(None, given)]
    file = str(folder / entry)
    port = torch.jit.load(file) if target == "torchscript" else torch.export.load(file).module()
    with torch.no_grad():
        found = tree_flatten(port(*tensors))[0]
    return [item for item in found if isinstance(item, torch.Tensor)]


def asked(workspace: Workspace, name: str, module: Operator, tensors: Any) -> Iterator[Any]:
    """One row for each target."""
    case = build_case(module.eval(), tensors, options=Options(examples=0), name=name)
    for target, route in zip(TARGETS, routes_of(TARGETS, ("none",), ("cpu",)), strict=True):
        verdict = pipeline.prove(workspace, case, route, ["parity"])[0]
        folder = verdict.evidence.get("artifact")
        truth = "no file"
        if folder:
            there = Path(folder)
            truth = apart(
                lambda target=target, there=there: plain(target, there, module, tensors),
                instead="crash",
            )
        yield {
            "subject": name,
            "target": target,
            "outcome": str(verdict.outcome),
            "truth": truth,
            "reason": verdict.reason[:200],
        }


def kind(row: dict[str, str]) -> str:
    """What a row amounts to."""
    green, red = row["outcome"] == Outcome.PASSED, row["outcome"] in ("failed", "crashed")
    if green:
        return {"right": "right", "wrong": "false green"}.get(row["truth"], "no truth")
    if red and row["truth"] == "right":
        return "precision" if row["reason"].endswith(DIGITS) else "false red"
    return "right" if red else row["outcome"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=int, default=2)
    parser.add_argument("--part", default="1/1", help="every N-th subject from the I-th on")
    parser.add_argument("--results", type=Path, default=Path("build/opdb.jsonl"))
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    started = time.monotonic()
    options.results.parent.mkdir(parents=True, exist_ok=True)
    rows = _kept(options.results)
    known = {row["subject"] for row in rows}
    part, parts = map(int, options.part.split("/"))
    torch.manual_seed(0)
    with Workspace(keep_all=True) as workspace, options.results.open("a") as file:
        for number, (name, module, tensors) in enumerate(subjects(options.samples)):
            if number % parts != part - 1 or name in known:
                continue
            made = list(asked(workspace, name, module, tensors))
            file.write("".join(f"{json.dumps(row)}\n" for row in made))
            file.flush()
            rows += made
    text = "\n".join(_page(rows, time.monotonic() - started))
    print(text)
    if options.write:
        options.write.write_text(f"{text}\n")


def _kept(results: Path) -> list[dict[str, str]]:
    if not results.exists():
        return []
    return [json.loads(line) for line in results.read_text().splitlines()]


def _page(rows: list[dict[str, str]], seconds: float) -> Iterator[str]:
    counts = {
        target: Counter(kind(row) for row in rows if row["target"] == target) for target in TARGETS
    }
    words = (
        "right",
        "false green",
        "false red",
        "precision",
        "no truth",
        "inconclusive",
        "unsupported",
        "error",
    )
    yield "# torch's operators"
    yield ""
    yield (
        f"`python -m benchmarks.opdb`, torch {torch.__version__}: {len(rows)} routes of "
        f"{len({row['subject'] for row in rows})} samples of torch's own operator suite, {seconds:.0f} s."
    )
    yield ""
    yield f"| target | {' | '.join(words)} |"
    yield f"|---|{'---|' * len(words)}"
    for target, count in counts.items():
        yield f"| {target} | {' | '.join(str(count[word]) for word in words)} |"
    yield ""
    for word in ("false green", "false red", "precision", "no truth", "error"):
        for row in rows:
            if kind(row) == word:
                yield f"- {word}: {row['subject']} on {row['target']} (plain: {row['truth']}): {row['reason']}"


if __name__ == "__main__":
    main()
