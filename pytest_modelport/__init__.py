"""Proof that a PyTorch model survives deployment. Importing this imports nothing but the standard library."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Outcome", "Report", "Route", "Sample", "Stage", "T", "UsageError", "Verdict", "recipe", "verify"]

if TYPE_CHECKING:
    from pytest_modelport.chain import T
    from pytest_modelport.errors import UsageError
    from pytest_modelport.recipes import recipe
    from pytest_modelport.route import Route
    from pytest_modelport.sample import Sample
    from pytest_modelport.verdict import Outcome, Report, Stage, Verdict
    from pytest_modelport.verifying import verify

_HOMES = {
    "Outcome": "verdict",
    "Report": "verdict",
    "Route": "route",
    "Sample": "sample",
    "Stage": "verdict",
    "T": "chain",
    "UsageError": "errors",
    "Verdict": "verdict",
    "recipe": "recipes",
    "verify": "verifying",
}


def __getattr__(name: str) -> Any:
    """Public names are imported when first used, so that a pytest run without portable tests pays nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
