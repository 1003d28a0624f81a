"""Proof that a PyTorch model survives deployment. Importing this imports nothing but the standard
library.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = [
    "Outcome",
    "Report",
    "Route",
    "Sample",
    "Stage",
    "T",
    "UsageError",
    "Verdict",
    "recipe",
    "verify",
]

if TYPE_CHECKING:
    from pytest_modelport.core.errors import UsageError
    from pytest_modelport.core.report import Report
    from pytest_modelport.core.route import Route
    from pytest_modelport.core.sample import Sample
    from pytest_modelport.core.verdict import Outcome, Stage, Verdict
    from pytest_modelport.engine.verify import verify
    from pytest_modelport.request.recipes import recipe
    from pytest_modelport.request.transform_chain import T

_HOMES = {
    "Outcome": "core.verdict",
    "Report": "core.report",
    "Route": "core.route",
    "Sample": "core.sample",
    "Stage": "core.verdict",
    "T": "request.transform_chain",
    "UsageError": "core.errors",
    "Verdict": "core.verdict",
    "recipe": "request.recipes",
    "verify": "engine.verify",
}


def __getattr__(name: str) -> Any:
    """Public names are imported when first used, so that a pytest run without portable tests pays
    nothing.
    """
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
