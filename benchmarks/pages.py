"""What the benchmarks that write a page have in common: the option for it, and how it is written."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path


def parser(doc: str | None) -> argparse.ArgumentParser:
    """A parser with the option `--write`, its help the benchmark's own text."""
    made = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--write", type=Path, metavar="PAGE.md")
    return made


def show(lines: Sequence[str], write: Path | None) -> None:
    """Print the page, and write it where that was asked for."""
    print("\n".join(lines))
    if write:
        write.write_text("\n".join(lines) + "\n")
