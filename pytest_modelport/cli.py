"""The command line: `modelport verify MODEL | replay | init | show | targets | doctor | env`, and those of `releasing.py`."""

from __future__ import annotations

import argparse
import json
import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from pytest_modelport import __version__, environments, installing, releasing, shelf, upgrading
from pytest_modelport.doctor import lacking
from pytest_modelport.errors import ModelportError, UsageError
from pytest_modelport.route import DEFAULT_TARGETS
from pytest_modelport.target import listed
from pytest_modelport.verdict import Report, Verdict, worst


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit code: 0 done and green, 1 a report that is not green, 2 a bad request."""
    parser = argparse.ArgumentParser(prog="modelport", description="Does the deployed model still answer as the PyTorch model?")
    parser.add_argument("--version", action="version", version=f"pytest-modelport {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    targets = commands.add_parser("targets", help="every target, and what is missing to use it")
    targets.add_argument("--markdown", action="store_true", help="as a page about them")
    commands.add_parser("doctor", help="every format and runtime: does what it needs import, in which version?")
    show = commands.add_parser("show", help="print a report that verify(...).to_json() wrote")
    show.add_argument("report", type=Path)
    verify = commands.add_parser("verify", help="prove a model: package.module:factory or transformers:BertConfig?tiny")
    verify.add_argument("model")
    verify.add_argument("--dynamic", action="store_true", help="also at other sizes, of the dims that the model lets vary")
    replay = commands.add_parser("replay", help="prove a model at the one sample that a failure has printed")
    replay.add_argument("model")
    replay.add_argument("recipe", help="its line of JSON: '{\"batch\": 1}'")
    for command in (verify, replay):
        _routes(command)
    init = commands.add_parser("init", help="write a first test for a model")
    init.add_argument("model")
    init.add_argument("--targets", default=",".join(DEFAULT_TARGETS), help="comma separated (default: %(default)s)")
    init.add_argument("--output", type=Path, metavar="FILE", help="where to write it (default: test_NAME.py here)")
    env = commands.add_parser("env", help="environments declared in pyproject.toml: [tool.modelport.environments]")
    actions = env.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", help="those that are declared, and whether they are there")
    for action, said in (("create", "install it"), ("check", "is it still what was installed?"), ("remove", "delete it")):
        actions.add_parser(action, help=said).add_argument("names", nargs="+", metavar="NAME")
    upgrading.add(commands)
    run = {**_COMMANDS, **releasing.add(commands)}
    options, further = parser.parse_known_args(arguments)
    if further and options.command != "upgrade-check":
        parser.error(f"unrecognized arguments: {' '.join(further)}")
    sys.path.insert(0, "")  # models are named as from here
    try:
        if options.command == "upgrade-check":
            return upgrading.run(options, further)
        return run[options.command](options)
    except ModelportError as error:
        print(f"modelport: {error}", file=sys.stderr)
        return 2


def _routes(command: argparse.ArgumentParser) -> None:
    """What both ways to prove a model are asked."""
    command.add_argument("--targets", default=",".join(DEFAULT_TARGETS), help="comma separated (default: %(default)s)")
    command.add_argument(
        "--transforms", default="none", help="comma separated: fp16,ort_static, chains with | (default: %(default)s)"
    )
    command.add_argument("--device", default="cpu")
    command.add_argument("--json", type=Path, metavar="FILE", help="write the report there, for `modelport show`")
    command.add_argument("--workdir", type=Path, metavar="FOLDER", help="keep every artifact there")
    command.add_argument("--in-process", action="store_true", help="export and run ports in this process, for a debugger")


def _targets(options: argparse.Namespace) -> int:
    if options.markdown:
        from pytest_modelport.doctor import markdown

        print(markdown(), end="")
        return 0
    names = shelf.targets()
    width = max(map(len, names))
    for name in names:
        target = shelf.target(name)
        absent, command = lacking(shelf.format_(target.format), shelf.runtime(target.runtime))
        state = f"missing {absent}: {command}" if absent else "usable"
        print(f"{name:<{width}}  {state}")
    return 0


def _doctor(_: argparse.Namespace) -> int:
    from pytest_modelport.doctor import examine

    sound = True
    for finding in examine():
        print(f"{finding.shelf:<8} {finding.name:<20} {finding.state:<8} {finding.said}", flush=True)
        sound = sound and finding.sound
    return 0 if sound else 1


def _verify(options: argparse.Namespace) -> int:
    from pytest_modelport.explain import failure
    from pytest_modelport.recipes import parse
    from pytest_modelport.surroundings import about
    from pytest_modelport.verifying import verify

    recipe = parse(options.recipe) if options.command == "replay" else None
    dynamic = recipe is not None or options.dynamic
    targets = listed(options.targets)
    report = verify(
        options.model,
        targets=targets,
        transforms=listed(options.transforms),
        devices=[options.device],
        dynamic_shapes="infer" if dynamic else None,
        checks=None if recipe is None else ["parity", "shapes"],
        replay=recipe,
        workdir=options.workdir,
        in_process=options.in_process,
    )
    for route, verdicts in report.routes.items():
        if not all(verdict.passed for verdict in verdicts):
            asked = f"--targets {shlex.quote(route.target)}"
            asked += f" --transforms {shlex.quote('|'.join(route.transforms))}" if route.transforms else ""
            rerun = _rerun(options, verdicts, asked)
            print(failure(verdicts, environment=about(route, report.environment), rerun=rerun), end="\n\n")
    if options.json:
        _write(options.json, report.to_json())
    return _shown(report)


def _rerun(options: argparse.Namespace, verdicts: Sequence[Verdict], targets: str) -> str:
    """The shortest command that shows a failure again: the one sample, where a search has found it."""
    recipe = worst(verdicts).evidence.get("recipe")
    model = shlex.quote(options.model)
    if recipe is not None:
        return f"modelport replay {model} {shlex.quote(str(recipe))} {targets}"
    return f"modelport verify {model} {targets}{' --dynamic' * (options.command == 'verify' and options.dynamic)}"


def _show(options: argparse.Namespace) -> int:
    try:
        text = options.report.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{options.report} cannot be read: {error}") from error
    return _shown(Report.from_json(text))


def _shown(report: Report) -> int:
    from pytest_modelport.reports.terminal import render

    print(render(report.verdicts, width=shutil.get_terminal_size().columns, color=sys.stdout.isatty()))
    print("passed" if report.passed else "not passed")
    return 0 if report.passed else 1


_FIRST_TEST = '''"""Does {model} survive deployment?"""

import pytest


@pytest.mark.portable(targets={targets})
def test_{name}(modelport):
    # Also pass samples=[...] that take the model's other branches, and dynamic_shapes= for dims that vary.
    modelport({model!r})
'''


def _init(options: argparse.Namespace) -> int:
    """Write the test, after making sure that the model can be loaded and has inputs."""
    from pytest_modelport import pipeline

    targets = [shelf.canonical(target) for target in listed(options.targets)]
    pipeline.case_of(options.model)
    name = re.sub(r"\W+", "_", options.model.partition("?")[0].rpartition(":")[2]).lower()
    path = options.output or Path(f"test_{name}.py")
    if path.exists():
        raise UsageError(f"{path} is there already: remove it or name another file with --output")
    _write(path, _FIRST_TEST.format(model=options.model, name=name, targets=json.dumps(targets)))
    print(f"wrote {path}; run it with: pytest {path}")
    return 0


def _env(options: argparse.Namespace) -> int:
    known = environments.declared(Path.cwd())
    if options.action == "list":
        for name, item in known.items():
            print(f"{name}  {'ready' if item.packages else 'not there'}  {', '.join(item.requirements)}  {item.folder}")
        if not known:
            print("none declared: in pyproject.toml, [tool.modelport.environments] NAME = [requirements]")
        return 0
    failed = 0
    for item in [environments.environment(name, known) for name in options.names]:
        try:
            failed += not _ENV_ACTIONS[options.action](item)
        except OSError as error:
            raise UsageError(f"cannot {options.action} environment {item.name}: {error.strerror}: {error.filename}") from error
    return int(failed > 0)


def _create(item: environments.Environment) -> bool:
    installing.create(item, lambda line: print(line, flush=True))
    return True


def _remove(item: environments.Environment) -> bool:
    print(f"environment {item.name} {'removed' if installing.remove(item) else 'was not there'}")
    return True


def _check(item: environments.Environment) -> bool:
    wrong = installing.check(item) if item.packages else f"not there: modelport env create {item.name}"
    print(f"environment {item.name}: {wrong or 'sound'}")
    return not wrong


_ENV_ACTIONS = {"create": _create, "remove": _remove, "check": _check}


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error


_COMMANDS = {
    "targets": _targets,
    "doctor": _doctor,
    "verify": _verify,
    "replay": _verify,
    "init": _init,
    "show": _show,
    "env": _env,
}


if __name__ == "__main__":
    sys.exit(main())
