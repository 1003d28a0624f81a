"""What a package outside may import to bring a format, runtime, transform, check or model library.

These names are the promise to authors of other packages; everything else of `pytest_modelport` is
private but for what its own page names. They are imported when they are first used, so that an item
can be loaded in a clean room that has NumPy and its runtime and nothing else.

`conformance(group, name)` gives the questions that an item must answer, for the author's own tests:

    @pytest.mark.parametrize("question", conformance("formats", "npz_mlp"), ids=str)
    def test_contract(question):
        question()
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_modelport.backends.export import Exported, ExportRequest, versions
    from pytest_modelport.backends.kit import ordered, programs
    from pytest_modelport.backends.session_options import SessionOptions
    from pytest_modelport.backends.transform_work import FileWork, ModuleWork
    from pytest_modelport.core.arrays import Array
    from pytest_modelport.core.artifact import Manifest, TensorSpec
    from pytest_modelport.core.errors import (
        CannotJudge,
        CannotTransform,
        CannotVary,
        Rejected,
        UsageError,
        WrongArtifact,
        WrongCount,
    )
    from pytest_modelport.core.feed import Answer, Feed
    from pytest_modelport.core.sample import Sample
    from pytest_modelport.core.verdict import Outcome, Stage, Verdict
    from pytest_modelport.engine.conformance import Question, conformance
    from pytest_modelport.workbench.workbench import Workbench

__all__ = [
    "Answer",
    "Array",
    "CannotJudge",
    "CannotTransform",
    "CannotVary",
    "ExportRequest",
    "Exported",
    "Feed",
    "FileWork",
    "Manifest",
    "ModuleWork",
    "Outcome",
    "Question",
    "Rejected",
    "Sample",
    "SessionOptions",
    "Stage",
    "TensorSpec",
    "UsageError",
    "Verdict",
    "Workbench",
    "WrongArtifact",
    "WrongCount",
    "conformance",
    "ordered",
    "programs",
    "versions",
]

#: The module that each name is from. `kit` is a package: its names are modules.
_HOMES = {
    "backends.export": ("Exported", "ExportRequest", "versions"),
    "backends.kit": ("ordered", "programs"),
    "backends.session_options": ("SessionOptions",),
    "backends.transform_work": ("FileWork", "ModuleWork"),
    "core.arrays": ("Array",),
    "core.artifact": ("Manifest", "TensorSpec"),
    "core.errors": (
        "CannotJudge",
        "CannotTransform",
        "CannotVary",
        "Rejected",
        "UsageError",
        "WrongArtifact",
        "WrongCount",
    ),
    "core.feed": ("Answer", "Feed"),
    "core.sample": ("Sample",),
    "core.verdict": ("Outcome", "Stage", "Verdict"),
    "engine.conformance": ("Question", "conformance"),
    "workbench.workbench": ("Workbench",),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            module = f"pytest_modelport.{home}"
            if home == "backends.kit":
                return importlib.import_module(f"{module}.{name}")
            return getattr(importlib.import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
