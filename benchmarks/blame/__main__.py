"""How often `where` and `blame` of a red verdict are right.

    python -m benchmarks.blame [--write docs/measured/blame.md] [TARGET ...]

Faults are planted at a known place: in the export (the format's own exporter gets a model that is
wrong in one part), in the runtime (it computes one node of a healthy file wrongly, always or where
it optimises), in the model itself and in its samples. `where` is right where it names the part;
`blame` where it, or the reason, names the party. Counted apart: nothing said, undecided, wrong.
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.blame import subjects
from benchmarks.blame.plants import FORMATS, KIND, PLACE, install
from pytest_modelport.cleanroom.workspace import Workspace
from pytest_modelport.core.errors import UsageError
from pytest_modelport.core.verdict import Verdict
from pytest_modelport.engine import pipeline
from pytest_modelport.engine.build_case import build_case
from pytest_modelport.engine.resolve import routes_of
from pytest_modelport.request.options import Options

#: Formats with a witness of the export: another runtime on the file, or the file it is made from.
WITNESSED = ("onnx", "onnx_legacy", "mnn")
#: What is before the names of files on this machine.
_PLACES = rf"/[^ ]*/site-packages/|{re.escape(str(Path.cwd()))}/"
WORDS = ("right", "undecided", "nothing said", "wrong")


@dataclass(frozen=True)
class Planted:
    """One fault. place: the part of the model; empty where none is to be named. party: whose fault
    it is.
    """

    name: str
    party: str
    target: str
    place: str
    variables: dict[str, str]
    module: nn.Module
    sample: Any
    further: tuple[Any, ...] = ()


def planted() -> Iterator[Planted]:
    """Every fault."""
    for name, place, kind in subjects.PARTS:
        for format_name in FORMATS:
            if (name, format_name) in subjects.NOT_TAKEN:
                continue
            module, sample = subjects.make(name)
            yield Planted(
                f"{name}: {kind} {place}",
                "export",
                f"planted_{format_name}",
                place,
                {PLACE: place, KIND: kind},
                module,
                sample,
            )
    for name, operator, number in subjects.NODES:
        module, sample = subjects.make(name)
        place = subjects.node(module, sample, operator, number)
        for kind in ("always", "optimised"):
            yield Planted(
                f"{name}: {operator} {number} in {place or 'the model'}, {kind}",
                "optimisation" if kind == "optimised" else "runtime",
                "onnx:planted_runtime",
                place or type(module).__name__,
                {PLACE: f"{operator}:{number}", KIND: kind},
                module,
                sample,
            )
    for name, party, module, sample, further in subjects.own():
        for target in ("onnx", "torch_export"):
            yield Planted(name, party, target, "", {}, module, sample, further)


def proven(workspace: Workspace, fault: Planted) -> Verdict | str:
    """The verdict, or the refusal of what cannot be asked."""
    options = Options(samples=list(fault.further), examples=0)
    route = routes_of([fault.target], ["none"], ["cpu"])[0]
    try:
        case = build_case(fault.module, fault.sample, options=options, name=fault.name)
    except UsageError as error:
        return str(error)
    return pipeline.prove(workspace, case, route, ["parity"])[0]


def where(fault: Planted, verdict: Verdict) -> str:
    """What to think of the place that is named."""
    said = str(verdict.evidence.get("where", ""))
    if not said or said.startswith("undecided"):
        return "undecided" if said else "nothing said"
    if fault.party == "optimisation":
        return "right" if said.startswith("an optimisation") else "wrong"
    found = re.search(r" in ([\w.]+), ", said)
    return "right" if found and found[1] == fault.place else "wrong"


#: How a verdict names a party, in blame or in its reason.
PARTIES = {
    "export": r"^the export|^the conversion",
    "runtime": r"^the runtime",
    "optimisation": r"^the runtime",
    "model": r"in train mode|^the model|the model('s own| itself)",
    "samples": r"samples\[0\]|the model itself rejects",
}


def blame(fault: Planted, verdict: Verdict | str) -> str:
    """What to think of the party that is named."""
    if isinstance(verdict, str):
        return "right" if re.search(PARTIES[fault.party], verdict) else "wrong"
    said = str(verdict.evidence.get("blame", ""))
    if fault.party in ("model", "samples"):
        text = "\n".join((verdict.reason, *verdict.notes, said))
        if said and not said.startswith(("undecided", "the model")):
            return "wrong"
        return "right" if re.search(PARTIES[fault.party], text, re.MULTILINE) else "nothing said"
    if not said or said.startswith("undecided"):
        return "undecided" if said else "nothing said"
    return "right" if re.search(PARTIES[fault.party], said) else "wrong"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("targets", nargs="*")
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    started, rows = time.monotonic(), []
    with tempfile.TemporaryDirectory() as site:
        install(Path(site, "site"))
        sys.path.insert(0, str(Path(site, "site")))
        paths = (str(Path(site, "site")), str(Path.cwd()), os.environ.get("PYTHONPATH", ""))
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
        for fault in planted():
            if options.targets and fault.target.removeprefix("planted_") not in options.targets:
                continue
            os.environ.update(fault.variables)
            with Workspace() as workspace:  # the environment is read when its processes start
                rows.append(judged(fault, proven(workspace, fault)))
                print(rows[-1], flush=True)
    text = "\n".join(page(rows, time.monotonic() - started))
    print(text)
    if options.write:
        options.write.write_text(f"{text}\n")


def judged(fault: Planted, verdict: Verdict | str) -> dict[str, str]:
    """One row."""
    row = {
        "fault": fault.name,
        "party": fault.party,
        "target": fault.target.removeprefix("planted_"),
    }
    if isinstance(verdict, str):
        return row | {
            "outcome": "refused",
            "where": "",
            "blame": blame(fault, verdict),
            "said": verdict,
        }
    said = (verdict.evidence.get("where", ""), verdict.evidence.get("blame", ""), verdict.reason)
    place = where(fault, verdict) if fault.place else ""
    return row | {
        "outcome": str(verdict.outcome),
        "where": "green" if verdict.passed else place,
        "blame": "green" if verdict.passed else blame(fault, verdict),
        "said": " | ".join(said),
    }


def page(rows: list[dict[str, str]], seconds: float) -> Iterator[str]:
    """The report: shares by target, then what is not right, one by one."""
    red = [row for row in rows if row["where"] != "green"]
    asked = {
        "where": [row for row in red if row["where"]],
        "blame": [row for row in red if row["party"] != "export" or row["target"] in WITNESSED],
    }
    yield "# Where and whose fault"
    yield ""
    yield (
        f"`python -m benchmarks.blame`, torch {torch.__version__}: {len(rows)} planted faults, "
        f"{len(red)} of them not green, {seconds:.0f} s. `blame` of an export is counted where there is "
        "another runtime for the file, or the file that it is made from."
    )
    for question, some in asked.items():
        yield ""
        yield f"| {question} | faults | {' | '.join(WORDS)} |"
        yield f"|---|---|{'---|' * len(WORDS)}"
        groups = sorted({(row["party"], row["target"]) for row in some})
        for party, target in groups:
            here = Counter(
                row[question] for row in some if (row["party"], row["target"]) == (party, target)
            )
            cells = " | ".join(str(here[word]) for word in WORDS)
            yield f"| {party}, {target} | {here.total()} | {cells} |"
        every = Counter(row[question] for row in some)
        shares = " | ".join(
            f"{every[word]} ({100 * every[word] / max(len(some), 1):.0f} %)" for word in WORDS
        )
        yield f"| all | {len(some)} | {shares} |"
    yield ""
    for row in rows:
        if row["where"] not in ("right", "") or row["blame"] not in ("right", "nothing said"):
            yield (
                f"- {row['party']}, {row['target']}, {row['fault']}: where {row['where'] or 'not asked'}, "
                f"blame {row['blame']}: {re.sub(_PLACES, '', row['said'])[:300]}"
            )


if __name__ == "__main__":
    main()
