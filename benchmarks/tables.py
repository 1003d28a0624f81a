"""What the tables of known models have in common: their options, and how they end."""

from __future__ import annotations

import argparse
import logging
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path


def options(doc: str | None, models: Sequence[str], targets: Sequence[str]) -> argparse.Namespace:
    """Which rows, and where to write them. Quiets what exporters say."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", default=models)
    parser.add_argument("--targets", nargs="*", default=targets)
    parser.add_argument("--write", type=Path)
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    return parser.parse_args()


def finish(report: Sequence[str], unknown: Sequence[str], write: Path | None) -> None:
    """Write the page, say what is not as the table says, and end with 1 where anything is."""
    if write:
        write.write_text("\n".join(report) + "\n")
    print("\n".join(unknown) or "all as known")
    sys.exit(bool(unknown))
