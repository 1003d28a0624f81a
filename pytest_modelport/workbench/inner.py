"""The subject exported once more on a route, so that it shows what it computes on the way, or only
up to some operation.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_modelport.workbench.shared_answers import eager_answers
from pytest_modelport.workbench.workbench import Workbench

if TYPE_CHECKING:
    from torch import nn

    from pytest_modelport.subject.inner import Key


def showing(workbench: Workbench, kept: Collection[Key], copied: Collection[Key]) -> Workbench:
    """The route of the subject whose answer is its own and what these inner calls made.
    copied: those whose results are changed afterwards. Raises `Stop`.
    """
    from pytest_modelport.subject import inner

    shown = frozenset(kept)
    what = f"shows {sorted(shown)}"
    return _of(workbench, lambda module: inner.showing(module, shown, copied), what)


def cut(workbench: Workbench, last: Key, copied: Collection[Key]) -> Workbench:
    """The route of the subject up to an inner call. copied: as above. Raises `Stop`."""
    from pytest_modelport.subject import inner

    return _of(workbench, lambda module: inner.cut(module, last, copied), f"cut at {last}")


def _of(workbench: Workbench, wrap: Callable[[nn.Module], nn.Module], what: str) -> Workbench:
    case = workbench.case
    factory = case.factory
    other = replace(
        workbench,
        case=replace(
            case,
            module=wrap(case.module),
            key=f"{case.key} {what}",
            factory=(lambda: wrap(factory())) if factory else None,
        ),
        original=None,
    )
    other.progress.reference = eager_answers(other.workspace, other.case, other.route.device)
    return other
