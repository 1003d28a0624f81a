"""Converters that are programs of their own: run apart, and the line of their output that says why
they failed.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

_TELLING = re.compile(
    r"not support|unsupport|unknown|error|cannot|can't|invalid|expect", re.IGNORECASE
)
#: A time stamp, or a compiler's place in a file and the word "error".
_PREFIX = re.compile(r"^\[[\d:]+\] :\d+: |^.*?\berror: ")


def convert(name: str, command: Sequence[str], folder: Path, made: Path) -> None:
    """Run a converter in `folder`. Raises `RuntimeError` when it fails or did not make what it was
    to make.
    """
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if ended.returncode or not made.exists():
        raise RuntimeError(
            f"{name} cannot convert the model (status {ended.returncode}): "
            f"{why(ended.stdout + ended.stderr)}"
        )


def why(output: str) -> str:
    """The first line that tells of a fault, else the last one."""
    said = [line.strip() for line in output.splitlines() if line.strip()]
    lines = [line.removeprefix("what():").strip() for line in said if not line.startswith(_DYING)]
    lines = lines or said or ["no reason given"]
    return _PREFIX.sub("", next((line for line in lines if _TELLING.search(line)), lines[-1]))


#: C++'s own word before what was thrown.
_DYING = "terminate called"
