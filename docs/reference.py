"""`python docs/reference.py` writes the pages under `reference/`: what the items, the options and
the commands say of themselves.
"""

from __future__ import annotations

import argparse
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, fields
from pathlib import Path

from pytest_modelport.backends import registry
from pytest_modelport.cli.doctor import markdown
from pytest_modelport.cli.main import commands as parsers
from pytest_modelport.engine.verify import verify
from pytest_modelport.request.options import Options
from pytest_modelport.request.quality_floors import FLOORS

HERE = Path(__file__).parent / "reference"


def pages() -> dict[str, str]:
    """Every generated page by its name."""
    return {
        "targets": markdown(),
        "transforms": transforms(),
        "checks": checks(),
        "arguments": arguments(),
        "options": options(),
        "commands": commands(),
    }


def transforms() -> str:
    lines = [
        "# Transforms",
        "",
        '`T.NAME(OPTION=VALUE)` or `"NAME(OPTION=VALUE)"`; chains with `|`, '
        "those of models before those of files.",
    ]
    lines += ["How each fared on trained networks: [measured](../measured/transforms.md)."]
    for name in registry.names("transforms"):
        item = registry.transform(name)
        floors = {
            key: value for key, value in asdict(FLOORS[item.FLOOR]).items() if value is not None
        }
        limits = ", ".join(f"{key} {value:g}" for key, value in floors.items())
        facts = {
            "changes": "the model" if item.ON == "subject" else f"the {item.ON} file",
            "install": f"`pytest-modelport[{item.EXTRA}]`" if item.EXTRA else "nothing more",
            "quality floors": limits or "what `quality=` says",
            "runs your": "`finetune`" if getattr(item, "TRAINS", False) else "",
            "options": ", ".join(f"`{key}`" for key in getattr(item, "OPTIONS", {})),
        }
        lines += ["", f"## {name}", "", text(item.__doc__), ""]
        lines += [f"* {key}: {value}" for key, value in facts.items() if value]
        about = text(item.apply.__doc__)
        lines += ["", about] if getattr(item, "OPTIONS", {}) and about else []
    return "\n".join(lines) + "\n"


def checks() -> str:
    lines = [
        "# Checks",
        "",
        "The questions about a route. `checks=[...]` names those that run.",
    ]
    for name in registry.names("checks"):
        item = registry.check(name)
        usual = "runs always, unless `checks=` names others"
        when = getattr(item, "WHEN", usual if item.DEFAULT else "runs when named in `checks=`")
        lines += ["", f"## {name}", "", text(item.__doc__), "", f"This check {when}."]
    return "\n".join(lines) + "\n"


def arguments() -> str:
    """What `modelport(...)` and `verify` take, the marker, and the keys of pyproject.toml."""
    lines = [
        "# Arguments",
        "",
        "`modelport(model, args, kwargs, ...)` in a test, the members of a portable class, and",
        "`verify(model, args, kwargs, ...)` take the same keyword arguments about a model:",
        "",
        "| argument | default | |",
        "|---|---|---|",
    ]
    both = [item for item in fields(Options) if item.name not in _NOT_BOTH]
    lines += [f"| `{it.name}` | `{it.default!r}` | {cell(it.metadata['about'])} |" for it in both]
    lines += [
        "",
        "Only `verify` takes these; a test has the marker and pytest's options instead:",
        "",
    ]
    lines += ["| argument | default | |", "|---|---|---|"]
    signature = inspect.signature(verify).parameters
    for name, about in VERIFY_ALONE.items():
        default = signature[name].default
        shown = "" if default is inspect.Parameter.empty else f"`{default!r}`"
        lines.append(f"| `{name}` | {shown} | {about} |")
    lines += ["", "The marker `@pytest.mark.portable(...)`:", "", "| keyword | |", "|---|---|"]
    lines += [f"| `{name}` | {about} |" for name, about in MARKER.items()]
    lines += ["", "In `pyproject.toml`, under `[tool.modelport]`:", "", "| key | |", "|---|---|"]
    lines += [f"| `{name}` | {about} |" for name, about in PROJECT.items()]
    return "\n".join(lines) + "\n"


#: Arguments of `Options` that a test gets from the run.
_NOT_BOTH = ("replay", "baseline")
VERIFY_ALONE = {
    "targets": "names of targets: `onnx`, `onnx:reference`, `onnx(opset=20)@production`",
    "transforms": "what is done before shipping, each a route: names, functions, chains "
    "`T.fp16() \\| ...`",
    "devices": "`cpu`, `cuda`, `cuda:1`, `mps`, `xpu`",
    "checks": "names of checks instead of the default ones",
    "seed": "where the sequence of random seeds begins",
    "workdir": "a folder that keeps every artifact; without it those of red routes are kept",
    "in_process": "export and run in this process, for a debugger: no limits of time",
    "replay": "the one sample that the check `shapes` makes: the recipe that a failure prints",
    "baseline": "the folder of the last release, which `max_regression` is about",
}
MARKER = {
    "targets": "names of targets; `pytest.param(name, marks=...)` marks one. "
    "Without it the setting `modelport_targets`",
    "transforms": 'names, functions or chains; `"none"` is the model as it is',
    "devices": "devices; without it `--modelport-device`, else `cpu`",
    "checks": "names of checks instead of the default ones",
    "latency": "a budget for all routes, as the argument of that name; the call's own wins",
    "size": "likewise",
    "memory": "likewise",
    "quality": "likewise",
}
PROJECT = {
    "environments": "`NAME = [requirements]`: installations of their own, `onnx@NAME`",
    "gate.require": "targets that some green route must have, for `modelport gate`",
    "gate.may_fail": '`[{routes = "tvm*", until = 2026-12-31, reason = "..."}]`: what is let '
    "through, and until when",
}


def commands() -> str:
    """Every command with what it takes, as `--help` says."""
    lines = ["# Commands", "", "`modelport COMMAND`, or `python -m pytest_modelport COMMAND`:"]
    lines += ["", "| command | |", "|---|---|"]
    parser, _ = parsers()
    [actions] = [it for it in parser._actions if isinstance(it, argparse._SubParsersAction)]
    helps = {choice.dest: choice.help for choice in actions._choices_actions}
    lines += [f"| `{name}` | {cell(helps[name] or '')} |" for name in actions.choices]
    for name, command in actions.choices.items():
        lines += ["", f"## {name}", "", *_taken(command)]
    return "\n".join(lines) + "\n"


def _taken(command: argparse.ArgumentParser) -> list[str]:
    """A table of what a command takes."""
    rows = [it for it in command._actions if not isinstance(it, argparse._HelpAction)]
    if not rows:
        return ["Takes nothing."]
    lines = ["| argument | |", "|---|---|"]
    for row in rows:
        if isinstance(row, argparse._SubParsersAction):
            named = {choice.dest: choice.help for choice in row._choices_actions}
            lines += [f"| `{name}` | {cell(named[name] or '')} |" for name in row.choices]
            continue
        name = ", ".join(row.option_strings) or str(row.metavar or row.dest)
        value = (
            f" {row.metavar or row.dest.upper()}" if row.option_strings and row.nargs != 0 else ""
        )
        default = {"default": row.default, "prog": "modelport"}
        lines.append(f"| `{name}{value}` | {cell((row.help or '') % default)} |")
    return lines


def options() -> str:
    """Ours among pytest's own."""
    wide = {**os.environ, "COLUMNS": "400", "PYTEST_ADDOPTS": ""}
    shown = subprocess.run(
        [sys.executable, "-m", "pytest", "--help", "-p", "no:cacheprovider"],
        capture_output=True,
        text=True,
        env=wide,
        check=True,
    )
    group = shown.stdout.partition("\nmodelport: ")[2].partition("\n\n")[0]
    settings = shown.stdout.partition("configuration options")[2]
    lines = ["# Options", "", "On pytest's command line:", "", "| option | |", "|---|---|"]
    lines += [f"| `{name}` | {said} |" for name, said in rows(group, r"--\S+")]
    lines += ["", "In the configuration file:", "", "| setting | |", "|---|---|"]
    lines += [f"| `{name}` | {said} |" for name, said in rows(settings, r"modelport_\w+")]
    return "\n".join(lines) + "\n"


def rows(help_: str, name: str) -> Iterator[tuple[str, str]]:
    """Names and what is said of them, on the same line or on those below."""
    for match in re.finditer(
        rf"^  ({name})(?: \(\w+\):)?((?:  +| *\n {{10,}})\S.*(?:\n {{10,}}\S.*)*)",
        help_,
        re.MULTILINE,
    ):
        yield match[1], cell(match[2])


def text(docstring: str | None) -> str:
    """Paragraphs on one line each."""
    return "\n\n".join(" ".join(part.split()) for part in (docstring or "").split("\n\n"))


def cell(said: str) -> str:
    return " ".join(said.split()).replace("|", "\\|")


if __name__ == "__main__":
    for name, page in pages().items():
        (HERE / f"{name}.md").write_text(page)
