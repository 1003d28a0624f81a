"""Whether JSON values have the types that a verdict's have. A report may come from anywhere."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ListOf:
    """A list of one kind of values."""

    kind: Any


@dataclass(frozen=True)
class MapOf:
    """An object whose values, whatever their names, are of one kind."""

    kind: Any


@dataclass(frozen=True)
class Fields:
    """An object; those of these fields that it has are of these kinds."""

    kinds: Mapping[str, Any]


_NUMBER = (int, float)
#: NaN and infinities are text.
_FIGURE = (int, float, frozenset(("nan", "inf", "-inf")))
#: Python's integers may be larger than any float.
_LARGEST = sys.float_info.max
_TEXTS = ListOf(str)
#: What readers of a report use; `page.html.j2` shows the rest as it is.
_EVIDENCE = Fields(
    {
        "allowance": Fields({"factor": _NUMBER, "rtol": _NUMBER, "atol": _NUMBER}),
        "comparison": Fields({"count": int, "noise": _FIGURE}),
        "needs": (*_FIGURE, None),
        "cautions": _TEXTS,
        "xfail": str,
        "runs_ms": ListOf(_NUMBER),
        "percentiles": MapOf(Fields({"ms": _NUMBER, "budget": (*_NUMBER, None)})),
        "ratios": ListOf(_NUMBER),
        "margin": _NUMBER,
        "budget": (*_FIGURE, None),
    }
)
VERDICT = Fields(
    {
        "route": Fields({"target": str, "device": str, "transforms": _TEXTS}),
        "check": str,
        "stage": str,
        "outcome": str,
        "reason": str,
        "evidence": _EVIDENCE,
        "notes": _TEXTS,
        "seconds": _NUMBER,
        "subject": str,
        "suite": str,
    }
)


def faults(value: Any, kind: Any, place: str = "") -> Iterator[str]:
    """Where a value is not of the kind, in words: `evidence.needs is []`."""
    if isinstance(kind, Fields | MapOf) and isinstance(value, Mapping):
        kinds = kind.kinds if isinstance(kind, Fields) else dict.fromkeys(value, kind.kind)
        for name in kinds.keys() & value.keys():
            yield from faults(value[name], kinds[name], f"{place}.{name}".lstrip("."))
    elif isinstance(kind, ListOf) and isinstance(value, list):
        for number, item in enumerate(value):
            yield from faults(item, kind.kind, f"{place}[{number}]")
    elif isinstance(kind, tuple):
        if all(any(faults(value, one)) for one in kind):
            yield f"{place or 'it'} is {value!r:.60}"
    elif not _is(value, kind):
        yield f"{place or 'it'} is {value!r:.60}"


def _is(value: Any, kind: Any) -> bool:
    """Whether a value is of a plain type, or one of some texts; `True` is no number."""
    if kind is None:
        return value is None
    if isinstance(kind, frozenset):
        return isinstance(value, str) and value in kind
    if isinstance(value, int) and abs(value) > _LARGEST:
        return False
    return isinstance(kind, type) and isinstance(value, kind) and not isinstance(value, bool)
