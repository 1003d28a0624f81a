"""The commands that prove a model, write its first test, and show a report."""

from __future__ import annotations

import argparse
import json
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pytest_modelport.backends import registry
from pytest_modelport.cli.inputs import HELP, inputs
from pytest_modelport.core.errors import UsageError
from pytest_modelport.core.report import Report
from pytest_modelport.core.route import DEFAULT_TARGETS
from pytest_modelport.core.target import listed
from pytest_modelport.core.verdict import Verdict, worst

#: Arguments of `verify` that are numbers.
_NUMBERS = (
    ("rtol", float, "relative tolerance instead of the measured allowance"),
    ("atol", float, "absolute tolerance instead of the measured allowance"),
    ("timeout", float, "seconds for each export, opening and call"),
    ("threads", int, "threads that the exported model is opened with"),
)
Commands = dict[str, Callable[[argparse.Namespace], int]]


def add(commands: Any) -> Commands:
    """Register the commands; the functions that run them, by name."""
    verify_ = commands.add_parser(
        "verify",
        help="prove a model: package.module:factory, file.py:factory, a folder that "
        "save_pretrained wrote, or transformers:BertConfig?tiny",
    )
    verify_.add_argument("model")
    verify_.add_argument(
        "--dynamic",
        action="store_true",
        help="also prove other sizes of the dims that the model lets vary",
    )
    verify_.add_argument("--checks", default="", help="comma separated, instead of the usual ones")
    replay = commands.add_parser(
        "replay", help="prove a model at the one sample that a failure has printed"
    )
    replay.add_argument("model")
    replay.add_argument("recipe", help="its line of JSON: '{\"batch\": 1}'")
    for command in (verify_, replay):
        _add_routes(command)
    _add_init(commands.add_parser("init", help="write a first test for a model"))
    show_ = commands.add_parser("show", help="print a report that verify(...).to_json() wrote")
    show_.add_argument("report", type=Path)
    return {"verify": verify, "replay": verify, "init": init, "show": show}


def _add_init(command: argparse.ArgumentParser) -> None:
    command.add_argument("model")
    _add_targets(command)
    command.add_argument(
        "--output", type=Path, metavar="FILE", help="where to write it (default: test_NAME.py here)"
    )


def _add_targets(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--targets",
        default=",".join(DEFAULT_TARGETS),
        help="comma separated (default: %(default)s)",
    )


def _add_routes(command: argparse.ArgumentParser) -> None:
    """What both ways to prove a model are asked."""
    _add_targets(command)
    command.add_argument(
        "--transforms",
        default="none",
        help="comma separated: fp16,ort_static, chains with | (default: %(default)s)",
    )
    command.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1 (default: cpu)")
    command.add_argument(
        "--artifact", type=Path, metavar="FILE", help="prove this file, export nothing"
    )
    command.add_argument("--input", action="append", default=[], metavar="INPUT", help=HELP)
    for name, kind, help_ in _NUMBERS:
        command.add_argument(f"--{name}", type=kind, metavar="N", help=help_)
    command.add_argument(
        "--json", type=Path, metavar="FILE", help="write the report there, for `modelport show`"
    )
    command.add_argument("--workdir", type=Path, metavar="FOLDER", help="keep every artifact there")
    command.add_argument(
        "--in-process",
        action="store_true",
        help="export and run in this process, for a debugger",
    )


def verify(options: argparse.Namespace) -> int:
    from pytest_modelport.engine.verify import verify
    from pytest_modelport.engine.versions import about
    from pytest_modelport.reports.failure_text import failure
    from pytest_modelport.request.recipes import parse

    recipe = parse(options.recipe) if options.command == "replay" else None
    dynamic = recipe is not None or options.dynamic
    targets = listed(options.targets)
    args, kwargs = inputs(options.input)
    checks = listed(options.checks) if options.command == "verify" else ["parity", "shapes"]
    report = verify(
        options.model,
        args,
        kwargs,
        targets=targets,
        transforms=listed(options.transforms),
        devices=[options.device],
        dynamic_shapes="infer" if dynamic else None,
        checks=checks or None,
        artifact=options.artifact,
        replay=recipe,
        workdir=options.workdir,
        in_process=options.in_process,
        **_numbers(options),
    )
    for route, verdicts in report.routes.items():
        if not all(verdict.passed for verdict in verdicts):
            asked = f"--targets {shlex.quote(route.target)}"
            asked += (
                f" --transforms {shlex.quote('|'.join(route.transforms))}"
                if route.transforms
                else ""
            )
            rerun = _rerun(options, verdicts, asked)
            print(
                failure(verdicts, environment=about(route, report.environment), rerun=rerun),
                end="\n\n",
            )
    if options.json:
        _write(options.json, report.to_json())
    return _shown(report)


def _rerun(options: argparse.Namespace, verdicts: Sequence[Verdict], targets: str) -> str:
    """The shortest command that shows a failure again: the one sample, where one was found."""
    recipe = worst(verdicts).evidence.get("recipe")
    model = shlex.quote(options.model)
    said = [f"--input {shlex.quote(text)}" for text in options.input]
    said += [f"--{name} {value:g}" for name, value in _numbers(options).items()]
    if options.device != "cpu":
        said.append(f"--device {options.device}")
    if options.artifact:
        said.append(f"--artifact {shlex.quote(str(options.artifact))}")
    if recipe is not None:
        return " ".join(["modelport replay", model, shlex.quote(str(recipe)), targets, *said])
    if options.command == "verify":
        said += ["--dynamic"] * options.dynamic
        said += [f"--checks {options.checks}"] if options.checks else []
    return " ".join(["modelport verify", model, targets, *said])


def _numbers(options: argparse.Namespace) -> dict[str, Any]:
    """Those of `verify`'s numbers that were said."""
    said = {name: getattr(options, name) for name, _, _ in _NUMBERS}
    return {name: value for name, value in said.items() if value is not None}


def show(options: argparse.Namespace) -> int:
    try:
        text = options.report.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{options.report} cannot be read: {error}") from error
    return _shown(Report.from_json(text))


def _shown(report: Report) -> int:
    from pytest_modelport.reports.terminal import render

    print(
        render(report.verdicts, width=shutil.get_terminal_size().columns, color=sys.stdout.isatty())
    )
    print("passed" if report.passed else "not passed")
    return 0 if report.passed else 1


_FIRST_TEST = '''"""Does {model} survive deployment?"""

import pytest


@pytest.mark.portable(targets={targets})
def test_{name}(modelport):
    # Also pass samples=[...] that take the model's other branches, and dynamic_shapes= for dims
    # that vary.
    modelport({model!r})
'''


def init(options: argparse.Namespace) -> int:
    """Write the test, after making sure that the model can be loaded and has inputs."""
    from pytest_modelport.engine.build_case import build_case

    targets = [registry.canonical(target) for target in listed(options.targets)]
    build_case(options.model)
    last = options.model.partition("?")[0].rpartition(":")[2]
    name = re.sub(r"\W+", "_", last).strip("_").lower()
    path = options.output or Path(f"test_{name}.py")
    if path.exists():
        raise UsageError(f"{path} is there already: remove it or name another file with --output")
    _write(path, _FIRST_TEST.format(model=options.model, name=name, targets=json.dumps(targets)))
    print(f"wrote {path}; run it with: pytest {path}")
    return 0


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error
