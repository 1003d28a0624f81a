"""`python docs/reference.py` writes the pages under `reference/`, of what the shelves and the options say of themselves."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from pytest_modelport import shelf
from pytest_modelport.doctor import markdown
from pytest_modelport.floors import FLOORS

HERE = Path(__file__).parent / "reference"


def pages() -> dict[str, str]:
    """Every generated page by its name."""
    return {"targets": markdown(), "transforms": transforms(), "checks": checks(), "options": options()}


def transforms() -> str:
    lines = [
        "# Transforms",
        "",
        '`T.NAME(OPTION=VALUE)` or `"NAME(OPTION=VALUE)"`; chains with `|`, those of models before those of files.',
    ]
    lines += ["How each fared on trained networks: [measured](../transforms.md)."]
    for name in shelf.names("transforms"):
        item = shelf.transform(name)
        floors = {key: value for key, value in asdict(FLOORS[item.PRICE]).items() if value is not None}
        facts = {
            "changes": "the model" if item.ON == "subject" else f"the {item.ON} file",
            "install": f"`pytest-modelport[{item.EXTRA}]`" if item.EXTRA else "nothing more",
            "may cost": ", ".join(f"{key} {value:g}" for key, value in floors.items()) or "what `quality=` says",
            "runs your": "`finetune`" if getattr(item, "TRAINS", False) else "",
            "options": ", ".join(f"`{key}`" for key in getattr(item, "OPTIONS", {})),
        }
        lines += ["", f"## {name}", "", text(item.__doc__), ""]
        lines += [f"* {key}: {value}" for key, value in facts.items() if value]
        about = text(item.apply.__doc__)
        lines += ["", about] if getattr(item, "OPTIONS", {}) and about else []
    return "\n".join(lines) + "\n"


def checks() -> str:
    lines = ["# Checks", "", "What is asked of a route. `checks=[...]` on the marker, the call or `verify` names them."]
    for name in shelf.names("checks"):
        item = shelf.check(name)
        asked = "always, unless `checks=` names others" if item.DEFAULT else "where it is named, or as it says"
        lines += ["", f"## {name}", "", text(item.__doc__), "", f"* asked: {asked}"]
    return "\n".join(lines) + "\n"


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
    for match in re.finditer(rf"^  ({name})(?: \(\w+\):)?((?:  +| *\n {{10,}})\S.*(?:\n {{10,}}\S.*)*)", help_, re.MULTILINE):
        yield match[1], cell(match[2])


def text(docstring: str | None) -> str:
    """Paragraphs on one line each."""
    return "\n\n".join(" ".join(part.split()) for part in (docstring or "").split("\n\n"))


def cell(said: str) -> str:
    return " ".join(said.split()).replace("|", "\\|")


if __name__ == "__main__":
    for name, page in pages().items():
        (HERE / f"{name}.md").write_text(page)
