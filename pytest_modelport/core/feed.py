"""What goes into a session and what comes out: named arrays, in order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pytest_modelport.core.arrays import Array
from pytest_modelport.core.tree import Spec


@dataclass(frozen=True)
class Feed:
    """One sample for a session. `spec` says how the arrays nest in `(args, kwargs)`."""

    inputs: Mapping[str, Array]
    spec: Spec


@dataclass(frozen=True)
class Answer:
    """One call's result.

    `constants` are Python values among the outputs; `mutated` holds the inputs whose contents the
    call changed, after it.
    """

    outputs: tuple[tuple[str, Array], ...]
    constants: tuple[tuple[str, Any], ...] = ()
    mutated: Mapping[str, Array] = field(default_factory=dict)

    def same(self, other: Answer) -> bool:
        """Whether both hold the same bytes under the same names."""
        mine, others = ((*answer.outputs, *answer.mutated.items()) for answer in (self, other))
        alike = [(name, one.dtype, one.shape) for name, one in mine] == [
            (name, two.dtype, two.shape) for name, two in others
        ]
        whole = (
            alike
            and self.constants == other.constants
            and self.mutated.keys() == other.mutated.keys()
        )
        return whole and all(one.same(two) for (_, one), (_, two) in zip(mine, others, strict=True))
