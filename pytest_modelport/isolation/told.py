"""What a runtime printed of why it failed: its own sentence, out of everything in a log."""

from __future__ import annotations

import re

from pytest_modelport.core.cause import plain

#: Lines in which runtimes say so.
_TELLING = re.compile(
    r"panicked at|what\(\)|check failed|assert|error|fatal|must be|not supported|unsupported", re.I
)
#: What stands before it: a letter, a time, a library, a line of its source.
_STAMP = re.compile(
    r"^(?:[EFWI]\s)?\s*[\d:.]*\s*\[?(?:\w+:)?[\w/.+-]+\.(?:cpp|cc|c|h|hpp|rs):\d+\]?:?\s*"
)
_PANIC = re.compile(r"^thread '.*?'(?: \(\d+\))? panicked at .*?:?$")
_LONGEST = 160


def told(text: str) -> str:
    """The first line that says why, without its stamp; empty where none does. Python's own
    tracebacks are no news: an exception has been told already.
    """
    lines = [
        plain(line).strip() for line in text.partition("Traceback (most recent")[0].split("\n")
    ]
    for number, line in enumerate(lines):
        if not _TELLING.search(line) or line.startswith("terminate called"):
            continue
        following = lines[number + 1] if number + 1 < len(lines) else ""
        said = following if _PANIC.match(line) else _STAMP.sub("", line)
        if said.endswith(":"):
            said = f"{said} {following}"
        said = said.removeprefix("what():").strip()
        return said if len(said) <= _LONGEST else f"{said[: _LONGEST - 3]}..."
    return ""
