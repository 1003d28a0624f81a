"""How an artifact is opened: where, with how many threads, with which options of the runtime."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class SessionOptions:
    """What a runtime opens an artifact with. options: those of its OPTIONS that the route names."""

    device: str = "cpu"
    threads: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)
